"""A lake on an object store that cannot be used: a sentence, whatever its client raises."""

import socket

import pytest

from storage.errors import LakeError
from storage.tables.tables import open_tables

s3fs = pytest.importorskip("s3fs")


@pytest.fixture
def nobody_listens(monkeypatch):
    """The address of a store that is not there."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{taken.getsockname()[1]}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        s3fs.S3FileSystem.clear_instance_cache()  # or the client of an earlier test, with its address, would be used
        yield
    s3fs.S3FileSystem.clear_instance_cache()


def test_a_store_that_does_not_answer_is_a_sentence(nobody_listens):
    with pytest.raises(LakeError, match="cannot be used"):
        open_tables("s3://nobody/lake")
