"""The lake: one root URL under which everything is kept, and the one way a file comes to be in it.

A file is written beside its place, synced, then renamed, so at any moment it is whole or absent; a
crash leaves at most a temporary file, which the next writer sweeps away. Files are never edited. The
root is a folder (`lake/`) or an object store (`s3://bucket/prefix`), where one upload is one commit.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import InputError, LakeError
from storage.lake.atomic import TEMPORARY_PREFIX, files_below, sweep_temporary_files, temporary_name
from storage.lake.object_cache import current_copy
from storage.lake.object_store import reached

LAKE_VERSION = 1
"""Raised when a layout or a schema changes in a way that older code cannot read."""
VERSION_FILE = "lake.json"
COPIES, INBOX, OUTBOX, METRICS = "objects", "inbox", "outbox", "metrics"
"""Folders of the cache: copies of objects, what is being fetched, what is being sent, and DuckDB files."""

_SAFE_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=-]{0,200}")


@dataclass(frozen=True)
class Lake:
    """A root URL and the file system behind it. Cheap to make, safe to pickle, safe to share."""

    root: str
    cache_folder: str = field(default_factory=lambda: os.environ.get("NEEDLEDROP_CACHE", ".cache"))

    @property
    def is_local(self) -> bool:
        """Whether the root is a folder on this machine."""
        return "://" not in self.root or self.root.startswith("file://")

    @property
    def filesystem(self) -> Any:
        """The fsspec file system behind the root (fsspec keeps one instance a process).

        Listings are not cached: another machine may have committed since.
        """
        return fsspec.core.url_to_fs(self.root, use_listings_cache=False)[0]

    def uri(self, *parts: str) -> str:
        """The full path of something in the lake, as DuckDB and pyarrow read it.

        Raises `LakeError` for a part that could leave the lake (`..`, `/etc`, a title unchecked).
        """
        for part in parts:
            for piece in part.split("/"):
                if not _SAFE_PART.fullmatch(piece):
                    raise LakeError(f"{piece!r} is not a safe name inside the lake; use letters, digits, . _ = -")
        base = self.root.removeprefix("file://").rstrip("/")
        return "/".join([base, *parts])

    def exists(self, *parts: str) -> bool:
        """Whether a file or folder stands at this place."""
        with reached(self.root):
            return bool(self.filesystem.exists(self.uri(*parts)))

    def modified(self, *parts: str) -> datetime:
        """When one file was committed, by the clock of whoever stores it."""
        moment: datetime = self.filesystem.modified(self.uri(*parts))
        return moment

    def size_bytes(self, *parts: str) -> int:
        """The size of one file in bytes."""
        return int(self.filesystem.size(self.uri(*parts)))

    def list(self, *parts: str, suffix: str = "") -> list[str]:
        """Every committed file below a folder as a path relative to the root, sorted; none if absent."""
        base = self.uri(*parts) if parts else self.root.removeprefix("file://")
        with reached(self.root):
            files = files_below(base) if self.is_local else self.filesystem.find(base)
        top = self.filesystem._strip_protocol(self.root).rstrip("/") + "/"
        relative = (str(name).removeprefix(top) for name in files)
        return sorted(n for n in relative if n.endswith(suffix) and f"/{TEMPORARY_PREFIX}" not in f"/{n}")

    def read_bytes(self, *parts: str) -> bytes:
        """The whole content of one file."""
        try:
            with reached(self.root):
                return bytes(self.filesystem.cat_file(self.uri(*parts)))
        except FileNotFoundError as error:
            raise LakeError(f"{'/'.join(parts)} is not in the lake {self.root}; run the step that makes it") from error

    def write_bytes(self, data: bytes, *parts: str) -> None:
        """Commit one file of these bytes."""
        with self.staged(*parts) as path:
            path.write_bytes(data)

    def write_json(self, value: Any, *parts: str) -> None:
        """Commit a JSON file that reads well and is the same bytes for the same value."""
        text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
        self.write_bytes((text + "\n").encode(), *parts)

    def write_table(self, table: pa.Table, *parts: str, **options: Any) -> None:
        """Commit one Parquet file (zstd unless the options say otherwise), each page with its checksum."""
        options = {"compression": "zstd", "write_page_checksum": True, **options}
        with self.staged(*parts) as path:
            pq.write_table(table, path, **options)

    @contextmanager
    def staged(self, *parts: str) -> Iterator[Path]:
        """A local path to write; on leaving without an error the file is synced and takes its place.

        Raises `LakeError` when the disk is full or the lake cannot be written.
        """
        target = self.uri(*parts)
        folder = Path(target).parent if self.is_local else self.cached(OUTBOX)
        temporary = folder / temporary_name(parts[-1].rsplit("/", 1)[-1])
        try:
            folder.mkdir(parents=True, exist_ok=True)
            yield temporary
            _sync(temporary)
            if self.is_local:
                temporary.replace(target)
                _sync(folder)
            else:
                with reached(self.root):
                    self.filesystem.put_file(str(temporary), target)
        except OSError as error:
            raise explained(error, target) from error
        finally:
            with suppress(OSError):  # absent, as after a commit, or in a folder that only reads
                temporary.unlink()

    def local_path(self, *parts: str) -> Path:
        """A path on this machine with the file's content: itself, or a copy in the cache."""
        if self.is_local:
            return Path(self.uri(*parts))
        with reached(self.root):
            return current_copy(self.filesystem, self.uri(*parts), self._kept(*parts), self.cached(INBOX))

    def cached(self, name: str) -> Path:
        """A folder on this machine for what a lake on an object store needs here."""
        return Path(self.cache_folder, name)

    def _kept(self, *parts: str) -> Path:
        return self.cached(COPIES).joinpath(re.sub(r"[^A-Za-z0-9]+", "-", self.root), *parts)

    def remove(self, *parts: str) -> None:
        """Delete one file or folder; nothing happens if it is absent.

        Raises `LakeError` when the lake cannot be written.
        """
        try:
            if not self.is_local:
                shutil.rmtree(self._kept(*parts), ignore_errors=True)
            if self.exists(*parts):
                with reached(self.root):
                    self.filesystem.rm(self.uri(*parts), recursive=True)
        except FileNotFoundError:
            return  # another process has just removed it
        except OSError as error:
            raise explained(error, self.uri(*parts)) from error


