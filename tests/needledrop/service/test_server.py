"""A server whose database does not answer says so in one sentence."""

from __future__ import annotations

import pytest
from prefect.settings import (
    PREFECT_SERVER_DATABASE_HOST,
    PREFECT_SERVER_DATABASE_PORT,
    temporary_settings,
)

from needledrop.service.containers import check_database
from storage.errors import InputError


def test_a_postgres_that_is_not_up_is_named() -> None:
    database = {PREFECT_SERVER_DATABASE_HOST: "127.0.0.1", PREFECT_SERVER_DATABASE_PORT: 9}
    with (
        temporary_settings(database),
        pytest.raises(InputError, match=r"Postgres at 127\.0\.0\.1:9 cannot be used .*PREFECT_SERVER_DATABASE_HOST"),
    ):
        check_database()


def test_a_server_on_sqlite_needs_no_postgres() -> None:
    check_database()
