"""Lake: a root URL plus atomic file commits.

A file is written to a temporary name, synced, then renamed, so at any moment it is complete or absent; a
crash leaves at most a temporary file, which the next writer removes. Files are never edited. The
root is a folder (`lake/`) or an object store (`s3://bucket/prefix`), where one upload is one commit. Paths have safe
names only, so that nothing is read or written outside the root.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import InputError, LakeError
from storage.lake.atomic_writes_and_fences import (
    TEMPORARY_PREFIX,
    check_fences,
    commit_file,
    create_file,
    files_below,
    sweep_temporary_files,
    sync,
    temporary_file,
)
from storage.lake.disk_space import FreeSpace, free_space, write_error
from storage.lake.object_store import cached_copy, store_errors

LAKE_VERSION = 2
"""Raised when a layout or a schema changes in a way that older code cannot read. Since 2, runs and leases are files."""
VERSION_FILE = "lake.json"
COPIES, INBOX, OUTBOX, METRICS = "objects", "inbox", "outbox", "metrics"
"""Folders of the cache: copies of objects, downloads in progress, uploads in progress, and DuckDB files."""

_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=-]{0,200}")

CACHE_REMEDY = "make it writable or name another folder in NEEDLEDROP_CACHE"


@dataclass(frozen=True)
class Lake:
    """A root URL and the file system behind it. Cheap to create, safe to pickle, safe to share."""

    root: str
    cache_folder: str = field(default_factory=lambda: os.environ.get("NEEDLEDROP_CACHE", ".cache"))

    @property
    def is_local(self) -> bool:
        """Return whether the root is a folder on this machine."""
        return "://" not in self.root or self.root.startswith("file://")

    @property
    def name(self) -> str:
        """Return the last part of the root: a short name for people."""
        return self.root.rstrip("/").rsplit("/", 1)[-1] or "lake"

    @property
    def filesystem(self) -> Any:
        """Return the fsspec file system behind the root (fsspec keeps one instance per process).

        Listings are not cached, because another machine may commit at any time.
        """
        return fsspec.core.url_to_fs(self.root, use_listings_cache=False)[0]

    def uri(self, *parts: str) -> str:
        """Return the full path of a file or folder in the lake, as DuckDB and pyarrow read it.

        Raises `LakeError` for a part that could leave the lake (`..`, `/etc`, an unchecked title).
        """
        return path_below(self.root, *parts)

    def exists(self, *parts: str) -> bool:
        """Return whether this file or folder exists."""
        with store_errors(self.root):
            return bool(self.filesystem.exists(self.uri(*parts)))

    def modified(self, *parts: str) -> datetime:
        """Return when a file was committed, by the clock of the machine that stores it."""
        with store_errors(self.root):
            modified: datetime = self.filesystem.modified(self.uri(*parts))
        return modified

    def size_bytes(self, *parts: str) -> int:
        """Return the size of a file in bytes."""
        with store_errors(self.root):
            return int(self.filesystem.size(self.uri(*parts)))

    def list(self, *parts: str, suffix: str = "") -> list[str]:
        """Return the committed files below a folder, sorted, as paths relative to the root; none if it is absent."""
        base = self.uri(*parts) if parts else self.root.removeprefix("file://")
        with store_errors(self.root):
            files = files_below(base) if self.is_local else self.filesystem.find(base)
        top = self.filesystem._strip_protocol(self.root).rstrip("/") + "/"
        relative = (str(name).removeprefix(top) for name in files)
        return sorted(n for n in relative if n.endswith(suffix) and f"/{TEMPORARY_PREFIX}" not in f"/{n}")

    def read_bytes(self, *parts: str) -> bytes:
        """Return the content of a file; raises `LakeError` when it is absent."""
        try:
            with store_errors(self.root):
                return bytes(self.filesystem.cat_file(self.uri(*parts)))
        except FileNotFoundError as error:
            raise LakeError(f"{'/'.join(parts)} is not in the lake {self.root}; run the step that makes it") from error

    def read_many(self, paths: Sequence[str]) -> dict[str, bytes]:
        """Return the content of files by path, read at once from an object store; one that is absent is left out."""
        names = {self.filesystem._strip_protocol(self.uri(path)): path for path in paths}
        try:
            with store_errors(self.root):
                found = self.filesystem.cat(list(names), on_error="return") if names else {}
                for error in found.values():
                    if isinstance(error, Exception) and not isinstance(error, FileNotFoundError):
                        raise error
        except OSError as error:
            raise LakeError(f"A file of {self.root} cannot be read ({error}); check it and try again") from error
        return {names[name]: bytes(content) for name, content in found.items() if not isinstance(content, Exception)}

    def create_bytes(self, data: bytes, *parts: str) -> bool:
        """Commit a file only if none of its name exists; returns whether this call created it.

        Of several processes, on any machines, that create the same name at once, one does.
        Raises `LakeError` when the lake cannot be written.
        """
        try:
            with self.staged(*parts, replace=False) as path:
                path.write_bytes(data)
        except LakeError as error:
            if isinstance(error.__cause__, FileExistsError):
                return False
            raise
        return True

    def write_bytes(self, data: bytes, *parts: str) -> None:
        """Commit a file with these bytes."""
        with self.staged(*parts) as path:
            path.write_bytes(data)

    def write_json(self, value: Any, *parts: str) -> None:
        """Commit an indented JSON file; the same value gives the same bytes."""
        text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
        self.write_bytes((text + "\n").encode(), *parts)

    def write_table(self, table: pa.Table, *parts: str, **options: Any) -> None:
        """Commit a Parquet file (zstd unless the options say otherwise) with page checksums."""
        options = {"compression": "zstd", "write_page_checksum": True, **options}
        with self.staged(*parts) as path:
            pq.write_table(table, path, **options)

    @contextmanager
    def staged(self, *parts: str, replace: bool = True) -> Iterator[Path]:
        """Yield a local path to write; on leaving without an error the file is synced and committed.

        Raises `LakeError` when the disk is full or the lake cannot be written, when a fence around the block refuses
        the commit, without `replace` when the file exists (of two writers one commits), and when a newer version of
        Needledrop has upgraded the lake since it was opened.
        """
        target = self.uri(*parts)
        folder = Path(target).parent if self.is_local else self.cached(OUTBOX)
        try:
            with temporary_file(folder, parts[-1].rsplit("/", 1)[-1]) as temporary:
                yield temporary
                sync(temporary)
                if parts != (VERSION_FILE,):
                    stored_version(self)
                check_fences()  # last, as close to the commit as it can be
                self._commit(temporary, target, replace=replace)
        except FileExistsError as error:
            message = f"Another process has committed {'/'.join(parts)} meanwhile, and it stays; run this command again"
            raise LakeError(message) from error
        except OSError as error:
            if self.is_local:
                raise write_error(error, target) from error
            raise write_error(error, str(folder.absolute()), CACHE_REMEDY) from error

    def _commit(self, temporary: Path, target: str, *, replace: bool) -> None:
        if not self.is_local:
            self._upload(temporary, target, replace=replace)
        elif replace:
            commit_file(temporary, Path(target))
        else:
            create_file(temporary, Path(target))
            sync(Path(target).parent)

    def _upload(self, file: Path, target: str, *, replace: bool) -> None:
        """Commit a finished file to the object store, whose refusal is not one of this machine's disk."""
        try:
            with store_errors(self.root):
                self.filesystem.put_file(str(file), target, **({} if replace else {"mode": "create"}))
        except FileExistsError:
            raise
        except OSError as error:
            raise write_error(error, target) from error

    def local_path(self, *parts: str) -> Path:
        """Return a path on this machine with the file's content: the file itself, or a copy in the cache."""
        if self.is_local:
            return Path(self.uri(*parts))
        with store_errors(self.root):
            return cached_copy(self.filesystem, self.uri(*parts), self._copies(*parts), self.cached(INBOX))

    def cached(self, name: str) -> Path:
        """Return a folder of this machine's cache, which a lake on an object store uses."""
        return Path(self.cache_folder, name)

    def free_space(self) -> FreeSpace:
        """Return the space on the lake's disk, or for an object store on that of its cache. Raises `OSError`."""
        return free_space(self.uri() if self.is_local else str(self.cached("").absolute()))

    def _copies(self, *parts: str) -> Path:
        return self.cached(COPIES).joinpath(re.sub(r"[^A-Za-z0-9]+", "-", self.root), *parts)

    def remove(self, *parts: str) -> None:
        """Delete one file or folder; nothing happens if it is absent.

        Raises `LakeError` when the lake cannot be written, or a fence around this call refuses it.
        """
        check_fences()
        try:
            if not self.is_local:
                shutil.rmtree(self._copies(*parts), ignore_errors=True)
            if self.exists(*parts):
                with store_errors(self.root):
                    self.filesystem.rm(self.uri(*parts), recursive=True)
        except FileNotFoundError:
            return  # another process has just removed it
        except OSError as error:
            raise write_error(error, self.uri(*parts)) from error


