"""Errors of an object store's client become a `LakeError`."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from storage.errors import LakeError
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
