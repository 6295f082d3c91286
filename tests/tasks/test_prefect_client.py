"""Errors of the client of Prefect's server are recognised; a stopped process asks a server that is away less often."""

from __future__ import annotations

from importlib import import_module

import pytest
from prefect.client.orchestration import get_client
from prefect.exceptions import TerminationSignal
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from tasks.prefect_client import CONNECT_ERRORS, HTTP_ERRORS, RETRIES_OF_THE_STOPPED, stopping_soon


def test_a_server_that_is_away_is_a_connect_error() -> None:
    away = {PREFECT_API_URL: "http://127.0.0.1:9/api"}
    with temporary_settings(away), pytest.raises(CONNECT_ERRORS), get_client(sync_client=True) as client:
        client.read_work_pools()


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
