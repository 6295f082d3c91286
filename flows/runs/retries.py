"""Repeat a run's work when what failed is the infrastructure: Prefect's server, an object store, the network.

Prefect's own flow retries would repeat every failure, a misspelt parameter too. A repeated run does only what is
missing, so repeating costs little.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from storage.errors import StoreUnreachable
from tasks.prefect_client import HTTP_ERRORS, is_refused
from tasks.progress import as_duration, run_logger

INFRASTRUCTURE_ERRORS: tuple[type[Exception], ...] = (*HTTP_ERRORS, StoreUnreachable, ConnectionError)
RETRIES = 2
RETRY_DELAY = timedelta(minutes=5)
"""Longer than a server takes to restart or to be upgraded."""
T = TypeVar("T")


def retried(work: Callable[[], T], delay: timedelta = RETRY_DELAY, retries: int = RETRIES) -> T:
    """Return what the work returns, repeating it after an error of the infrastructure. Raises the last such error."""
    for attempt in range(1, retries + 1):
        try:
            return work()
        except INFRASTRUCTURE_ERRORS as error:
            if is_refused(error):
                raise
            wait = as_duration(delay.total_seconds())
            run_logger().warning("%s; retry %d of %d in %s", error or type(error).__name__, attempt, retries, wait)
            time.sleep(delay.total_seconds())
    return work()
