"""How every flow run starts and ends: its name, its row in `flow_runs`, its state at the end, and what fails it.

A run is recorded as running when it starts, and when it ends as completed, paused, failed, cancelled, nothing_yet (no
version can be made so far) or skipped (another run is at it). One that is killed cannot record that, so the next run on
the lake records it as crashed. A run fails when a larger share of its items failed than `max_failed_share` allows.

The leases that a run takes name it, so that others may ask Prefect whether it is over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import duckdb
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, StateType
from prefect.exceptions import PrefectException
from prefect.runtime import deployment, flow_run
from prefect.states import Completed

from flows.runs.dead_runs import end_on_the_server, run_is_over
from flows.runs.error_logging_and_workarounds import keep_running_without_slot, log_each_error_once
from storage.coordination.holders_and_heartbeats import during_flow_run
from storage.errors import LakeError
from storage.lake.lake import VERSION_FILE, Lake, lake_at
from storage.records.flow_runs import RUNNING, record_crashes, record_flow_run, shown_alive
from tasks.prefect_client import HTTP_ERRORS, stopping_soon
from tasks.progress import as_duration, log_line, run_logger
from tasks.run_report import as_words

_RECORDING_ERRORS: tuple[type[Exception], ...] = (LakeError, duckdb.Error, PrefectException, *HTTP_ERRORS)
P = ParamSpec("P")
R = TypeVar("R")


def run_name() -> str:
    """Return the name of the present flow run: the flow, the lake's short name, and the time (UTC)."""
    root = str((flow_run.parameters or {}).get("lake") or "lake")
    return f"{flow_run.flow_name} {lake_at(root).name} {datetime.now(UTC):%Y-%m-%d %H:%M}"


@contextmanager
def recorded(lake: Lake, flow: str, run_id: str, parameters: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the run's summary, to be filled; record the run's start and end, and log both with numbers.

    The summary's keys `error`, `paused`, `nothing_yet` and `skipped` say that the run failed, paused, could not make a
    first version yet, or left its work to another run. An error while an error is recorded is noted on the first one
    and does not replace it.
    """
    summary: dict[str, Any] = {}
    started = time.monotonic()
    for crashed in record_crashes(lake):
        run_logger().warning("The run %s ended without a record; it is recorded as crashed now", crashed)
        end_on_the_server(crashed)
    with shown_alive(lake, run_id):  # before it is recorded: another run takes one without a lease for crashed
        record_flow_run(lake, run_id, flow, RUNNING, parameters)
        log_line("%s of %s started", flow, lake.root)
        _warn_of_full_disk(lake)
        try:
            with stopping_soon():
                yield summary
        except BaseException as error:
            summary.setdefault("error", str(error) or type(error).__name__)
            with noted_on(error):
                record_flow_run(lake, run_id, flow, _state_after(error), parameters, summary)
            raise
        state = _state_of(summary)
        record_flow_run(lake, run_id, flow, state, parameters, summary)
    took, ended = as_duration(time.monotonic() - started), state.replace("_", " ")
    log_line("%s of %s: %s in %s: %s", flow, lake.root, ended, took, as_words(summary) or "nothing to do")


def _state_of(summary: Mapping[str, Any]) -> str:
    """Return the state of a run that ended without an exception."""
    states = {"error": "failed", "paused": "paused", "nothing_yet": "nothing_yet", "skipped": "skipped"}
    return next((state for key, state in states.items() if summary.get(key)), "completed")


@contextmanager
def noted_on(error: BaseException) -> Iterator[None]:
    """Note what goes wrong in the block on an error that is already on its way."""
    try:
        yield
    except _RECORDING_ERRORS as second:
        error.add_note(f"The record of this run is incomplete: {second}")


def _state_after(error: BaseException) -> str:
    """Return "cancelled" after Ctrl-C, SIGTERM or a cancellation on the server, else "failed".

    When a run is cancelled, its processes get SIGTERM together, so the first error may come from a worker that ended.
    """
    if not isinstance(error, Exception):
        return "cancelled"
    with suppress(PrefectException, *HTTP_ERRORS, ValueError), get_client(sync_client=True) as client:
        state = client.read_flow_run(flow_run.root_flow_run_id).state
        if state and state.type in (StateType.CANCELLING, StateType.CANCELLED):
            return "cancelled"
    return "failed"


def _warn_of_full_disk(lake: Lake) -> None:
    """Log a warning well before the disk of the lake, or of its cache, is full."""
    with suppress(OSError):
        space = lake.free_space()
        if space.is_low:
            run_logger().warning("%s", space)


def without_lake(root: str) -> State[dict[str, Any]] | None:
    """Return how a run of a deployment ends where there is no lake yet, as on its first nights; None where there is.

    It names the lake, which may be misspelt. For whoever typed a command that is an error, which the caller raises.
    """
    if not deployment.id or lake_at(root).exists(VERSION_FILE):
        return None
    message = (
        f"There is no lake at {root} yet: refresh/nightly and refresh/backfill make it. If you expected one there, "
        "correct the parameter lake of this deployment"
    )
    return Completed(name="NothingYet", message=message, data={"nothing_yet": message})


keep_running_without_slot()  # every flow imports this file
log_each_error_once()


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
