"""What every flow does around its work: its run's name, its row in `flow_runs`, and how the run ends.

A run is recorded as running when it starts, and as completed, paused, failed or cancelled when it ends; one that is
killed cannot record that, so the next run on the lake records it as crashed.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import duckdb
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.exceptions import PrefectException
from prefect.runtime import flow_run

from storage.errors import LakeError, TooManyFailed
from storage.lake.lake import Lake, lake_at
from storage.records.flow_runs import RUNNING, record_crashes, record_flow_run, shown_alive
from storage.views.run_changes import StageResult, stage_results
from tasks.prefect_errors import HTTP_ERRORS
from tasks.progress import as_duration, run_logger

FEWEST_ITEMS = 5
"""A share of fewer items says little: one recording that cannot be decoded must not fail a nightly run."""
REASONS_SHOWN = 3
LOW_DISK_SHARE, LOW_DISK_BYTES = 0.05, 5e9
"""Below either, a run warns: 5 GB hold the mels of some 2,200 tracks of three minutes."""
_RECORDING_ERRORS: tuple[type[Exception], ...] = (LakeError, duckdb.Error, PrefectException, *HTTP_ERRORS)


def run_name() -> str:
    """Return the name of the present flow run: the flow, the lake's short name, and the time (UTC)."""
    root = str((flow_run.parameters or {}).get("lake") or "lake")
    return f"{flow_run.flow_name} {lake_at(root).name} {datetime.now(UTC):%Y-%m-%d %H:%M}"


@contextmanager
def recorded(lake: Lake, flow: str, run_id: str, parameters: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the run's summary, to be filled; record the run's start and end, and log both with numbers.

    The summary's keys `error` and `paused` say that the run failed or paused. An error while an error is recorded
    is noted on the first one and does not replace it.
    """
    summary: dict[str, Any] = {}
    log, started = run_logger(), time.monotonic()
    for crashed in record_crashes(lake):
        log.warning("The run %s ended without a record; it is recorded as crashed now", crashed)
    record_flow_run(lake, run_id, flow, RUNNING, parameters)
    log.info("%s of %s started", flow, lake.root)
    _warn_of_full_disk(lake)
    with shown_alive(lake, run_id):
        try:
            yield summary
        except BaseException as error:
            summary.setdefault("error", str(error) or type(error).__name__)
            with noted_on(error):
                record_flow_run(lake, run_id, flow, _state_after(error), parameters, summary)
            raise
        state = "failed" if "error" in summary else "paused" if summary.get("paused") else "completed"
        record_flow_run(lake, run_id, flow, state, parameters, summary)
    numbers = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in summary.items() if value)
    log.info("%s of %s %s in %s: %s", flow, lake.root, state, as_duration(time.monotonic() - started), numbers)


@contextmanager
def noted_on(error: BaseException) -> Iterator[None]:
    """Note what goes wrong in the block on an error that is already on its way."""
    try:
        yield
    except _RECORDING_ERRORS as second:
        error.add_note(f"The record of this run is incomplete: {second}")


def check_failures(lake: Lake, run_id: str, max_failed_share: float) -> None:
    """Raise `TooManyFailed`, with the commonest reasons, if more than this share of a stage's items failed in a run."""
    for stage in stage_results(lake, run_id):
        if stage.tried >= FEWEST_ITEMS and stage.failed > max_failed_share * stage.tried:
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
