"""`needledrop bootstrap` without a server."""

from __future__ import annotations

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from needledrop.cli.bootstrap import set_up_server
from storage.errors import InputError


def test_an_unreachable_server_is_bad_input() -> None:
    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}),
        pytest.raises(InputError, match=r"No Prefect server answers at http://127\.0\.0\.1:9/api"),
    ):
        set_up_server()


def test_a_server_has_to_be_named() -> None:
    with (
        temporary_settings(restore_defaults={PREFECT_API_URL}),
        pytest.raises(InputError, match="set PREFECT_API_URL"),
    ):
        set_up_server()
