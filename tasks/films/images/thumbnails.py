"""A film's picture: from any bytes to a JPEG whose shorter side is 224 pixels, or a reason why not.

Pictures come from strangers, so bytes and pixels are limited before anything is decoded, and whatever
Pillow raises (six kinds of error were seen on broken files, most of them no OSError) becomes an outcome.
Cropping to a square is left to training, which may crop differently every time.
"""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

from storage.errors import InputError, ItemError, Retry

SHORTER_SIDE_PIXELS = 224
"""What the image tower reads."""
MAXIMUM_BYTES = 20_000_000
"""A film's poster is 30 kB on Wikipedia; an original on Commons can be 20 MB."""
MAXIMUM_PIXELS = 40_000_000
"""40 megapixels are 120 MB decoded."""
MAXIMUM_ASPECT = 10
"""A banner longer than this is no picture of a film, and its scaled copy would be huge."""
JPEG_QUALITY = 90
_BACKGROUND = (255, 255, 255)
"""Behind transparent pixels, as on a wiki page."""
_PILLOW_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, NotImplementedError, EOFError, IndexError, KeyError, AttributeError,
    OverflowError, ZeroDivisionError, MemoryError, RuntimeError, struct.error, zlib.error, AssertionError,
)  # fmt: skip


@dataclass(frozen=True)
class Thumbnail:
    """A kept picture. `sha256` is of the bytes as they were found."""

    sha256: str
    width: int
    height: int
    jpeg: bytes


def make_thumbnail(data: bytes) -> Thumbnail:
    """Decode a picture of any kind and scale it so that its shorter side is 224 pixels, as an RGB JPEG.

    Raises `ItemError` with `too_large`, `too_many_pixels` or `not_an_image`.
    """
    if len(data) > MAXIMUM_BYTES:
        raise ItemError("too_large", f"The picture has {len(data):,} bytes, over the limit of {MAXIMUM_BYTES:,}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a bomb is refused by our own limit below, the rest is about metadata
            picture = _scaled(_rgb(_opened(data)))
            buffer = io.BytesIO()
            picture.save(buffer, "JPEG", quality=JPEG_QUALITY)
    except Image.DecompressionBombError as error:
        raise ItemError("too_many_pixels", f"The picture unpacks to too many pixels: {error}") from error
    except _PILLOW_ERRORS as error:
        raise ItemError("not_an_image", f"The picture cannot be decoded: {type(error).__name__}: {error}") from error
    return Thumbnail(hashlib.sha256(data).hexdigest(), picture.width, picture.height, buffer.getvalue())


def _opened(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    width, height = picture.size
    if width * height > MAXIMUM_PIXELS:
        raise ItemError("too_many_pixels", f"The picture is {width} × {height}, over {MAXIMUM_PIXELS:,} pixels")
    if min(width, height) < 1 or max(width, height) > MAXIMUM_ASPECT * min(width, height):
        raise ItemError("not_an_image", f"The picture is {width} × {height}, which is no picture of a film")
    if picture.format == "JPEG":  # let libjpeg scale while decoding; measured twice as fast on posters
        picture.draft("RGB", (2 * SHORTER_SIDE_PIXELS, 2 * SHORTER_SIDE_PIXELS))
    picture.seek(0)
    picture.load()
    return picture


def _rgb(picture: Image.Image) -> Image.Image:
    """Turn it upright and to eight-bit RGB: CMYK, palette, grey, 16-bit, and transparency on white."""
    upright = ImageOps.exif_transpose(picture)
    if upright.mode.startswith("I;16") or upright.mode in ("I", "F"):
        return _eight_bit(upright).convert("RGB")
    if upright.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in upright.info:
        layer = upright.convert("RGBA")
        ground = Image.new("RGBA", layer.size, (*_BACKGROUND, 255))
        return Image.alpha_composite(ground, layer).convert("RGB")
    return upright.convert("RGB")


def _eight_bit(picture: Image.Image) -> Image.Image:
    """16-bit and float greys scaled from their own darkest to their own lightest value."""
    grey = picture.convert("F")
    low, high = grey.getextrema()
    span = float(high) - float(low) or 1.0  # type: ignore[arg-type]
    return grey.point(lambda value: value * (255.0 / span) - float(low) * 255.0 / span).convert("L")  # type: ignore[arg-type]


def _scaled(picture: Image.Image) -> Image.Image:
    ratio = SHORTER_SIDE_PIXELS / min(picture.size)
    width, height = (max(SHORTER_SIDE_PIXELS, round(side * ratio)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.BICUBIC)


class ImageFolder:
    """A folder of pictures named as the articles name them, for films that come from an export."""

    def __init__(self, folder: str | Path) -> None:
        """Read the folder's names once. Raises `InputError` if there is no such folder."""
        self.folder = Path(folder).expanduser()
        if not self.folder.is_dir():
            raise InputError(
                f"There is no folder {self.folder}; give one with the pictures the articles name, with --images"
            )
        self._paths = {_wiki_name(path.name): path for path in sorted(self.folder.rglob("*")) if path.is_file()}

    def find(self, image: str) -> Path | None:
        """The file of this name, if the folder has it."""
        return self._paths.get(_wiki_name(image))

    def read(self, image: str) -> bytes:
        """The bytes of the picture of this name. Raises `ItemError` with `missing` or `too_large`."""
        path = self.find(image)
        if path is None:
            raise ItemError("missing", f"{image} is not in {self.folder.name}", Retry.LATER)
        try:
            if path.stat().st_size > MAXIMUM_BYTES:
                raise ItemError(
                    "too_large", f"{image} has {path.stat().st_size:,} bytes, over the limit of {MAXIMUM_BYTES:,}"
                )
            return path.read_bytes()
        except OSError as error:
            raise ItemError("missing", f"{image} cannot be read: {error.strerror}", Retry.LATER) from error


def _wiki_name(name: str) -> str:
    """File names compare as the wiki compares them: underscores are spaces, the first letter is upper."""
    spaced = " ".join(name.replace("_", " ").split())
    return spaced[:1].upper() + spaced[1:]
