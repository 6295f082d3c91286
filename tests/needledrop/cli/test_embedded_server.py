"""The embedded server: what it relies on in Prefect, and that a command ends soon when both get SIGTERM."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from prefect.server.api.server import SubprocessASGIServer

ADVICE = "Prefect moved what needledrop/cli/run_prefect_flow.py replaces: adapt it, or Ctrl-C ends the server early"


UNTIL_STOPPED = """
import time
from needledrop.cli.run_prefect_flow import prefect_for_commands
from storage.errors import NeedledropError

def work():
    print("works", flush=True)
    time.sleep(300)

try:
    with prefect_for_commands():
        from prefect import flow
        flow(work)()
except NeedledropError as error:
    print(error)
"""


class Server(SubprocessASGIServer):
    """A subclass as run_flow makes one; never started."""


def test_prefect_starts_its_embedded_server_in_the_method_that_is_replaced() -> None:
    assert "_run_uvicorn_command" in vars(SubprocessASGIServer), ADVICE


def test_prefect_uses_the_server_that_was_made_first() -> None:
    prepared = Server(port=1)
    assert SubprocessASGIServer(port=1) is prepared, ADVICE


def test_a_command_ends_soon_when_its_server_gets_the_same_sigterm(
    repository: Path, new_prefect_home: Callable[[Path], Path], tmp_path: Path
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    command = subprocess.Popen(
        [sys.executable, "-c", UNTIL_STOPPED],
        env={**environment, "PREFECT_HOME": str(new_prefect_home(tmp_path / "prefect"))},
        cwd=repository,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert command.stdout is not None
    assert command.stdout.readline() == b"works\n"
    os.killpg(command.pid, signal.SIGTERM)
    began = time.monotonic()
    try:
        output, _ = command.communicate(timeout=90)
    finally:
        command.kill()
    is_reported = command.returncode == -signal.SIGTERM  # the server was still there and heard of the end
    assert is_reported or b"the same command continues from there" in output, f"after {time.monotonic() - began:.0f} s"
