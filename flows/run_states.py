"""Ask Prefect whether a flow run is over, and name the present one in the leases that it takes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from typing import ParamSpec, TypeVar
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from storage.coordination.holders import during_flow_run
from tasks.prefect_errors import HTTP_ERRORS

P = ParamSpec("P")
R = TypeVar("R")
ANSWER_SECONDS = 10.0
"""Longest wait for the server: whoever asks goes on without an answer."""
_NO_ANSWER: tuple[type[Exception], ...] = (ObjectNotFound, PrefectException, *HTTP_ERRORS, OSError, ValueError)


def run_is_over(flow_run_id: str) -> bool | None:
    """Return whether a flow run ended, however it did; None when Prefect does not answer or does not know it.

    Outside a flow no server is started for this: without `PREFECT_API_URL` nobody knows.
    """
    if FlowRunContext.get() is None and not PREFECT_API_URL.value():
        return None
    try:
        with (
            temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}),
            get_client(sync_client=True, httpx_settings={"timeout": ANSWER_SECONDS}) as client,
        ):
            state = client.read_flow_run(UUID(flow_run_id)).state
    except _NO_ANSWER:
        return None
    return state.is_final() if state is not None else None


def asking_prefect() -> AbstractContextManager[None]:
    """Ask Prefect about the flow runs that leases name, for as long as the block runs."""
    return during_flow_run(str(flow_run.id or ""), run_is_over)


def names_its_leases(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a flow's function: leases taken in it name the flow run, and of nested ones the outermost."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with asking_prefect():
            return function(*args, **kwargs)

    return call
