"""What every flow does around its work: its run's name, its row in `flow_runs`, its leases, its repetition, its end.

A run is recorded as running when it starts, and as completed, paused, failed or cancelled when it ends; one that is
killed cannot record that, so the next run on the lake records it as crashed. The leases that a run takes name it, so
that others may ask Prefect whether it is over.

A run's work is repeated when what failed is the infrastructure: Prefect's server, an object store, the network.
Prefect's own flow retries would repeat every failure, a misspelt parameter too. A repeated run does only what is
missing, so repeating costs little.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

import duckdb
from prefect import flow_engine
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.concurrency._leases import maintain_concurrency_lease
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from storage.coordination.holders import during_flow_run
from storage.errors import LakeError, NeedledropError, StoreUnreachable, TooManyFailed
from storage.lake.lake import Lake, lake_at
from storage.records.flow_runs import RUNNING, record_crashes, record_flow_run, shown_alive
from storage.views.run_changes import StageResult, stage_results
from tasks.prefect_errors import HTTP_ERRORS
from tasks.progress import as_duration, log_line, run_logger
from tasks.run_report import as_words

FEWEST_ITEMS = 5
"""A share of fewer items says little: one recording that cannot be decoded must not fail a nightly run."""
REASONS_SHOWN = 3
LOW_DISK_SHARE, LOW_DISK_BYTES = 0.05, 5e9
"""Below either, a run warns: 5 GB hold the mels of some 2,200 tracks of three minutes."""
ANSWER_SECONDS = 10.0
"""Longest wait for the server: whoever asks goes on without an answer."""
INFRASTRUCTURE_ERRORS: tuple[type[Exception], ...] = (*HTTP_ERRORS, StoreUnreachable, ConnectionError)
RETRIES = 2
RETRY_DELAY = timedelta(minutes=5)
"""Longer than a server takes to restart or to be upgraded."""
_RECORDING_ERRORS: tuple[type[Exception], ...] = (LakeError, duckdb.Error, PrefectException, *HTTP_ERRORS)
_NO_ANSWER: tuple[type[Exception], ...] = (ObjectNotFound, PrefectException, *HTTP_ERRORS, OSError, ValueError)
P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


def run_name() -> str:
    """Return the name of the present flow run: the flow, the lake's short name, and the time (UTC)."""
    root = str((flow_run.parameters or {}).get("lake") or "lake")
    return f"{flow_run.flow_name} {lake_at(root).name} {datetime.now(UTC):%Y-%m-%d %H:%M}"


@contextmanager
def recorded(lake: Lake, flow: str, run_id: str, parameters: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the run's summary, to be filled; record the run's start and end, and log both with numbers.

    The summary's keys `error`, `paused` and `nothing_yet` say that the run failed, paused or could not make a first
    version yet. An error while an error is recorded
    is noted on the first one and does not replace it.
    """
    summary: dict[str, Any] = {}
    started = time.monotonic()
    for crashed in record_crashes(lake):
        run_logger().warning("The run %s ended without a record; it is recorded as crashed now", crashed)
    with shown_alive(lake, run_id):  # before it is recorded: another run takes one without a lease for crashed
        record_flow_run(lake, run_id, flow, RUNNING, parameters)
        log_line("%s of %s started", flow, lake.root)
        _warn_of_full_disk(lake)
        try:
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
    states = {"error": "failed", "paused": "paused", "nothing_yet": "nothing_yet"}
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
    path = lake.uri() if lake.is_local else str(lake.cached("").absolute())
    with suppress(OSError):
        disk = shutil.disk_usage(path)
        if disk.free < max(LOW_DISK_BYTES, LOW_DISK_SHARE * disk.total):
            run_logger().warning(
                "Only %.1f GB of %.1f GB are free at %s; free some before the lake cannot grow",
                disk.free / 1e9,
                disk.total / 1e9,
                path,
            )


def check_failures(lake: Lake, run_id: str, max_failed_share: float) -> None:
    """Raise `TooManyFailed`, with the commonest reasons, if more than this share of a stage's items failed in a run."""
    for stage in stage_results(lake, run_id):
        if (stage.tried >= FEWEST_ITEMS or not max_failed_share) and stage.failed > max_failed_share * stage.tried:
            raise TooManyFailed(_sentence(stage, max_failed_share))


def _sentence(stage: StageResult, max_failed_share: float) -> str:
    reasons = "; ".join(
        f"{count:,} {reason} (for example: {example})" for reason, count, example in stage.reasons[:REASONS_SHOWN]
    )
    return (
        f"{stage.failed:,} of {stage.tried:,} items of stage {stage.stage} failed, more than the allowed share of "
        f"{max_failed_share:g}: {reasons}. What succeeded is kept; correct the cause and run again, or allow more "
        "with max_failed_share"
    )


def names_its_leases(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a flow's function: leases taken in it name the flow run, and of nested ones the outermost."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with asking_prefect():
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
        with (
            temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}),
            get_client(sync_client=True, httpx_settings={"timeout": ANSWER_SECONDS}) as client,
        ):
            state = client.read_flow_run(UUID(flow_run_id)).state
    except _NO_ANSWER:
        return None
    return state.is_final() if state is not None else None


def retried(work: Callable[[], T], delay: timedelta = RETRY_DELAY, retries: int = RETRIES) -> T:
    """Return what the work returns, repeating it after an error of the infrastructure. Raises the last such error."""
    for attempt in range(1, retries + 1):
        try:
            return work()
        except INFRASTRUCTURE_ERRORS as error:
            wait = as_duration(delay.total_seconds())
            run_logger().warning("%s; retry %d of %d in %s", error or type(error).__name__, attempt, retries, wait)
            time.sleep(delay.total_seconds())
    return work()


def keep_running_without_slot() -> None:
    """Have flow runs of this process log that they lost the slot of their deployment, and go on.

    Prefect allows one run of a deployment at a time. Its server keeps the slots in memory, and frees one that was not
    renewed for five minutes; its client then ends the run as if its time were up. So each restart of the server would
    end the runs that are at work. Two runs at once do no harm here: the leases of the lake keep them apart.
    """

    def maintain(lease_id: Any, seconds: float, **_options: bool) -> AbstractContextManager[None]:
        return maintain_concurrency_lease(lease_id, seconds, raise_on_lease_renewal_failure=False)

    # Prefect has no setting for this; tests/flows/test_run_record.py notices when it moves the function.
    vars(flow_engine)["maintain_concurrency_lease"] = maintain


class EachErrorOnce(logging.Filter):
    """Log one of our own errors as a sentence, any other with its traceback, and neither twice.

    Prefect logs an error where a task raised it, again in each flow around, and last in the worker's process.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record's error, if it has one, was not logged before."""
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            return True
        if hasattr(error, "was_logged"):
            return False
        error.was_logged = True  # type: ignore[attr-defined]  # an exception has no other mark, and no weak reference
        if isinstance(error, NeedledropError):
            record.msg, record.args, record.exc_info = "%s: %s", (type(error).__name__, error), None
        return True


def log_each_error_once() -> None:
    """Have the loggers of Prefect that report errors log each of them once."""
    for name in ("flow_runs", "task_runs", "engine"):
        logging.getLogger(f"prefect.{name}").addFilter(EachErrorOnce())


keep_running_without_slot()  # every flow imports this file
log_each_error_once()
