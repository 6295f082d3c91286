"""Block SIGINT in child processes: Ctrl-C in a terminal reaches every process there, and some must outlive it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def children_block_sigint() -> Iterator[None]:
    """Start child processes with SIGINT blocked: a child inherits the signals that its starter blocks.

    Whoever starts them ends them with another signal. A SIGINT that arrives meanwhile reaches the main thread
    after the block, so that it does not leave in the middle of a start.
    """
    received: list[int] = []
    is_main = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, lambda number, _frame: received.append(number)) if is_main else None
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        if is_main:
            signal.signal(signal.SIGINT, handler)
        if received:
            signal.raise_signal(signal.SIGINT)
