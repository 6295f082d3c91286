"""A run that gets SIGTERM while Prefect's server is away ends within its grace period."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.service.conftest import Server, descendants, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
GRACE_SECONDS = 120
"""As in docker-compose.yml."""
WAITS = """
import time
from prefect import flow
from flows.runs.start_and_end import names_its_leases

@flow
@names_its_leases
def waits():
    print("waiting", flush=True)
    time.sleep(900)

waits()
"""


def test_a_run_whose_server_is_away_ends_soon_after_sigterm(server: Server) -> None:
    environment = {**server.environment, "PREFECT_CLIENT_MAX_RETRIES": "8"}  # as in the work pools
    with (server.folder / "run.log").open("wb") as log:
        run = subprocess.Popen([sys.executable, "-c", WAITS], env=environment, stdout=log, stderr=log)
    try:
        wait_until(lambda: "waiting" in (server.folder / "run.log").read_text(), "the start of the run")
        [serving] = [pid for pid in descendants(os.getpid()) if str(server.port) in _command(pid)]
        os.kill(serving, signal.SIGKILL)
        run.terminate()
        run.wait(GRACE_SECONDS)
    finally:
        run.kill()


def _command(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []
