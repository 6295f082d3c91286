"""Recognise runs that were killed: recorded as running, but no process holds their lease any more."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import partial

import pyarrow as pa

from storage.coordination.held_leases import is_leased
from storage.errors import LakeError
from storage.lake.lake import Lake
from storage.metrics import run_files
from storage.metrics.run_files import row_of, with_values

STATE = "interrupted"
MESSAGE = "Its process was ended before it had finished; training the same system again continues it"


def run_lease(run_id: str) -> str:
    """Return the item whose lease a process holds while it trains or ranks a run."""
    return f"run-{run_id}"


def mark_interrupted(lake: Lake, running: Iterable[str]) -> bool:
    """Record the runs of dead processes as interrupted; returns whether there were any.

    In a lake that cannot be written they stay as they are.
    """
    dead = [run_id for run_id in running if not is_leased(lake, run_lease(run_id))]
    for run_id in dead:
        with suppress(LakeError):
            run_files.update(lake, run_files.RUNS, run_id, partial(_interrupted, run_id))
    return bool(dead)


def _interrupted(run_id: str, rows: pa.Table) -> pa.Table:
    """Return the rows with the run interrupted, unless it has ended since it was seen running."""
    if row_of(rows, run_id)["state"].to_pylist() != ["running"]:
        return rows
    return with_values(rows, run_id, {"state": STATE, "message": MESSAGE})