def lake_at(root: str) -> Lake:
    """Return the lake at a root URL or folder, without creating or checking it."""
    return Lake(root if "://" in root else str(Path(root).expanduser().absolute()))


def check_lake_exists(root: str) -> None:
    """Raise `InputError` when there is no lake at a root, which may be mistyped."""
    if not lake_at(root).exists(VERSION_FILE):
        raise InputError(
            f"There is no lake at {root}; give the root of one with --lake, or make one with `needledrop refresh`, "
            "`needledrop films` or `needledrop demo`"
        )


def open_lake(root: str | Path) -> Lake:
    """Open a lake, creating it if it is new, and remove the temporary files of dead processes.

    Raises `InputError` for an empty root and `LakeError` when the lake cannot be written or was written
    by a newer version of Needledrop.
    """
    if not str(root).strip():
        raise InputError("The lake has no root; give a folder or s3://bucket/prefix with --lake")
    text = str(root)
    if "://" not in text and Path(text).expanduser().is_file():
        raise InputError(f"{text} is a file; give a folder or s3://bucket/prefix with --lake")
    lake = lake_at(text)
    version = stored_version(lake)
    if version is None:
        lake.write_json({"lake_version": LAKE_VERSION}, VERSION_FILE)
    elif version < LAKE_VERSION:
        with suppress(LakeError):  # read-only: what is in it can be read all the same
            lake.write_json({"lake_version": LAKE_VERSION}, VERSION_FILE)
    for folder in [Path(lake.root)] if lake.is_local else [lake.cached(name) for name in (OUTBOX, INBOX, METRICS)]:
        sweep_temporary_files(folder)
    return lake


