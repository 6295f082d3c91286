"""Dead runs: flow runs whose process ended before it could say how; Prefect is asked about them, and learns of them.

Whoever meets a lease that names a flow run asks whether that run is over. A run that is found dead is shown as crashed,
with its task runs: by the next run on its lake, by a worker that looks for runs of whose end the server does not know,
and by a service that starts after it was killed.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.context import FlowRunContext
from prefect.settings import PREFECT_API_URL
from prefect.states import Cancelled, Crashed

from storage.lake.lake import lake_at
from storage.records.flow_runs import ended_before, is_alive
from storage.tables.tables import open_existing
from tasks.prefect_client import NO_ANSWER, impatient_client

FORGOTTEN_AFTER = timedelta(minutes=30)
"""Longer than a run may need to report its end, whose calls are repeated for eight minutes each."""
logger = logging.getLogger(__name__)


def end_as_crashed(client: SyncPrefectClient, run: FlowRun, message: str) -> None:
    """Show a dead run, unless it is known to have ended, and its task runs, which nobody watches, as crashed."""
    crashed: State[Any] = Crashed(message=message)
    if run.state is not None and not run.state.is_final():
        client.set_flow_run_state(run.id, crashed, force=True)
    unfinished = TaskRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING])
    parts = client.read_task_runs(
        flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run.id])),
        task_run_filter=TaskRunFilter(state=TaskRunFilterState(type=unfinished)),
    )
    for part in parts:
        client.set_task_run_state(part.id, crashed, force=True)


def end_on_the_server(flow_run_id: str) -> None:
    """Have Prefect show a dead run and its task runs as crashed, unless it knows."""
    if FlowRunContext.get() is None:
        return
    with suppress(*NO_ANSWER), impatient_client() as client:
        run = client.read_flow_run(UUID(flow_run_id))
        end_as_crashed(client, run, "Its process ended before it could say how")


def run_is_over(flow_run_id: str) -> bool | None:
    """Return whether a flow run ended, however it did; None when Prefect does not answer or does not know it.

    Outside a flow no server is started for this: without `PREFECT_API_URL` nobody knows.
    """
    if FlowRunContext.get() is None and not PREFECT_API_URL.value():
        return None
    try:
        with impatient_client() as client:
            state = client.read_flow_run(UUID(flow_run_id)).state
    except NO_ANSWER:
        return None
    return state.is_final() if state is not None else None


def end_forgotten_runs() -> list[str]:
    """Tell the server that runs are over that ended long ago, as their lakes show; return their names.

    The automation for dead runs is lost when its time comes while the server itself is away: Prefect judges as it
    starts, before anything in it listens. Such a run would keep the next one of its deployment waiting for ever.
    Only runs that the lake at their address has recorded are judged: a worker may see other folders than theirs.
    """
    ended, moment = [], datetime.now(UTC) - FORGOTTEN_AFTER
    with suppress(*NO_ANSWER), impatient_client() as client:
        begun = [run for run in unfinished_runs(client) if run.state.type is not StateType.PENDING]
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


def unfinished_runs(client: SyncPrefectClient) -> list[Any]:
    """Return the runs of deployments that have begun and not ended."""
    types = FlowRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING, StateType.CANCELLING])
    runs = client.read_flow_runs(flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=types)))
    return [run for run in runs if run.deployment_id and run.state]


def end_dead_runs() -> list[str]:
    """Tell the server that runs are over which a killed service left behind; return their names.

    Each would keep the next run of its deployment waiting until it is missed, for seven minutes. A run of a worker that
    someone started by hand lives on: it holds its lease.
    """
    with get_client(sync_client=True) as client:
        # The server may have other flows too.
        ours = [run for run in unfinished_runs(client) if "lake" in run.parameters]
        dead = [run for run in ours if not is_alive(lake_at(str(run.parameters["lake"])), str(run.id))]
        for run in dead:
            if run.state.is_cancelling():
                client.set_flow_run_state(run.id, Cancelled())
            else:
                end_as_crashed(client, run, "It died with the service")
    return [run.name for run in dead]
