"""Images of films: find what has no thumbnail, download it or find it in a folder, decode it, scale it and commit it.

A thumbnail is missing if the film names an image that the lake does not have, and it was not tried since the film's
page last changed. A film from an export has a file name, looked up in a folder by the name that articles use; one from
the API has an address, whose image is downloaded from the wiki's file hosts.

Images are untrusted input: bytes and pixels are limited before anything is decoded, and every exception of Pillow (six
kinds were seen on broken files, most of them no OSError) becomes an `ItemError` with a reason. The shorter side gets
224 pixels; cropping to a square is left to training, which crops differently each time.
"""

from __future__ import annotations

import hashlib
import io
import struct
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from PIL import Image, ImageOps, UnidentifiedImageError

from storage.errors import InputError, ItemError, Retry, SourcePaused
from storage.lake.lake import Lake
from storage.records import outcomes
from storage.records.outcomes import Outcome, Stage, Status
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import FILMS, OUTCOMES, PAGES, THUMBNAILS
from tasks.films.rate_limited_http import ApiError, Response, TransientError
from tasks.films.stored_pages import PRESENT
from tasks.films.wiki.api_client import Wikipedia

MAX_BYTES = 20_000_000
"""A film poster has 30 kB on Wikipedia; an original on Commons can have 20 MB."""
DOWNLOAD_ATTEMPTS = 3
MAX_FAILED_DOWNLOADS = 5
"""So many consecutive failures mean that the file host is down."""
_WEB_PAGES = (b"<!doctype html", b"<html")
SHORTER_SIDE_PIXELS = 224
"""What the image tower reads."""
MAX_PIXELS = 40_000_000
"""40 megapixels take 120 MB when decoded."""
MAX_ASPECT = 10
"""An image longer than this is a banner, and its scaled copy would be huge."""
JPEG_QUALITY = 90
IMAGES_PER_BATCH = 100
"""Images that one task reads and commits."""
_BACKGROUND = (255, 255, 255)
"""The colour behind transparent pixels, as on a wiki page."""
_PROGRAMS = frozenset({"EPS"})
"""Kinds that Pillow hands to another program: Ghostscript runs what is written in them."""
_PILLOW_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, NotImplementedError, EOFError, IndexError, KeyError, AttributeError,
    OverflowError, ZeroDivisionError, MemoryError, RuntimeError, struct.error, zlib.error, AssertionError,
)  # fmt: skip
_SKIPPED_REASONS = frozenset({"no_image", "no_folder", "foreign_host"})


class ImageDownloads:
    """Downloads from a wiki's own file hosts (`name` or `name:port`), with the rate limit of its client."""

    def __init__(self, client: Wikipedia, hosts: frozenset[str]) -> None:
        self._client = client
        self._hosts = hosts
        self._failed = 0

    def read(self, url: str, max_bytes: int = MAX_BYTES) -> bytes:
        """Return the bytes at an address. Raises `ItemError`: foreign_host, missing, too_large, http_error."""
        if urlsplit(url).scheme not in ("http", "https") or urlsplit(url).netloc.lower() not in self._hosts:
            raise ItemError("foreign_host", f"{url} is not on the wiki's own file hosts")
        try:
            data = self._client.download(url, max_bytes, partial(_checked_file, url), DOWNLOAD_ATTEMPTS)
        except InputError as error:
            raise ItemError("http_error", str(error), Retry.LATER) from error
        except ApiError as error:
            raise ItemError("too_large", f"{url} has more than {max_bytes:,} bytes") from error
        except SourcePaused as pause:
            self._failed += 1
            if pause.reason == "asked_to_wait" or self._failed >= MAX_FAILED_DOWNLOADS:
                raise
            raise ItemError("http_error", str(pause), Retry.LATER) from pause
        self._failed = 0
        return data


def _checked_file(url: str, response: Response) -> bytes:
    """Return the body of a file. Raises `ItemError` or, for what may be a file later, `TransientError`."""
    if response.status in (404, 410):
        raise ItemError("missing", f"{url} does not exist", Retry.LATER)
    response.check()
    if not response.body or response.body[:100].lstrip().lower().startswith(_WEB_PAGES):
        raise TransientError("the answer is empty or a web page, such as a log-in, and no file")
    return response.body


class ImageFolder:
    """A folder of images with the file names that articles use, for films from an export."""

    def __init__(self, folder: str | Path) -> None:
        """List the folder once. Raises `InputError` if there is no such folder."""
        self.folder = Path(folder).expanduser()
        if not self.folder.is_dir():
            raise InputError(
                f"There is no folder {self.folder}; give the folder of the images that the articles name with --images"
            )
        self._paths = {_wiki_name(path.name): path for path in sorted(self.folder.rglob("*")) if path.is_file()}

    def find(self, image: str) -> Path | None:
        """Return the path of an image, or None if the folder has no file of this name."""
        return self._paths.get(_wiki_name(image))

    def read(self, image: str) -> bytes:
        """Return the bytes of an image. Raises `ItemError` with `missing` or `too_large`."""
        path = self.find(image)
        if path is None:
            raise ItemError("missing", f"{image} is not in {self.folder.name}", Retry.LATER)
        try:
            if path.stat().st_size > MAX_BYTES:
                raise ItemError(
                    "too_large", f"{image} has {path.stat().st_size:,} bytes, over the limit of {MAX_BYTES:,}"
                )
            return path.read_bytes()
        except OSError as error:
            raise ItemError("missing", f"{image} cannot be read: {error.strerror}", Retry.LATER) from error


