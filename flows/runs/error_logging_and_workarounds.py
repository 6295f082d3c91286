"""What is changed in a process that runs flows: each error is logged once, and shortcomings of libraries are met.

Prefect logs an error several times, and ends a run that lost the slot of its deployment. DuckDB's bindings fill
terminals and worker logs with leak reports: at the end of a process nanobind, with which duckdb 2.0 is built, lists
every type and function that daemon threads still refer to: some forty lines after each flow run that talks to a server.
Nothing is lost, and only C++ code could switch the list off. It is printed after the last Python code, so the error
stream is closed to it then.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
from contextlib import AbstractContextManager, suppress
from typing import Any

from storage.errors import NeedledropError


def keep_running_without_slot() -> None:
    """Have flow runs of this process log that they lost the slot of their deployment, and go on.

    Prefect allows one run of a deployment at a time. Its server keeps the slots in memory, and frees one that was not
    renewed for five minutes; its client then ends the run as if its time were up. So each restart of the server would
    end the runs that are at work. Two runs at once do no harm here: the leases of the lake keep them apart.
    """
    from prefect import flow_engine
    from prefect.concurrency._leases import maintain_concurrency_lease

    def maintain(lease_id: Any, seconds: float, **_options: bool) -> AbstractContextManager[None]:
        return maintain_concurrency_lease(lease_id, seconds, raise_on_lease_renewal_failure=False)

    # Prefect has no setting for it; test_error_logging_and_workarounds.py notices when the function moves.
    vars(flow_engine)["maintain_concurrency_lease"] = maintain


class EachErrorOnce(logging.Filter):
    """Log one of our own errors as a sentence, any other with its traceback, and neither twice.

    Prefect logs an error where a task raised it, again in each flow around, and last in the worker's process.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record's error, if it has one, was not logged before."""
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            return True
        if hasattr(error, "was_logged"):
            return False
        error.was_logged = True  # type: ignore[attr-defined]  # an exception has no other mark, and no weak reference
        if isinstance(error, NeedledropError):
            record.msg, record.args, record.exc_info = "%s: %s", (type(error).__name__, error), None
        return True


def log_each_error_once() -> None:
    """Have the loggers of Prefect that report errors log each of them once."""
    for name in ("flow_runs", "task_runs", "engine"):
        logging.getLogger(f"prefect.{name}").addFilter(EachErrorOnce())


def silence_leak_reports() -> None:
    """Discard what is written to the error stream after the exit handlers that are registered from now on."""
    atexit.register(_discard_errors)


def _discard_errors() -> None:
    with suppress(OSError, ValueError):
        sys.stderr.flush()
        discarded = os.open(os.devnull, os.O_WRONLY)
        os.dup2(discarded, 2)
        os.close(discarded)
