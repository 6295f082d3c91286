"""One caller at a time: runs of several deployments take turns on a wiki.

The pace of one run is kept in its own process; this cap over runs is a global concurrency limit of the
Prefect server, made here if nobody made it, so that an embedded server needs no set-up.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from storage.errors import SourcePaused

LIMIT_NAME = "wikipedia"
CALLERS = 1
"""Wikimedia asks for one request after another rather than side by side."""
LONGEST_WAIT = timedelta(hours=2)


@contextmanager
def turn() -> Iterator[None]:
    """Hold the only turn while the block runs. Raises `SourcePaused` if others keep it for hours."""
    _make_limit()
    try:
        with concurrency(LIMIT_NAME, occupy=1, timeout_seconds=LONGEST_WAIT.total_seconds(), strict=True):
            yield
    except TimeoutError as error:
        message = f"Another run has held the turn {LIMIT_NAME!r} for {LONGEST_WAIT}; look for it, then run this again"
        raise SourcePaused(LIMIT_NAME, "busy", datetime.now(UTC) + LONGEST_WAIT, message) from error


def _make_limit() -> None:
    with get_client(sync_client=True) as client:
        try:
            client.read_global_concurrency_limit_by_name(LIMIT_NAME)
        except ObjectNotFound:
            try:
                client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=LIMIT_NAME, limit=CALLERS))
            except ObjectAlreadyExists:
                return  # another run made it between our two questions
