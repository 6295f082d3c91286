"""Which flow ran with which parameters, for whom and how it ended: the lake's own record beside Prefect's.

Prefect's database may be thrown away; what a person stated when audio was collected may not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from storage.lake.lake import Lake
from storage.tables import tables
from storage.tables.schemas import FLOW_RUNS
from storage.views.lake_views import define_lake_views


def record_flow_run(
    lake: Lake,
    flow_run_id: str,
    flow: str,
    state: str,
    parameters: Mapping[str, Any],
    summary: Mapping[str, Any] | None = None,
) -> None:
    """Keep a run's parameters and state (running, completed, failed or paused) and its counts."""
    row = {
        "flow_run_id": flow_run_id,
        "flow": flow,
        "state": state,
        "parameters": json.dumps(parameters, sort_keys=True, default=str),
        "summary": json.dumps(summary or {}, sort_keys=True, default=str),
        "code_version": _code_version(),
    }
    tables.append(lake, FLOW_RUNS, [row], flow_run_id)


def run_counts(lake: Lake, flow_run_id: str) -> list[dict[str, Any]]:
    """What a finished run counted, beside the run of the same flow before it: name, this_run, run_before, more."""
    with tables.connect(lake) as connection:
        define_lake_views(connection, lake, temporary=True)
        columns = ("name", "this_run", "run_before", "more")
        query = f"SELECT {', '.join(columns)} FROM run_counts WHERE flow_run_id = ? ORDER BY name"
        return [dict(zip(columns, row, strict=True)) for row in connection.execute(query, [flow_run_id]).fetchall()]


def _code_version() -> str:
    try:
        return version("needledrop")
    except PackageNotFoundError:
        return "unknown"