def _wiki_name(name: str) -> str:
    """Return a file name as wikis compare them: underscores are spaces, the first letter is upper case."""
    spaced = " ".join(name.replace("_", " ").split())
    return spaced[:1].upper() + spaced[1:]


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


@dataclass(frozen=True)
class MissingImage:
    """A film without a thumbnail of its present image, and the result of the last attempt, if there was one."""

    film_id: str
    wiki: str
    page_id: int
    image: str | None
    image_url: str | None
    non_free: bool | None
    from_wiki: bool
    last_reason: str | None
    retry: str | None
    retry_at: datetime | None


def missing_images(lake: Lake, folder: ImageFolder | None, *, fetch: bool) -> list[MissingImage]:
    """Return the images to try in this run, which has a folder, or fetches from the wiki, or neither.

    One that failed is tried again when its page was fetched again, and not because a newer parser read the page again.
    """
    with duckdb_connection.connect(lake) as connection:
        rows = connection.execute(
            "SELECT f.film_id, f.wiki, f.page_id, f.image, f.image_url, f.image_non_free, "
            "starts_with(f.source, 'api:'), "
            "CASE WHEN o.recorded_at < p.recorded_at OR (o.status = 'ok' AND t.film_id IS NULL) THEN NULL "
            "ELSE o.reason END, o.retry, o.retry_at "
            f"FROM {tables.latest_sql(lake, FILMS)} f "
            f"LEFT JOIN {tables.latest_sql(lake, PAGES)} p USING (film_id) "
            f"LEFT JOIN {tables.latest_sql(lake, THUMBNAILS)} t USING (film_id) "
            f"LEFT JOIN {tables.latest_sql(lake, OUTCOMES)} o ON o.stage = 'thumbnail' AND o.item = f.film_id "
            "WHERE f.state = ? AND (t.film_id IS NULL OR t.image IS DISTINCT FROM f.image "
            "OR t.source_url IS DISTINCT FROM f.image_url) ORDER BY f.film_id",
            [PRESENT],
        ).fetchall()
    missing = [MissingImage(*row) for row in rows]
    return [image for image in missing if _is_due(image, folder, fetch=fetch)]


def _is_due(missing: MissingImage, folder: ImageFolder | None, *, fetch: bool) -> bool:
    if missing.last_reason is None:
        return missing.image_url is None or fetch
    if missing.image_url is None:  # the image may have been added to the folder, or the folder be given only now
        in_folder = folder is not None and missing.image is not None and folder.find(missing.image) is not None
        return in_folder and missing.last_reason in ("missing", "no_folder")
    if missing.retry == Retry.LATER:
        return fetch and missing.retry_at is not None and missing.retry_at <= datetime.now(UTC)
    return fetch and missing.retry == Retry.SOON


def commit_images(
    lake: Lake, missing: Sequence[MissingImage], read: Callable[[MissingImage], bytes], run_id: str
) -> Counter[str]:
    """Read, scale and commit the images of a batch; return the number of outcomes by reason."""
    rows: list[dict[str, Any]] = []
    results: list[Outcome] = []
    try:
        for image in missing:
            started = time.perf_counter()
            try:
                rows.append(_row(image, read(image)))
                results.append(outcomes.ok(Stage.THUMBNAIL, image.film_id, seconds=time.perf_counter() - started))
            except ItemError as error:
                status = Status.SKIPPED if error.reason in _SKIPPED_REASONS else Status.FAILED
                results.append(outcomes.from_error(Stage.THUMBNAIL, image.film_id, error, status))
    finally:  # the file host may pause the run in the middle of a batch; what was fetched is committed
        tables.append(lake, THUMBNAILS, rows, run_id)
        if results:
            outcomes.record(lake, results, run_id)
    return Counter(outcome.reason for outcome in results)


def read_image(missing: MissingImage, folder: ImageFolder | None, downloads: ImageDownloads | None) -> bytes:
    """Return the bytes of an image from the wiki or the folder. Raises `ItemError` if there are none."""
    if missing.image_url is not None and downloads is not None:
        return downloads.read(missing.image_url)
    if missing.image is None:
        raise ItemError("no_image", "The article names no image")
    if missing.from_wiki:
        raise ItemError("no_image", f"The wiki shows no {missing.image}, which the article names")
    if folder is None:
        raise ItemError("no_folder", f"No folder was given that may have {missing.image}; give one with --images")
    return folder.read(missing.image)


def _row(missing: MissingImage, data: bytes) -> dict[str, Any]:
    thumbnail = make_thumbnail(data)
    return {
        "film_id": missing.film_id,
        "wiki": missing.wiki,
        "page_id": missing.page_id,
        "source_url": missing.image_url,
        "image": missing.image,
        "non_free": missing.non_free,
        "sha256": thumbnail.sha256,
        "width": thumbnail.width,
        "height": thumbnail.height,
        "jpeg": thumbnail.jpeg,
    }