def open_lake(root: str | Path) -> Lake:
    """Open a lake, making it if it is new, and sweep what dead writers left.

    Raises `InputError` for an empty root and `LakeError` when the lake cannot be written or was made
    by a newer version of Needledrop.
    """
    if not str(root).strip():
        raise InputError("The lake has no root; give a folder or s3://bucket/prefix with --lake")
    text = str(root)
    if "://" not in text and Path(text).expanduser().is_file():
        raise InputError(f"{text} is a file; give a folder or s3://bucket/prefix with --lake")
    lake = Lake(text if "://" in text else str(Path(text).expanduser().absolute()))
    if lake.exists(VERSION_FILE):
        _check_version(lake)
    else:
        lake.write_json({"lake_version": LAKE_VERSION}, VERSION_FILE)
    for folder in [Path(lake.root)] if lake.is_local else [lake.cached(name) for name in (OUTBOX, INBOX, METRICS)]:
        sweep_temporary_files(folder)
    return lake


def _check_version(lake: Lake) -> None:
    try:
        found = int(json.loads(lake.read_bytes(VERSION_FILE))["lake_version"])
    except (ValueError, KeyError, TypeError) as error:
        raise LakeError(f"{lake.uri(VERSION_FILE)} is damaged; restore it or start a new lake") from error
    if found > LAKE_VERSION:
        raise LakeError(
            f"The lake {lake.root} has version {found}, newer than the {LAKE_VERSION} that this Needledrop reads; "
            "upgrade Needledrop"
        )


def _sync(path: Path) -> None:
    """Ask the disk to keep what was written; a rename is only safe after this."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def explained(error: OSError, target: str) -> LakeError:
    """The sentence for a write that the system refused."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return LakeError(f"No space left to write {target}; free some and run the same command again")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return LakeError(
            f"{target} cannot be written ({error.strerror}); make the lake writable or choose another --lake"
        )
    return LakeError(f"Could not write {target}: {error}")
