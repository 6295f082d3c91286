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
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass

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
    from flows.runs.dead_runs import end_forgotten_runs

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
