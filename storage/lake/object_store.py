"""Object stores: errors of their client as `StoreUnreachable`, and local copies of their objects.

A copy is kept under a tag that the store gives the object's content. A file of the lake is never edited, but it may
be replaced by one of the same size: a takedown blanks a recording in its shard and every row keeps its number. The
tag (an ETag, or else time and size) then differs, so the object is fetched again and the old copy is removed.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from storage.errors import StoreUnreachable
from storage.lake.atomic_writes_and_fences import temporary_file

_CONTENT_TAGS = ("ETag", "etag", "md5Hash", "content_md5")
_CHANGE_TAGS = ("LastModified", "last_modified", "updated", "mtime", "created", "size")
"""For a store without a tag of the content: what changes when the object is written."""


@contextmanager
def store_errors(root: str) -> Iterator[None]:
    """Turn errors of the client into `StoreUnreachable`: the store does not answer, is overloaded or refuses us."""
    try:
        yield
    except _client_errors() as error:
        raise _unreachable(root, error) from error
    except OSError as error:
        if _status_of(error) in (401, 403, 429) or _status_of(error) >= 500:
            raise _unreachable(root, error) from error
        raise


def _unreachable(root: str, error: Exception) -> StoreUnreachable:
    return StoreUnreachable(
        f"The store of {root} cannot be used ({error}); check its address, the network and the credentials"
    )


def _status_of(error: OSError) -> int:
    """Return the HTTP status with which the store answered, as the client notes on the error's cause; 0 without one."""
    answer = getattr(error.__cause__, "response", None)
    return int(answer["ResponseMetadata"]["HTTPStatusCode"]) if answer else 0


def _client_errors() -> tuple[type[Exception], ...]:
    """Return the errors of the S3 client that are not `OSError`; none unless the client is in use."""
    client = sys.modules.get("botocore.exceptions")
    return (client.BotoCoreError,) if client else ()


def cached_copy(filesystem: Any, address: str, folder: Path, inbox: Path) -> Path:
    """Return a local copy of an object as it is in the store now, fetching it if needed.

    `folder` holds the copies of this object only. Raises `FileNotFoundError` when the store does not have it.
    """
    copy = folder / f"{_tag(filesystem.info(address))}{folder.suffix}"
    if not copy.exists():
        fetch(filesystem, address, copy, inbox)
        for older in folder.iterdir():
            if older != copy:
                with suppress(FileNotFoundError):  # another process was quicker; readers keep what they have open
                    older.unlink()
    return copy


def fetch(filesystem: Any, address: str, target: Path, inbox: Path) -> None:
    """Download an object to `target`, complete or not at all. Partial files are in `inbox`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with temporary_file(inbox, target.name) as partial:
        filesystem.get_file(address, str(partial))
        partial.replace(target)


def _tag(info: dict[str, Any]) -> str:
    values = [str(info[name]) for name in _CONTENT_TAGS if info.get(name)]
    values = values or [str(info.get(name)) for name in _CHANGE_TAGS]
    return hashlib.sha256(" ".join(values).encode()).hexdigest()[:32]
