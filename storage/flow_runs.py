"""Which flow ran with which parameters, for whom and how it ended: the lake's own record beside Prefect's.

Prefect's database may be thrown away; what a person stated when audio was collected may not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from storage import tables
from storage.lake import Lake
from storage.schemas import FLOW_RUNS


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


def _code_version() -> str:
    try:
        return version("needledrop")
    except PackageNotFoundError:
        return "unknown"
