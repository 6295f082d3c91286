"""Make a thumbnail: decode an image and scale it to a shorter side of 224 pixels, as JPEG.

Images are untrusted input: bytes and pixels are limited before anything is decoded, and every exception of
Pillow (six kinds were seen on broken files, most of them no OSError) becomes an `ItemError` with a reason.
Cropping to a square is left to training, which crops differently each time.
"""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
import zlib
from dataclasses import dataclass

from PIL import Image, ImageOps, UnidentifiedImageError

from storage.errors import ItemError

SHORTER_SIDE_PIXELS = 224
"""What the image tower reads."""
MAX_PIXELS = 40_000_000
"""40 megapixels take 120 MB when decoded."""
MAX_ASPECT = 10
"""An image longer than this is a banner, and its scaled copy would be huge."""
JPEG_QUALITY = 90
_BACKGROUND = (255, 255, 255)
"""The colour behind transparent pixels, as on a wiki page."""
_PROGRAMS = frozenset({"EPS"})
"""Kinds that Pillow hands to another program: Ghostscript runs what is written in them."""
_PILLOW_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, NotImplementedError, EOFError, IndexError, KeyError, AttributeError,
    OverflowError, ZeroDivisionError, MemoryError, RuntimeError, struct.error, zlib.error, AssertionError,
)  # fmt: skip
MAX_BYTES = 20_000_000
"""A film poster has 30 kB on Wikipedia; an original on Commons can have 20 MB."""


@dataclass(frozen=True)
class Thumbnail:
    """A scaled image. `sha256` is the hash of the original bytes."""

    sha256: str
    width: int
    height: int
    jpeg: bytes


def make_thumbnail(data: bytes) -> Thumbnail:
    """Decode an image of any kind and return it as an RGB JPEG with a shorter side of 224 pixels.

    Raises `ItemError` with `too_large`, `too_many_pixels` or `not_an_image`.
    """
    if len(data) > MAX_BYTES:
        raise ItemError("too_large", f"The image has {len(data):,} bytes, over the limit of {MAX_BYTES:,}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # large images are refused below; the other warnings are about metadata
            image = _scaled(_rgb(_opened(data)))
            buffer = io.BytesIO()
            image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    except Image.DecompressionBombError as error:
        raise ItemError("too_many_pixels", f"The image decodes to too many pixels: {error}") from error
    except UnidentifiedImageError as error:
        raise ItemError("not_an_image", "The file is no image of a kind that is read; give a JPEG or PNG") from error
    except _PILLOW_ERRORS as error:
        raise ItemError("not_an_image", f"The image cannot be decoded: {type(error).__name__}: {error}") from error
    return Thumbnail(hashlib.sha256(data).hexdigest(), image.width, image.height, buffer.getvalue())


def _opened(data: bytes) -> Image.Image:
    """Return the decoded first frame. Raises `ItemError` for too many pixels or an extreme aspect ratio."""
    Image.init()
    image = Image.open(io.BytesIO(data), formats=[kind for kind in Image.ID if kind not in _PROGRAMS])
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ItemError("too_many_pixels", f"The image is {width} × {height}, over {MAX_PIXELS:,} pixels")
    if min(width, height) < 1 or max(width, height) > MAX_ASPECT * min(width, height):
        raise ItemError("not_an_image", f"The image is {width} × {height}, a banner rather than a poster")
    if image.format == "JPEG":  # libjpeg scales while decoding, which is twice as fast on posters
        image.draft("RGB", (2 * SHORTER_SIDE_PIXELS, 2 * SHORTER_SIDE_PIXELS))
    image.seek(0)
    image.load()
    return image


def _rgb(image: Image.Image) -> Image.Image:
    """Rotate upright and convert to eight-bit RGB: from CMYK, palette, grey, 16-bit, and transparency onto white."""
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I;16") or upright.mode in ("I", "F"):
        return _eight_bit(upright).convert("RGB")
    if upright.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in upright.info:
        layer = upright.convert("RGBA")
        ground = Image.new("RGBA", layer.size, (*_BACKGROUND, 255))
        return Image.alpha_composite(ground, layer).convert("RGB")
    return upright.convert("RGB")


def _eight_bit(image: Image.Image) -> Image.Image:
    """Scale 16-bit or float greys so that the image's darkest value is 0 and its lightest 255."""
    grey = image.convert("F")
    low, high = grey.getextrema()
    span = float(high) - float(low) or 1.0  # type: ignore[arg-type]
    return grey.point(lambda value: value * (255.0 / span) - float(low) * 255.0 / span).convert("L")  # type: ignore[arg-type]


def _scaled(image: Image.Image) -> Image.Image:
    ratio = SHORTER_SIDE_PIXELS / min(image.size)
    width, height = (max(SHORTER_SIDE_PIXELS, round(side * ratio)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC)
