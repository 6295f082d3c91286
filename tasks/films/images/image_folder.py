"""A folder of images, for films from an export: files found by the names that articles use."""

from __future__ import annotations

from pathlib import Path

from storage.errors import InputError, ItemError, Retry
from tasks.films.images.thumbnails import MAX_BYTES


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
