"""Ctrl-C in a terminal reaches every process there; what others wait for is started deaf to it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def starting_deaf() -> Iterator[None]:
    """Processes that this thread starts within never hear SIGINT: they inherit which signals are blocked.

    They are ended by who started them, with another signal. The main thread hears its own afterwards, so that
    it does not leave in the middle of a start.
    """
    came: list[int] = []
    is_main = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, lambda number, _frame: came.append(number)) if is_main else None
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        if is_main:
            signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)
