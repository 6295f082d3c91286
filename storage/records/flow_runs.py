"""Flow runs: which flow ran, with which parameters and statement of rights, and how it ended.

The lake keeps them next to Prefect's own records: Prefect's database may be deleted, but what the user stated when
audio was collected must be kept.

A run holds the lease `run-ID` until it ends. So a run that was killed, and could not record its end, can be
distinguished from one that is still running, on whatever machine: its lease is free.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from storage.code_version import installed_version
from storage.coordination.leases import LeaseKeeper
from storage.coordination.list_and_free_leases import is_leased
from storage.lake.atomic_writes_and_fences import unfenced
from storage.lake.lake import Lake
from storage.tables import tables
from storage.tables.duckdb_connection import connect
from storage.tables.schemas import FLOW_RUNS
from storage.tables.tables import latest_sql

RUNNING, CRASHED = "running", "crashed"


def record_flow_run(
    lake: Lake,
    flow_run_id: str,
    flow: str,
    state: str,
    parameters: Mapping[str, Any],
    summary: Mapping[str, Any] | None = None,
) -> None:
    """Record a run's parameters, counts and state.

    States are running, completed, nothing_yet, skipped, paused, failed, cancelled and crashed.
    """
    row = {
        "flow_run_id": flow_run_id,
        "flow": flow,
        "state": state,
        "parameters": json.dumps(parameters, sort_keys=True, default=str),
        "summary": json.dumps(summary or {}, sort_keys=True, default=str),
        "code_version": installed_version(),
    }
    with unfenced():  # a run that lost its lease still says how it ended
        tables.append(lake, FLOW_RUNS, [row], flow_run_id)


@contextmanager
def shown_alive(lake: Lake, flow_run_id: str) -> Iterator[None]:
    """Hold the lease that shows that a run is at work.

    It fences no commit, which would cost a listing each: no other run ever takes it over.
    """
    with LeaseKeeper(lake) as leases:
        leases.acquire(_lease_of(flow_run_id))
        yield


def is_alive(lake: Lake, flow_run_id: str) -> bool:
    """Return whether the process of a run that is recorded as running still holds its lease."""
    return is_leased(lake, _lease_of(flow_run_id))


def ended_before(lake: Lake, flow_run_id: str, moment: datetime) -> bool:
    """Return whether a run ended, or died, and recorded nothing since a moment; False for one that the lake lacks."""
    rows = tables.latest(lake, FLOW_RUNS, ["flow_run_id", "state", "recorded_at"]).to_pylist()
    row = next((row for row in rows if row["flow_run_id"] == flow_run_id), None)
    if row is None or row["recorded_at"] >= moment:
        return False
    return not is_alive(lake, flow_run_id)  # also one that ended: it may have been started again under its id


def record_crashes(lake: Lake) -> list[str]:
    """Record runs as crashed whose process ended before it recorded how; return their ids."""
    columns = ["flow_run_id", "flow", "state", "parameters"]
    rows = tables.latest(lake, FLOW_RUNS, columns).to_pylist()
    crashed = [row for row in rows if row["state"] == RUNNING and not is_alive(lake, row["flow_run_id"])]
    for row in crashed:
        summary = {"error": "The process ended before it could record how"}
        record_flow_run(lake, row["flow_run_id"], row["flow"], CRASHED, json.loads(row["parameters"]), summary)
    return [row["flow_run_id"] for row in crashed]


def _lease_of(flow_run_id: str) -> str:
    return f"run-{flow_run_id}"


def newest_music_folders(lake: Lake) -> list[str]:
    """Return the folders and lists of music of the newest run that collected from some."""
    with connect(lake) as connection:
        rows = connection.sql(
            f"SELECT parameters FROM {latest_sql(lake, FLOW_RUNS)} WHERE flow = 'collect-soundtracks' "
            "AND json_array_length(parameters, '$.music') > 0 ORDER BY recorded_at DESC LIMIT 1"
        ).fetchall()
    return [str(path) for (parameters,) in rows for path in json.loads(parameters)["music"]]
