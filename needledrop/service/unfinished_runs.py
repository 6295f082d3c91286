"""The unfinished runs of a service: cancelled when it ends, and reported as crashed when they died unnoticed."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.lake.lake import lake_at
from storage.records.flow_runs import ended_before, is_alive
from storage.tables.tables import open_existing

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

logger = logging.getLogger(__name__)

CANCEL_SECONDS = 45.0
"""For flows to end: Prefect gives a process 30 s after it asked."""
POLL_SECONDS = 0.3
FORGOTTEN_AFTER = timedelta(minutes=30)
"""Longer than a run may need to report its end, whose calls are repeated for eight minutes each."""


def resume_pools() -> list[str]:
    """Resume the work pools that the last end paused; return the names of those that run processes."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        pools = [pool for pool in client.read_work_pools() if pool.type == "process"]
        for pool in pools:
            _set_paused(client, pool.name, is_paused=False)
    return [pool.name for pool in pools]


def _set_paused(client: SyncPrefectClient, pool: str, *, is_paused: bool) -> None:
    from prefect.client.schemas.actions import WorkPoolUpdate

    client.update_work_pool(pool, WorkPoolUpdate(is_paused=is_paused))


def end_runs(say: Callable[[str], None]) -> None:
    """Take no new runs, cancel those of deployments that are running, and wait until they have ended."""
    from prefect.client.orchestration import get_client

    from tasks.prefect_client import HTTP_ERRORS

    deadline = time.monotonic() + CANCEL_SECONDS
    try:
        with get_client(sync_client=True, httpx_settings={"timeout": 5}) as client:
            for pool in client.read_work_pools():
                _set_paused(client, pool.name, is_paused=True)
            while (running := _cancel_running(client)) and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
    except HTTP_ERRORS:
        return  # stopped before the server was up
    if running:
        say(f"{running} runs did not end within {CANCEL_SECONDS:.0f} s and are killed")


def _cancel_running(client: SyncPrefectClient) -> int:
    """Ask the runs of deployments to end, each once; return how many have not ended."""
    from prefect.states import Cancelling

    runs = _running(client)
    for run in runs:
        if not run.state.is_cancelling():
            client.set_flow_run_state(run.id, Cancelling())
    return len(runs)


def end_dead_runs() -> list[str]:
    """Tell the server that runs are over which a killed service left behind; return their names.

    Each would keep the next run of its deployment waiting until it is missed, for seven minutes. A run of a worker that
    someone started by hand lives on: it holds its lease.
    """
    from prefect.client.orchestration import get_client
    from prefect.states import Cancelled

    from tasks.prefect_client import end_as_crashed

    with get_client(sync_client=True) as client:
        ours = [run for run in _running(client) if "lake" in run.parameters]  # the server may have other flows too
        dead = [run for run in ours if not is_alive(lake_at(str(run.parameters["lake"])), str(run.id))]
        for run in dead:
            if run.state.is_cancelling():
                client.set_flow_run_state(run.id, Cancelled())
            else:
                end_as_crashed(client, run, "It died with the service")
    return [run.name for run in dead]


def end_forgotten_runs() -> list[str]:
    """Tell the server that runs are over that ended long ago, as their lakes show; return their names.

    The automation for dead runs is lost when its time comes while the server itself is away: Prefect judges as it
    starts, before anything in it listens. Such a run would keep the next one of its deployment waiting for ever.
    Only runs that the lake at their address has recorded are judged: a worker may see other folders than theirs.
    """
    from prefect.client.schemas.objects import StateType

    from tasks.prefect_client import NO_ANSWER, end_as_crashed, impatient_client

    ended, moment = [], datetime.now(UTC) - FORGOTTEN_AFTER
    with suppress(*NO_ANSWER), impatient_client() as client:
        begun = [run for run in _running(client) if run.state.type is not StateType.PENDING]
        for run in begun:
            is_old = run.state.timestamp < moment  # a run that was started again has an old row, until it has a new one
            if is_old and "lake" in run.parameters and _is_forgotten(str(run.parameters["lake"]), str(run.id), moment):
                end_as_crashed(client, run, "It ended while the server was away")
                ended.append(run.name)
    return ended


def _is_forgotten(root: str, run_id: str, moment: datetime) -> bool:
    """Return whether the lake shows that a run ended before a moment; False where it cannot be read, for any reason."""
    home = os.environ.get("NEEDLEDROP_HOME", "")
    try:
        lake = open_existing(root if "://" in root else str(Path(home, root)))
        return ended_before(lake, run_id, moment)
    except Exception as error:  # noqa: BLE001 - one lake says nothing about the others: it may be on a store without a driver
        logger.debug("The lake %s cannot be read (%s)", root, error)
        return False


def _running(client: SyncPrefectClient) -> list[Any]:
    """Return the runs of deployments that have begun and not ended."""
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
    from prefect.client.schemas.objects import StateType

    types = FlowRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING, StateType.CANCELLING])
    runs = client.read_flow_runs(flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=types)))
    return [run for run in runs if run.deployment_id and run.state]
