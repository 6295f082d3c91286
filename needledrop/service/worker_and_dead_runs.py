"""Run a Prefect worker whose flow runs end cleanly when it is stopped, and which reports runs that died unnoticed.

`prefect worker start` that gets SIGTERM cancels what reads the output of its flow runs, which kills them with SIGKILL
within a second: they release no lease and save nothing. So their own SIGTERM comes first here, and the worker's own
when they have ended.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.lake.lake import lake_at
from storage.records.flow_runs import ended_before, is_alive
from storage.tables.tables import open_existing

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

POLL_SECONDS = 0.5
REPORT_SECONDS = 3
"""What a worker needs to tell the server that a run has ended."""
LOOK_SECONDS = 300
"""Between two looks for runs of whose end the server does not know."""
SETTINGS = {
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",  # the automation for dead runs waits for several
    "PYTHONSAFEPATH": "1",  # Prefect's hooks start in a folder with a storage.py, which is not ours
}
_RUN_MARK = b"PREFECT__FLOW_RUN_ID="
"""In the environment of every process that a worker starts for a flow run."""
FORGOTTEN_AFTER = timedelta(minutes=30)
"""Longer than a run may need to report its end, whose calls are repeated for eight minutes each."""

logger = logging.getLogger(__name__)


def run_worker(pool: str, limit: int) -> int:
    """Run a worker until it ends or this process gets SIGTERM or SIGINT; return its exit status, 0 when stopped.

    Its runs then get SIGTERM and as long as they need: who sent the signal decides when patience ends. A second
    signal kills the worker.
    """
    received: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: received.append(number))
    # In a session of its own: Ctrl-C in a terminal must not reach the runs before this process.
    environment = {**SETTINGS, **os.environ}
    worker = subprocess.Popen(_command(pool, limit), env=environment, start_new_session=True)  # noqa: S603  our own words
    stopped = threading.Event()
    threading.Thread(target=_look_for_forgotten_runs, args=(stopped,), daemon=True).start()
    while worker.poll() is None and not received:
        time.sleep(POLL_SECONDS)
    stopped.set()
    if worker.returncode is not None:
        return worker.returncode
    _end_runs(worker, received)
    worker.terminate()
    while worker.poll() is None:
        if len(received) > 1:
            worker.kill()
        time.sleep(POLL_SECONDS)
    return 0


def _look_for_forgotten_runs(stopped: threading.Event) -> None:
    """Look now and every five minutes, in a thread: no signal waits for the answer of a server or a lake."""
    while not stopped.is_set():
        for name in end_forgotten_runs():
            logger.warning("%s ended while the server was away, which knows it now", name)
        stopped.wait(LOOK_SECONDS)


def _command(pool: str, limit: int) -> list[str]:
    options = ["--pool", pool, "--type", "process", "--limit", str(limit), "--with-healthcheck"]
    return [sys.executable, "-m", "prefect", "worker", "start", *options]


def _end_runs(worker: subprocess.Popen[bytes], received: list[int]) -> None:
    """Send SIGTERM once to every flow run of a worker, and wait until there is none."""
    asked: set[int] = set()
    while (running := flow_runs(worker.pid)) and len(received) == 1:
        for pid in running - asked:
            logger.warning("Stopping: process %d of a flow run is asked to end", pid)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        asked |= running
        time.sleep(POLL_SECONDS)
    if asked and len(received) == 1:
        time.sleep(REPORT_SECONDS)


def flow_runs(worker: int) -> set[int]:
    """Return the processes that a worker started for flow runs; none on a system without /proc."""
    return {int(folder.name) for folder in Path("/proc").glob("[0-9]*") if _is_flow_run(folder, worker)}


def _is_flow_run(process: Path, worker: int) -> bool:
    try:
        state, parent = (process / "stat").read_text().rpartition(")")[2].split()[:2]
        return int(parent) == worker and state != "Z" and _RUN_MARK in (process / "environ").read_bytes()
    except OSError:  # it has just ended, or is another user's
        return False


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
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
    from prefect.client.schemas.objects import StateType

    types = FlowRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING, StateType.CANCELLING])
    runs = client.read_flow_runs(flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=types)))
    return [run for run in runs if run.deployment_id and run.state]


def end_dead_runs() -> list[str]:
    """Tell the server that runs are over which a killed service left behind; return their names.

    Each would keep the next run of its deployment waiting until it is missed, for seven minutes. A run of a worker that
    someone started by hand lives on: it holds its lease.
    """
    from prefect.client.orchestration import get_client
    from prefect.states import Cancelled

    from tasks.prefect_client import end_as_crashed

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
