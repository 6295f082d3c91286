"""Let one run at a time call a wiki: a global concurrency limit of the Prefect server with a single slot.

The request rate of one run is limited in its process (`rate_limit.py`). This limit is over all runs and deployments;
it is created if it does not exist, so that an embedded server needs no set-up.
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
SLOTS = 1
"""Wikimedia asks clients to send one request after another rather than in parallel."""
MAX_WAIT = timedelta(hours=2)


@contextmanager
def wiki_slot() -> Iterator[None]:
    """Hold the only slot during the block. Raises `SourcePaused` if other runs hold it for hours."""
    _create_limit()
    try:
        with concurrency(LIMIT_NAME, occupy=1, timeout_seconds=MAX_WAIT.total_seconds(), strict=True):
            yield
    except TimeoutError as error:
        message = f"Another run has held the slot {LIMIT_NAME!r} for {MAX_WAIT}; look for it, then run this again"
        raise SourcePaused(LIMIT_NAME, "busy", datetime.now(UTC) + MAX_WAIT, message) from error


def _create_limit() -> None:
    with get_client(sync_client=True) as client:
        try:
            client.read_global_concurrency_limit_by_name(LIMIT_NAME)
        except ObjectNotFound:
            try:
                client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=LIMIT_NAME, limit=SLOTS))
            except ObjectAlreadyExists:
                return  # another run created it between our two requests
