"""Processes as other processes know them, here and in containers, and signals where Python's handling is not enough.

Two processes are at one place when they share the kernel (boot id) and its PID and time namespaces: only then does a
process number name the same process to both. The host's name proves nothing: a container may have that of its host.

`SigtermRaises`: SIGTERM as an exception, for a process that holds leases: its `with` blocks end, so that they are
released. `children_block_sigint`: Ctrl-C in a terminal reaches every process there, and some must outlive it.
`defer_signals` puts Ctrl-C and SIGTERM off until a block has ended, such as a step of training with its checkpoint.
`storage.tables.duckdb_connection` has what a query needs when a signal interrupts it.
"""

from __future__ import annotations

import hashlib
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

Place = tuple[str, str, str]
"""Boot id, PID namespace and time namespace."""
FIRST_PID_NAMESPACE = "pid:[4026531836]"
"""The kernel gives the first PID namespace this number (PROC_PID_INIT_INO)."""


def this_place() -> Place:
    """Return boot id, PID namespace and time namespace; each is empty where the system does not say."""
    boot_id = ""
    with suppress(OSError):
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return boot_id, _namespace("pid"), _namespace("time")


def _namespace(kind: str) -> str:
    with suppress(OSError):
        return str(Path(f"/proc/self/ns/{kind}").readlink())
    return ""


def is_alive(place: Place, pid: int, started: str) -> bool | None:
    """Return whether a process that runs at a place lives.

    None when it runs somewhere that this process cannot see, and for one that is stopped, which may never go on.
    """
    if not all(place) or place != this_place():
        return None
    if not _sees_own_namespace():
        return None if _exists(pid) else False
    if process_start(pid) != started:
        return False
    return None if _state(pid) in "Tt" else True


def _sees_own_namespace() -> bool:
    """Return whether /proc lists the processes of this PID namespace, and not those of the one around it."""
    with suppress(OSError):
        return str(Path("/proc/self").readlink()) == str(os.getpid())
    return False


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def process_start(pid: int | str) -> str | None:
    """Return when a process started, in clock ticks since boot: a process number that is used again has another start.

    None when there is no such process, or it ended and its parent has not asked for its status yet.
    """
    fields_after_name = _stat(pid)
    return None if fields_after_name[0] in "ZX" else fields_after_name[_START_TIME]


def _state(pid: int) -> str:
    return _stat(pid)[0]


def _stat(pid: int | str) -> list[str]:
    """Return the fields of /proc/PID/stat from the third, the state, on; "X" (dead) when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return ["X"]


_START_TIME = 22 - 3
"""Index of `starttime`, field 22 of /proc/PID/stat (proc(5)), counted from field 3, the first after the name."""


def place_digest() -> str:
    """Return a short name of this place, for the names of files."""
    return hashlib.blake2b(" ".join(this_place()).encode(), digest_size=4).hexdigest()


def sees_every_process() -> bool:
    """Return whether this process is in the first PID namespace of its machine."""
    with suppress(OSError):
        return str(Path("/proc/self/ns/pid").readlink()) == FIRST_PID_NAMESPACE
    return False


def is_any_process_born_at(born: str | None) -> bool:
    """Return whether a process of this machine started then: in a container it has another number, and this start."""
    numbers = (path.name for path in Path("/proc").iterdir() if path.name.isdecimal())
    return any(process_start(number) == born for number in numbers)


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
