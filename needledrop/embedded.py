"""Run a flow in this process, as the commands do: quiet logs, no telemetry, errors as sentences.

Where `PREFECT_API_URL` (or a profile) names a server the run shows up there; otherwise Prefect starts
its embedded one for the length of the command.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from storage.errors import NeedledropError


class _SentenceInsteadOfTraceback(logging.Filter):
    """Prefect logs every exception twice, once with its traceback; the command prints ours as one sentence."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, NeedledropError) and not str(record.msg).startswith("Finished in state")


@contextmanager
def embedded(*, verbose: bool = False) -> Iterator[None]:
    """Prepare Prefect for a flow that is called like a function; `verbose` keeps Prefect's own log lines."""
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")  # migrations of a new database
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "INFO" if verbose else "WARNING")
    os.environ.setdefault("PREFECT_SERVER_LOGGING_LEVEL", "WARNING")

    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        temporary_settings,
    )

    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(name).addFilter(_SentenceInsteadOfTraceback())
    # A heartbeat tells a real server that the run still lives; nobody listens to it on an embedded one,
    # and joining its thread costs a second a flow.
    updates = {} if PREFECT_API_URL.value() else {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
    with temporary_settings(updates):
        yield