def stored_version(lake: Lake) -> int | None:
    """Return the version of a lake, None where there is none yet.

    Read before every commit: during an upgrade, an older worker stops as soon as a newer one has opened the lake.
    Raises `LakeError` when it is newer than this Needledrop.
    """
    try:
        with store_errors(lake.root):
            found = int(json.loads(lake.filesystem.cat_file(lake.uri(VERSION_FILE)))["lake_version"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise LakeError(f"{lake.uri(VERSION_FILE)} is damaged; restore it or start a new lake") from error
    if found > LAKE_VERSION:
        raise LakeError(
            f"The lake {lake.root} has version {found}, newer than the {LAKE_VERSION} that this Needledrop reads; "
            "upgrade Needledrop"
        )
    return found


def path_below(root: str, *parts: str) -> str:
    """Return the full path of a file or folder below a root; a part may have several names, with slashes between.

    Raises `LakeError` for a part that could leave the root (`..`, `/etc`, an unchecked title).
    """
    for part in parts:
        for name in part.split("/"):
            if not _SAFE_NAME.fullmatch(name):
                raise LakeError(f"{name!r} is not a safe name inside the lake; use letters, digits, . _ = -")
    return "/".join([root.removeprefix("file://").rstrip("/"), *parts])


def read_json(lake: Lake, *parts: str) -> Any:
    """Return what a file holds; None when it is absent or no JSON. Raises `LakeError` if the store is not there."""
    try:
        with store_errors(lake.root):
            return json.loads(lake.filesystem.cat_file(lake.uri(*parts)))
    except (FileNotFoundError, ValueError, RecursionError):
        return None
