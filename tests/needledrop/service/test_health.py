"""A health check fails when what a user would touch fails."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from needledrop.service.containers import check_health


@pytest.fixture
def polling_worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server that answers as the one of a worker does."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("PREFECT_WORKER_WEBSERVER_PORT", str(server.server_address[1]))
        yield
        server.shutdown()


@pytest.mark.usefixtures("polling_worker")
def test_a_worker_that_polls_and_writes_is_healthy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEEDLEDROP_LAKE", str(tmp_path))
    assert check_health("worker") == 0


@pytest.mark.usefixtures("polling_worker")
def test_a_worker_whose_lake_is_read_only_is_not(
    small_disk: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEEDLEDROP_LAKE", str(small_disk("ro")))
    assert check_health("worker") == 1
    assert "NEEDLEDROP_LAKE_VOLUME" in capsys.readouterr().out


def test_a_worker_that_does_not_answer_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PREFECT_WORKER_WEBSERVER_PORT", "9")
    assert check_health("worker") == 1
    assert "http://127.0.0.1:9/health does not answer" in capsys.readouterr().out
