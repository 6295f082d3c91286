"""Errors of the client of Prefect's server are recognised, whichever client Prefect uses."""

from __future__ import annotations

from importlib import import_module

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from tasks.prefect_client import CONNECT_ERRORS, HTTP_ERRORS


def test_a_server_that_is_away_is_a_connect_error() -> None:
    away = {PREFECT_API_URL: "http://127.0.0.1:9/api"}
    with temporary_settings(away), pytest.raises(CONNECT_ERRORS), get_client(sync_client=True) as client:
        client.read_work_pools()


@pytest.mark.parametrize("client", ["httpx", "httpx2"])
def test_the_errors_of_both_clients_are_recognised(client: str) -> None:
    pytest.importorskip(client)
    assert issubclass(import_module(client).ReadTimeout, HTTP_ERRORS)
