"""Run a flow in this process, as the commands do: quiet logs, no telemetry, errors as sentences.

Where `PREFECT_API_URL` (or a profile) names a server the run is recorded there; otherwise Prefect starts an
embedded server for the length of the command, so that Ctrl-C in the terminal does not reach it. That is the one place
that relies on something private of Prefect; tests/needledrop/cli/test_embedded_server.py notices when it moves.
"""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

from rich.console import Console

from flows.parameters import check
from storage.errors import InputError, NeedledropError
from storage.processes_and_signals import children_block_sigint
from tasks.options_and_defaults import OptionGroup

EMBEDDED_RETRIES = 2
"""After 2 and 4 seconds. What ends a whole group of processes, as timeout, systemd and batch systems do, ends the
embedded server too; the flow would wait for more than eight minutes to report its end, with its leases still held."""


def run_flow(entrypoint: str, parameters: OptionGroup, *, verbose: bool) -> Any:
    """Check the parameters of a flow ("flows.refresh:refresh"), call it and return its result.

    Raises `InputError` before a server is started where the parameters cannot work, and where the run could not make
    a first version of the data set: on a schedule that completes as `NothingYet`, but here the user waits for one.
    """
    check(parameters)
    module, _, name = entrypoint.partition(":")
    with prefect_for_commands(verbose=verbose):
        flow = getattr(import_module(module), name)
        result = flow(**vars(parameters))
    if isinstance(result, dict) and "nothing_yet" in result:
        raise InputError(result["nothing_yet"])
    return result


def send_no_usage_data() -> None:
    """Keep Prefect from counting its users, unless they ask for it; some commands import it without running a flow."""
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")


@contextmanager
def prefect_for_commands(*, verbose: bool = False) -> Iterator[None]:
    """Set Prefect up for a flow that is called like a function; `verbose` keeps Prefect's own log lines."""
    send_no_usage_data()
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")  # migrations of a new database
    os.environ.setdefault("PREFECT_CLIENT_MAX_RETRIES", "8")  # 2 + 4 + … + 256 s: a server may be away for five minutes
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "INFO" if verbose else "WARNING")
    os.environ.setdefault("PREFECT_SERVER_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "info" if verbose else "error")

    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_CLIENT_MAX_RETRIES,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        temporary_settings,
    )

    from tasks.prefect_client import CONNECT_ERRORS, HTTP_ERRORS, impatient_client, server_named_in_errors

    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(name).filters.insert(0, _WithoutOwnErrors())  # before the one that takes the error off
    is_embedded = not PREFECT_API_URL.value()
    if is_embedded:
        start_embedded_server_with_sigint_blocked()
    else:
        with suppress(*HTTP_ERRORS), server_named_in_errors(), impatient_client() as client:
            client.read_work_pools(limit=1)  # a sentence now, where Prefect has a page of traceback after the start
    # A heartbeat tells a real server that the run is alive. Nobody reads it on an embedded one, and joining
    # its thread costs a second per flow. And an embedded server that is gone does not come back.
    embedded = {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None, PREFECT_CLIENT_MAX_RETRIES: EMBEDDED_RETRIES}
    with temporary_settings(embedded if is_embedded else {}):
        try:
            yield
        except CONNECT_ERRORS as error:
            if not is_embedded:
                raise
            raise NeedledropError(
                "Prefect's embedded server ended before the command, by a signal to all processes of this job or for "
                "lack of memory. What is committed stays; the same command continues from there"
            ) from error
        except KeyboardInterrupt:
            Console(stderr=True).print("Stopped. What is committed stays; the same command continues from there.")
            raise


def start_embedded_server_with_sigint_blocked() -> None:
    """Have Prefect start its embedded server so that Ctrl-C in the terminal does not end it before the flow.

    Otherwise the server would end at once, and the flow could not report any more how it ended. Prefect keeps one
    object per process for this server, whichever part asks first, and ends the server at exit.
    """
    from prefect.server.api.server import SubprocessASGIServer

    class ServerWithSigintBlocked(SubprocessASGIServer):
        def _run_uvicorn_command(self) -> subprocess.Popen[Any]:
            with children_block_sigint():
                return super()._run_uvicorn_command()

    ServerWithSigintBlocked()


class _WithoutOwnErrors(logging.Filter):
    """Drop log records of our own errors and of Ctrl-C: the command prints each of them as one sentence."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        message = record.getMessage()
        is_printed = isinstance(error, NeedledropError) or "aborted by an interrupt signal" in message
        return not is_printed and not message.startswith("Finished in state")
