"""Flow runs: which flow ran, with which parameters and statement of rights, and how it ended.

The lake keeps them next to Prefect's own records: Prefect's database may be deleted, but what the user stated when
audio was collected must be kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from storage.lake.lake import Lake
from storage.tables import tables
from storage.tables.schemas import FLOW_RUNS


def record_flow_run(
    lake: Lake,
    flow_run_id: str,
    flow: str,
    state: str,
    parameters: Mapping[str, Any],
    summary: Mapping[str, Any] | None = None,
) -> None:
    """Record a run's parameters, its state (running, completed, failed or paused) and its counts."""
    row = {
        "flow_run_id": flow_run_id,
        "flow": flow,
        "state": state,
        "parameters": json.dumps(parameters, sort_keys=True, default=str),
        "summary": json.dumps(summary or {}, sort_keys=True, default=str),
        "code_version": _code_version(),
    }
    tables.append(lake, FLOW_RUNS, [row], flow_run_id)


def _code_version() -> str:
    try:
        return version("needledrop")
    except PackageNotFoundError:
        return "unknown"
