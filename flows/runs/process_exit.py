"""Keep the leak reports of DuckDB's bindings out of terminals and worker logs.

At the end of a process nanobind, with which duckdb 2.0 is built, lists every type and function that daemon threads
still refer to: some forty lines after each flow run that talks to a server. Nothing is lost, and only C++ code could
switch the list off. It is printed after the last Python code, so the error stream is closed to it then.
"""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress


def silence_leak_reports() -> None:
    """Discard what is written to the error stream after the exit handlers that are registered from now on."""
    atexit.register(_discard_errors)


def _discard_errors() -> None:
    with suppress(OSError, ValueError):
        sys.stderr.flush()
        discarded = os.open(os.devnull, os.O_WRONLY)
        os.dup2(discarded, 2)
        os.close(discarded)
