"""SIGTERM as an exception, for a process that holds leases: its `with` blocks end, so that they are released."""

from __future__ import annotations

import signal
import threading
from typing import NoReturn


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
