"""The space of a lake: what its disk has left, when that is low, the error without any, and what each folder takes."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass

from fsspec import AbstractFileSystem

from storage.errors import LakeError

LOW_SHARE, LOW_BYTES = 0.05, 5e9
"""Below either, space is low: 5 GB hold the mels of some 2,200 tracks of three minutes."""


@dataclass(frozen=True)
class FreeSpace:
    """What is free of the disk with this folder, in bytes."""

    folder: str
    free_bytes: int
    total_bytes: int

    @property
    def is_low(self) -> bool:
        """Return whether a lake on this disk can soon grow no more."""
        return self.free_bytes < max(LOW_BYTES, LOW_SHARE * self.total_bytes)

    def __str__(self) -> str:
        """Return what to do about it, as a sentence."""
        sizes = f"Only {self.free_bytes / 1e9:.1f} GB of {self.total_bytes / 1e9:.1f} GB are free"
        return f"{sizes} at {self.folder}; free some before the lake cannot grow"


def free_space(folder: str) -> FreeSpace:
    """Return the space on the disk with this folder. Raises `OSError`."""
    disk = shutil.disk_usage(folder)
    return FreeSpace(folder, disk.free, disk.total)


def write_error(
    error: OSError, target: str, remedy: str = "make the lake writable or choose another --lake"
) -> LakeError:
    """Return the `LakeError` for a write that the system refused, which says what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return LakeError(f"No space left to write {target}; free some and run the same command again")
    return LakeError(f"{target} cannot be written ({error.strerror or error}); {remedy}")


def folder_bytes(filesystem: AbstractFileSystem, root: str, local_root: str | None) -> dict[str, int]:
    """Return the bytes of each folder and file in a lake, the largest first; `local_root` is its path or None."""
    sizes: dict[str, int] = {}
    if local_root is not None:
        for path, _, names in os.walk(local_root):
            folder = path.removeprefix(local_root).lstrip("/").partition("/")[0]
            for name in names:
                with suppress(FileNotFoundError):  # another process has just renamed or merged it
                    top = folder or name
                    sizes[top] = sizes.get(top, 0) + os.lstat(f"{path}/{name}").st_size
    else:
        prefix = filesystem._strip_protocol(root).rstrip("/") + "/"
        for name, info in filesystem.find(root, detail=True).items():
            top = name.removeprefix(prefix).split("/")[0]
            sizes[top] = sizes.get(top, 0) + int(info["size"])
    return dict(sorted(sizes.items(), key=lambda pair: -pair[1]))
