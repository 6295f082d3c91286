"""Errors of the client of Prefect's server are recognised; a stopped process asks a server that is away less often."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import import_module
from threading import Thread
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.exceptions import TerminationSignal
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from needledrop.cli.run_prefect_flow import prefect_for_commands
from storage.errors import InputError
from tasks.prefect_client import CONNECT_ERRORS, HTTP_ERRORS, RETRIES_OF_THE_STOPPED, stopping_soon


def test_a_server_that_is_away_is_a_connect_error() -> None:
    away = {PREFECT_API_URL: "http://127.0.0.1:9/api"}
    with temporary_settings(away), pytest.raises(CONNECT_ERRORS), get_client(sync_client=True) as client:
        client.read_work_pools()


@pytest.fixture
def refusing_server() -> Iterator[str]:
    """The address of a server that answers 401 to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Print nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as listening:
        Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}/api"
        listening.shutdown()


def test_a_command_names_the_variable_of_a_server_that_refuses_the_log_in(refusing_server: str) -> None:
    with (
        temporary_settings({PREFECT_API_URL: refusing_server}),
        pytest.raises(InputError, match="PREFECT_API_AUTH_STRING"),
        prefect_for_commands(),
    ):
        pytest.fail("the flow would end with a traceback")


def test_a_command_names_the_server_that_is_away() -> None:
    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}),
        pytest.raises(InputError, match=r"No Prefect server answers at http://127\.0\.0\.1:9/api"),
        prefect_for_commands(),
    ):
        pytest.fail("the flow would end with a traceback")


@pytest.mark.parametrize("client", ["httpx", "httpx2"])
def test_the_errors_of_both_clients_are_recognised(client: str) -> None:
    pytest.importorskip(client)
    assert issubclass(import_module(client).ReadTimeout, HTTP_ERRORS)


@pytest.mark.parametrize(
    ("error", "retries"),
    [
        (TerminationSignal(15), RETRIES_OF_THE_STOPPED),
        (SystemExit(143), RETRIES_OF_THE_STOPPED),
        (KeyboardInterrupt(), RETRIES_OF_THE_STOPPED),
        (OSError("full"), 8),
    ],
)
def test_only_a_signal_shortens_the_retries(error: BaseException, retries: int) -> None:
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 8}):
        with pytest.raises(type(error)), stopping_soon():
            raise error
        assert PREFECT_CLIENT_MAX_RETRIES.value() == retries
