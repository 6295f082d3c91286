"""Let the leases that a run takes name it, so that others may ask Prefect whether it is over."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from typing import ParamSpec, TypeVar
from uuid import UUID

from prefect.context import FlowRunContext
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL

from storage.coordination.holders_and_heartbeats import during_flow_run
from tasks.prefect_client import NO_ANSWER, impatient_client, stopping_soon

P = ParamSpec("P")
R = TypeVar("R")


def names_its_leases(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a flow's function: leases taken in it name the flow run, and of nested ones the outermost."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with asking_prefect(), stopping_soon():
            return function(*args, **kwargs)

    return call


def asking_prefect() -> AbstractContextManager[None]:
    """Ask Prefect about the flow runs that leases name, for as long as the block runs."""
    return during_flow_run(str(flow_run.id or ""), run_is_over)


def run_is_over(flow_run_id: str) -> bool | None:
    """Return whether a flow run ended, however it did; None when Prefect does not answer or does not know it.

    Outside a flow no server is started for this: without `PREFECT_API_URL` nobody knows.
    """
    if FlowRunContext.get() is None and not PREFECT_API_URL.value():
        return None
    try:
        with impatient_client() as client:
            state = client.read_flow_run(UUID(flow_run_id)).state
    except NO_ANSWER:
        return None
    return state.is_final() if state is not None else None
