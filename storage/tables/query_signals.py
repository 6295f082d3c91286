"""Signals during a DuckDB query: DuckDB ends the query, but drops the exception that the signal's handler raised.

Ctrl-C would be a `RuntimeError` about an interrupted query then, or one about Arrow's rows where DuckDB had just called
Python for them, and a run that gets SIGTERM would count as failed.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


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
