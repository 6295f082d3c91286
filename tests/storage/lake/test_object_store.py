"""Errors of an object store's client become a `LakeError`."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from storage.errors import LakeError, StoreUnreachable
from storage.lake.lake import Lake
from storage.mels.reader import read_tracks
from storage.tables.tables import connect, open_tables

s3fs = pytest.importorskip("s3fs")


@contextmanager
def store_at(port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Point the client at a port of this machine."""
    for name, value in (("ENDPOINT_URL", f"http://127.0.0.1:{port}"), ("ACCESS_KEY_ID", "someone")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    s3fs.S3FileSystem.clear_instance_cache()  # or the client of an earlier test, with its address, would be used
    yield
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def absent_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Point the client at an address at which no server listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with store_at(bound.getsockname()[1], monkeypatch):
            yield


@pytest.fixture
def refusing_store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Point the client at a store that answers every request with one status."""

    class Refusal(BaseHTTPRequestHandler):
        def refuse(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            self.send_response(request.param)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = refuse  # noqa: N815  names of the base class

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusal) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        with store_at(server.server_port, monkeypatch):
            yield
        server.shutdown()


@pytest.mark.usefixtures("absent_store")
def test_a_store_that_does_not_answer_is_a_lake_error() -> None:
    with pytest.raises(LakeError, match="cannot be used"):
        open_tables("s3://nobody/lake")


@pytest.mark.parametrize("refusing_store", [403, 503], indirect=True)
@pytest.mark.usefixtures("refusing_store")
def test_a_store_that_is_overloaded_or_refuses_us_is_unreachable_and_the_cache_is_not_blamed(tmp_path: Path) -> None:
    lake = Lake("s3://bucket/lake", str(tmp_path))
    uses: list[Callable[[], object]] = [
        lambda: lake.read_bytes("lake.json"),
        lambda: lake.list("films"),
        lambda: lake.write_json({}, "notes.json"),
        lambda: lake.remove("notes.json"),
        lambda: lake.modified("notes.json"),
        lambda: lake.size_bytes("notes.json"),
        lambda: read_tracks(lake, "mels/year=2020/page=enwiki-1.parquet"),
    ]
    for use in uses:
        with pytest.raises(StoreUnreachable, match=r"The store of s3://bucket/lake cannot be used"):
            use()


@pytest.mark.parametrize("refusing_store", [403, 503], indirect=True)
@pytest.mark.usefixtures("refusing_store")
def test_a_query_that_the_store_refuses_says_to_repeat_it_and_nothing_of_damage(tmp_path: Path) -> None:
    lake = Lake("s3://bucket/lake", str(tmp_path))
    for files in ("'s3://bucket/lake/a.parquet'", "['s3://bucket/lake/a.parquet', 's3://bucket/lake/b.parquet']"):
        with (
            pytest.raises(StoreUnreachable, match="run the same command again") as refused,
            connect(lake) as connection,
        ):
            connection.execute(f"FROM read_parquet({files})").fetchall()
        assert "verify" not in str(refused.value)
        assert "Traceback" not in str(refused.value)


def test_a_cache_that_cannot_be_written_is_named_and_not_the_store(small_disk: Callable[[str], Path]) -> None:
    lake = Lake("memory://bucket/lake", str(small_disk("ro") / "cache"))
    with pytest.raises(LakeError, match=r"/disk/cache/outbox cannot be written .* NEEDLEDROP_CACHE"):
        lake.write_json({}, "notes.json")


def test_a_full_cache_is_named_and_not_the_store(small_disk: Callable[[str], Path]) -> None:
    lake = Lake("memory://bucket/lake", str(small_disk("size=64k") / "cache"))
    with pytest.raises(LakeError, match=r"No space left to write .*/disk/cache/outbox"):
        lake.write_bytes(bytes(1 << 20), "notes.bin")
