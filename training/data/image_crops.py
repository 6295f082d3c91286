"""A film's image as a square of 224 x 224 pixels or the tower's own size: decoded once, then cropped for every batch.

A film without an image gets a neutral grey one, so that a system with an image tower accepts any film. Grey,
palette and CMYK images become RGB, tiny ones are enlarged.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from storage.errors import InputError
from training.settings import IMAGE_PIXELS

NEUTRAL_GREY = 127
LONGEST_SIDES = 4
"""An image longer than so many shorter sides is cropped to its middle before it is cached, which bounds the memory."""


@dataclass(frozen=True)
class ImageFormat:
    """What an image tower expects: square pictures, and colours of 0 to 1 less `mean`, divided by `deviation`."""

    pixels: int = IMAGE_PIXELS
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    deviation: tuple[float, float, float] = (0.5, 0.5, 0.5)


class Images:
    """The images of a split's films; each is decoded at its first use and cached (about 200 kB each at 224 pixels)."""

    def __init__(self, film_ids: Sequence[str], jpegs: Sequence[bytes | None], pixels: int = IMAGE_PIXELS) -> None:
        self.pixels = pixels
        self._film_ids = film_ids
        self._jpegs = jpegs
        self._decoded: list[NDArray[np.uint8] | None] = [None] * len(jpegs)

    def crop(self, film: int, across: float, down: float) -> NDArray[np.uint8]:
        """Return a crop [3, pixels, pixels] of film number `film`; (0.5, 0.5) is the centre, 0 and 1 are the edges."""
        pixels = self._decoded[film]
        if pixels is None:
            pixels = self._decoded[film] = self._decode(film)
        height, width = pixels.shape[:2]
        top, left = round(down * (height - self.pixels)), round(across * (width - self.pixels))
        return pixels[top : top + self.pixels, left : left + self.pixels].transpose(2, 0, 1)

    def _decode(self, film: int) -> NDArray[np.uint8]:
        jpeg = self._jpegs[film]
        if jpeg is None:
            return np.full((self.pixels, self.pixels, 3), NEUTRAL_GREY, np.uint8)
        try:
            return resize_shorter_side(Image.open(io.BytesIO(jpeg)), self.pixels)
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise InputError(
                f"The thumbnail of film {self._film_ids[film]} is not an image ({error}); "
                "collect the films again and make a new version"
            ) from error


def resize_shorter_side(image: Image.Image, pixels: int = IMAGE_PIXELS) -> NDArray[np.uint8]:
    """Return RGB [height, width, 3] with a shorter side of `pixels` and a longer one of at most four times as many."""
    rgb = image.convert("RGB")
    scale, longest = pixels / min(rgb.size), LONGEST_SIDES * pixels
    size = (max(pixels, round(rgb.width * scale)), max(pixels, round(rgb.height * scale)))
    if rgb.size != size:
        rgb = rgb.resize(size, Image.Resampling.BICUBIC)
    left, top = (max(0, side - longest) // 2 for side in rgb.size)
    right, bottom = (min(side, longest) for side in rgb.size)
    return np.asarray(rgb.crop((left, top, left + right, top + bottom)))
