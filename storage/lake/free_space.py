"""The space that is left on the disk of a lake, and when it is so little that it is time to free some."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from storage.lake.lake import Lake

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


def free_space(lake: Lake) -> FreeSpace:
    """Return the space on the lake's disk, or for an object store on that of its cache. Raises `OSError`."""
    folder = lake.uri() if lake.is_local else str(lake.cached("").absolute())
    disk = shutil.disk_usage(folder)
    return FreeSpace(folder, disk.free, disk.total)
