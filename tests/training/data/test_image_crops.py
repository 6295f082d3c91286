"""Any image of a film becomes 224 x 224 RGB."""

import io

import numpy as np
import pytest
from PIL import Image

from storage.errors import InputError
from training.data.image_crops import LONGEST_SIDES, NEUTRAL_GREY, Images, resize_shorter_side


def _bytes(image: Image.Image, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGB"])
def test_grey_and_cmyk_images_become_rgb(mode: str) -> None:
    images = Images(["a"], [_bytes(Image.new(mode, (300, 224), 0 if mode == "L" else None))])
    assert images.crop(0, 0.5, 0.5).shape == (3, 224, 224)


@pytest.mark.parametrize(("size", "resized"), [((1, 1), (224, 224)), ((50, 100), (448, 224)), ((300, 224), (224, 300))])
def test_the_shorter_side_becomes_224_pixels_even_of_a_tiny_image(
    size: tuple[int, int], resized: tuple[int, int]
) -> None:
    assert resize_shorter_side(Image.new("RGB", size)).shape == (*resized, 3)


def test_a_long_image_is_cropped_to_its_middle() -> None:
    banner = Image.new("RGB", (6000, 224))
    banner.paste((255, 0, 0), (2900, 0, 3100, 224))
    cropped = resize_shorter_side(banner)
    assert cropped.shape == (224, LONGEST_SIDES * 224, 3)
    assert cropped[100, LONGEST_SIDES * 224 // 2].tolist() == [255, 0, 0]


def test_a_film_without_an_image_gets_neutral_grey() -> None:
    assert (Images(["a"], [None]).crop(0, 0.1, 0.9) == NEUTRAL_GREY).all()


def test_crops_cover_both_edges_and_the_centre() -> None:
    ramp = np.tile(np.arange(324, dtype=np.uint16) // 2, (224, 1)).astype(np.uint8)
    images = Images(["a"], [_bytes(Image.fromarray(ramp), "PNG")])
    left, centre, right = (images.crop(0, across, 0.5)[0, 0] for across in (0.0, 0.5, 1.0))
    assert (left[0], centre[0], right[-1]) == (0, 25, 161)


def test_pictures_have_the_size_of_the_tower() -> None:
    images = Images(["a", "b"], [_bytes(Image.new("RGB", (300, 224))), None], 384)
    assert images.crop(0, 1.0, 1.0).shape == images.crop(1, 0.5, 0.5).shape == (3, 384, 384)


def test_bytes_that_are_not_an_image_are_an_error_with_the_film() -> None:
    with pytest.raises(InputError, match="film enwiki-5 is not an image"):
        Images(["enwiki-5"], [b"GIF89a?"]).crop(0, 0.5, 0.5)
