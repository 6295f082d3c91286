"""Whether a flow run is over is asked of Prefect, which may not answer."""

from __future__ import annotations

import uuid

import pytest
from prefect import flow
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.run_record import names_its_leases, run_is_over
from storage.coordination.holders import current_flow_run


@flow
def answers() -> tuple[str, bool | None]:
    return str(flow_run.id), run_is_over(str(flow_run.id))


def test_a_run_is_over_when_it_has_ended(prefect_server: None) -> None:
    run_id, while_running = answers()
    assert (while_running, run_is_over(run_id)) == (False, True)


def test_nobody_knows_about_a_run_that_the_server_does_not_know(prefect_server: None) -> None:
    assert run_is_over(str(uuid.uuid4())) is None
    assert run_is_over("no id") is None


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/api", None])
def test_nobody_knows_where_no_server_answers(address: str | None) -> None:
    with temporary_settings({PREFECT_API_URL: address}):
        assert run_is_over(str(uuid.uuid4())) is None


@flow
@names_its_leases
def outer() -> tuple[str, str, str]:
    return str(flow_run.id), current_flow_run().id, inner()


@flow
@names_its_leases
def inner() -> str:
    return current_flow_run().id


def test_leases_name_the_flow_run_that_was_started(prefect_server: None) -> None:
    run_id, in_outer, in_inner = outer()
    assert run_id == in_outer == in_inner
