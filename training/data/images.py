"""A film's image as 224 x 224 pixels: decoded once, then cropped for every batch.

A film without an image gets a neutral grey one, so that a system with an image tower accepts any film. Grey,
palette and CMYK images become RGB, tiny ones are enlarged.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from storage.errors import InputError
from training.config import IMAGE_PIXELS

NEUTRAL_GREY = 127
LONGEST_SIDE = 4 * IMAGE_PIXELS
"""A longer image is cropped to its middle before it is cached, which bounds the memory."""


class Images:
    """The images of a split's films; each is decoded at its first use and cached (about 200 kB each)."""

    def __init__(self, film_ids: Sequence[str], jpegs: Sequence[bytes | None]) -> None:
        self._film_ids = film_ids
        self._jpegs = jpegs
        self._decoded: list[NDArray[np.uint8] | None] = [None] * len(jpegs)

    def crop(self, film: int, across: float, down: float) -> NDArray[np.uint8]:
        """Return a crop [3, 224, 224] of film number `film`; (0.5, 0.5) is the centre, 0 and 1 are the edges."""
        pixels = self._decoded[film]
        if pixels is None:
            pixels = self._decoded[film] = self._decode(film)
        height, width = pixels.shape[:2]
        top, left = round(down * (height - IMAGE_PIXELS)), round(across * (width - IMAGE_PIXELS))
        return pixels[top : top + IMAGE_PIXELS, left : left + IMAGE_PIXELS].transpose(2, 0, 1)

    def _decode(self, film: int) -> NDArray[np.uint8]:
        jpeg = self._jpegs[film]
        if jpeg is None:
            return np.full((IMAGE_PIXELS, IMAGE_PIXELS, 3), NEUTRAL_GREY, np.uint8)
        try:
            return resize_shorter_side(Image.open(io.BytesIO(jpeg)))
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise InputError(
                f"The thumbnail of film {self._film_ids[film]} is not an image ({error}); "
                "collect the films again and make a new version"
            ) from error


def resize_shorter_side(image: Image.Image) -> NDArray[np.uint8]:
    """Return RGB [height, width, 3] with a shorter side of 224 pixels and a longer one of at most 896."""
    rgb = image.convert("RGB")
    scale = IMAGE_PIXELS / min(rgb.size)
    size = (max(IMAGE_PIXELS, round(rgb.width * scale)), max(IMAGE_PIXELS, round(rgb.height * scale)))
    if rgb.size != size:
        rgb = rgb.resize(size, Image.Resampling.BICUBIC)
    left, top = (max(0, side - LONGEST_SIDE) // 2 for side in rgb.size)
    right, bottom = (min(side, LONGEST_SIDE) for side in rgb.size)
    return np.asarray(rgb.crop((left, top, left + right, top + bottom)))
