"""Defer SIGINT (Ctrl-C) and SIGTERM until the end of a training step, so that the run stops with a checkpoint."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def defer_signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM in the list, and deliver the first on exit; a second one takes effect at once.

    Python delivers signals to the main thread only: in another thread the list stays empty.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    handlers: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # A job that a script started in the background ignores SIGINT, and continues to ignore it.
    previous = {number: handler for number, handler in handlers.items() if handler is not signal.SIG_IGN}

    def collect(number: int, _frame: Any) -> None:
        if received:
            signal.signal(number, previous[number])
            signal.raise_signal(number)
        received.append(number)

    for number in previous:
        signal.signal(number, collect)
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if received:
        signal.raise_signal(received[0])
