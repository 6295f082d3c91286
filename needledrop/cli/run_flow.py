"""Run a flow in this process, as the commands do: quiet logs, no telemetry, errors as sentences.

Where `PREFECT_API_URL` (or a profile) names a server the run shows up there; otherwise Prefect starts
its embedded one for the length of the command.
"""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from storage.errors import NeedledropError
from tasks.interrupts import starting_deaf


class _SentenceInsteadOfTraceback(logging.Filter):
    """Prefect logs every exception twice, once with its traceback; the command says ours and Ctrl-C in a sentence."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        message = record.getMessage()
        said_already = isinstance(error, NeedledropError) or "aborted by an interrupt signal" in message
        return not said_already and not message.startswith("Finished in state")


@contextmanager
def embedded(*, verbose: bool = False) -> Iterator[None]:
    """Prepare Prefect for a flow that is called like a function; `verbose` keeps Prefect's own log lines."""
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")  # migrations of a new database
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "INFO" if verbose else "WARNING")
    os.environ.setdefault("PREFECT_SERVER_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "info" if verbose else "error")

    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        temporary_settings,
    )

    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(name).addFilter(_SentenceInsteadOfTraceback())
    # A heartbeat tells a real server that the run still lives; nobody listens to it on an embedded one,
    # and joining its thread costs a second a flow.
    is_embedded = not PREFECT_API_URL.value()
    if is_embedded:
        _use_deaf_server()
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None} if is_embedded else {}):
        try:
            yield
        except KeyboardInterrupt:
            Console(stderr=True).print("Stopped. What is committed stays; the same command goes on from there.")
            raise


def _use_deaf_server() -> None:
    """Have Prefect start its embedded server so that Ctrl-C in the terminal does not reach it.

    The server would end at once, and the flow could not say any more how it ended. Prefect keeps one object for
    the server of a process, whichever part of it asks first, and ends the server at exit.
    """
    from prefect.server.api.server import SubprocessASGIServer

    class DeafServer(SubprocessASGIServer):
        def _run_uvicorn_command(self) -> subprocess.Popen[Any]:
            with starting_deaf():
                return super()._run_uvicorn_command()

    DeafServer()
