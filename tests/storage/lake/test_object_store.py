"""Errors of an object store's client become a `LakeError`."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storage.errors import LakeError
from storage.lake.lake import Lake
from storage.tables.tables import open_tables

s3fs = pytest.importorskip("s3fs")


@pytest.fixture
def absent_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Point the client at an address at which no server listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{bound.getsockname()[1]}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        s3fs.S3FileSystem.clear_instance_cache()  # or the client of an earlier test, with its address, would be used
        yield
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.usefixtures("absent_store")
def test_a_store_that_does_not_answer_is_a_lake_error() -> None:
    with pytest.raises(LakeError, match="cannot be used"):
        open_tables("s3://nobody/lake")


def test_a_cache_that_cannot_be_written_is_named_and_not_the_store(small_disk: Callable[[str], Path]) -> None:
    lake = Lake("memory://bucket/lake", str(small_disk("ro") / "cache"))
    with pytest.raises(LakeError, match=r"/disk/cache/outbox cannot be written .* NEEDLEDROP_CACHE"):
        lake.write_json({}, "notes.json")


def test_a_full_cache_is_named_and_not_the_store(small_disk: Callable[[str], Path]) -> None:
    lake = Lake("memory://bucket/lake", str(small_disk("size=64k") / "cache"))
    with pytest.raises(LakeError, match=r"No space left to write .*/disk/cache/outbox"):
        lake.write_bytes(bytes(1 << 20), "notes.bin")
