"""Let one run at a time use a source: a global concurrency limit of the Prefect server with a single slot.

The request rate of one run is limited in its process. These limits are over all runs and deployments of a server; one
that does not exist is created, so that an embedded server needs no set-up.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from storage.errors import SourcePaused
from tasks.prefect_client import stopping_soon

SlottedSource = Literal["wikipedia", "youtube"]
SOURCES: tuple[SlottedSource, ...] = get_args(SlottedSource)
"""The sources with a slot, each also the name of its limit; other sources are many hosts."""
SLOTS = 1
"""Wikimedia asks clients to send one request after another rather than in parallel; YouTube refuses who does not."""
MAX_WAIT = timedelta(hours=2)


@contextmanager
def source_slot(source: SlottedSource, max_wait: timedelta = MAX_WAIT) -> Iterator[None]:
    """Hold the only slot of a source during the block. Raises `SourcePaused` if other runs hold it for hours.

    A run that was killed holds it for five minutes more, then Prefect frees it. A server that is away while the slot
    is held ends nothing: the slot may then go to another run, and the request rates of both are still within what
    their budgets allow.
    """
    create_limit(source)
    timeout = max_wait.total_seconds()
    slot = concurrency(source, timeout_seconds=timeout, strict=True, raise_on_lease_renewal_failure=False)
    with ExitStack() as stack:
        try:
            stack.enter_context(slot)
        except TimeoutError as error:  # only of the wait: the block may have time-outs of its own
            message = f"Another run has held the slot {source!r} for {max_wait}; look for it, then run this again"
            raise SourcePaused(source, "busy", datetime.now(UTC) + max_wait, message) from error
        with stopping_soon():  # the slot is given back by a call of the server
            yield


def create_limit(source: SlottedSource) -> None:
    """Create the limit of a source on the server unless it exists; what an operator set it to stays."""
    with get_client(sync_client=True) as client:
        try:
            client.read_global_concurrency_limit_by_name(source)
        except ObjectNotFound:
            try:
                client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=source, limit=SLOTS))
            except ObjectAlreadyExists:
                return  # another run created it between our two requests
