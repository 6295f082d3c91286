"""Any picture a film may have becomes 224 x 224 RGB."""

import io

import numpy as np
import pytest
from PIL import Image

from storage.errors import InputError
from training.data.images import LONGEST_SIDE, NEUTRAL_GREY, Images, resize_shorter_side


def _bytes(picture: Image.Image, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGB"])
def test_grey_and_cmyk_pictures_become_rgb(mode: str):
    pictures = Images(["a"], [_bytes(Image.new(mode, (300, 224), 0 if mode == "L" else None))])
    assert pictures.crop(0, 0.5, 0.5).shape == (3, 224, 224)


@pytest.mark.parametrize(("size", "kept"), [((1, 1), (224, 224)), ((50, 100), (448, 224)), ((300, 224), (224, 300))])
def test_the_shorter_side_becomes_224_even_of_a_tiny_picture(size: tuple[int, int], kept: tuple[int, int]):
    assert resize_shorter_side(Image.new("RGB", size)).shape == (*kept, 3)


def test_a_banner_is_cut_in_the_middle_so_that_memory_stays_bounded():
    banner = Image.new("RGB", (6000, 224))
    banner.paste((255, 0, 0), (2900, 0, 3100, 224))
    kept = resize_shorter_side(banner)
    assert kept.shape == (224, LONGEST_SIDE, 3)
    assert kept[100, LONGEST_SIDE // 2].tolist() == [255, 0, 0]


def test_a_film_without_a_picture_gets_neutral_grey():
    assert (Images(["a"], [None]).crop(0, 0.1, 0.9) == NEUTRAL_GREY).all()


def test_crops_reach_both_ends_and_the_centre_is_the_centre():
    ramp = np.tile(np.arange(324, dtype=np.uint16) // 2, (224, 1)).astype(np.uint8)
    pictures = Images(["a"], [_bytes(Image.fromarray(ramp), "PNG")])
    left, centre, right = (pictures.crop(0, place, 0.5)[0, 0] for place in (0.0, 0.5, 1.0))
    assert (left[0], centre[0], right[-1]) == (0, 25, 161)


def test_bytes_that_are_no_picture_name_the_film():
    with pytest.raises(InputError, match="film enwiki-5 is not a picture"):
        Images(["enwiki-5"], [b"GIF89a?"]).crop(0, 0.5, 0.5)
