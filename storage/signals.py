"""Signals where Python's own handling of them is not enough.

`SigtermRaises`: SIGTERM as an exception, for a process that holds leases: its `with` blocks end, so that they are
released. `children_block_sigint`: Ctrl-C in a terminal reaches every process there, and some must outlive it.
`query_signals`: DuckDB ends the query that a signal interrupts, but drops the exception that its handler raised, so
that Ctrl-C would be a `RuntimeError` about an interrupted query, or one about Arrow's rows where DuckDB had just called
Python for them, and a run that gets SIGTERM would count as failed. `defer_signals` puts Ctrl-C and SIGTERM off until a
block has ended, such as a step of training with its checkpoint.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any, NoReturn

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class SigtermRaises:
    """While leases are held, SIGTERM ends the process by an exception, unless somebody else handles the signal."""

    def __init__(self) -> None:
        self._is_installed = False

    def __enter__(self) -> None:
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _exit)
            self._is_installed = True

    def __exit__(self, *_error: object) -> None:
        if self._is_installed and signal.getsignal(signal.SIGTERM) is _exit:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _exit(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


@contextmanager
def query_signals() -> Iterator[None]:
    """Deliver a signal that interrupts a query of the block once more, after the block, to the handler that it has."""
    if threading.current_thread() is not threading.main_thread():  # where Python handles no signals
        yield
        return
    received: list[int] = []
    handlers = {number: handler for number in _SIGNALS if callable(handler := signal.getsignal(number))}
    noting = {number: partial(_note, received, handler) for number, handler in handlers.items()}
    interrupted: Exception | None = None
    try:
        for number, handler in noting.items():
            signal.signal(number, handler)
        yield
    except Exception as error:
        if not received:
            raise
        interrupted = error
    finally:
        for number, handler in noting.items():
            if signal.getsignal(number) is handler:
                signal.signal(number, handlers[number])
    if interrupted is not None:
        signal.raise_signal(received[-1])
        raise interrupted


def _note(received: list[int], handler: Callable[[int, FrameType | None], Any], number: int, frame: Any) -> None:
    try:
        handler(number, frame)
    except BaseException:
        received.append(number)
        raise


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


@contextmanager
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
