"""Copies of an object store's files on this machine, each kept under the store's own mark of what is in it.

A file of the lake is never edited, but it may be replaced: a takedown blanks a recording in its shard and every
row keeps its place, so the size says nothing. The store's mark (an ETag, or else the time and the size) differs
then; the object is fetched again and the copy of what it was goes.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import Any

from storage.lake.atomic import temporary_name

_MARKS = ("ETag", "etag", "md5Hash", "content_md5")
_TIMES = ("LastModified", "last_modified", "updated", "mtime", "created", "size")
"""Where a store gives no mark of the content itself, what changes when it is written."""


def current_copy(filesystem: Any, address: str, kept: Path, inbox: Path) -> Path:
    """The copy of an object as it is in the store now, in the folder `kept`, which is its own.

    Raises `FileNotFoundError` when the store does not have it.
    """
    copy = kept / f"{_mark(filesystem.info(address))}{kept.suffix}"
    if not copy.exists():
        fetch(filesystem, address, copy, inbox)
        for older in kept.iterdir():
            if older != copy:
                with suppress(FileNotFoundError):  # another process was quicker; readers keep what they have open
                    older.unlink()
    return copy


def fetch(filesystem: Any, address: str, target: Path, inbox: Path) -> None:
    """Bring an object to a place on this machine: whole or not at all. Partial files stay in `inbox`."""
    inbox.mkdir(parents=True, exist_ok=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = inbox / temporary_name(target.name)
    try:
        filesystem.get_file(address, str(partial))
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _mark(facts: dict[str, Any]) -> str:
    said = [str(facts[name]) for name in _MARKS if facts.get(name)]
    said = said or [str(facts.get(name)) for name in _TIMES]
    return hashlib.sha256(" ".join(said).encode()).hexdigest()[:32]
