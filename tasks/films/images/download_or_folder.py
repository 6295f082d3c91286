"""Read an image: download it from the wiki's file hosts, or find it in a folder by the name that articles use."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from storage.errors import InputError, ItemError, Retry, SourcePaused
from tasks.films.rate_limited_http import ApiError, Response, TransientError
from tasks.films.wiki.api_client import Wikipedia

MAX_BYTES = 20_000_000
"""A film poster has 30 kB on Wikipedia; an original on Commons can have 20 MB."""
DOWNLOAD_ATTEMPTS = 3
MAX_FAILED_DOWNLOADS = 5
"""So many consecutive failures mean that the file host is down."""
_WEB_PAGES = (b"<!doctype html", b"<html")


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
