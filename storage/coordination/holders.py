"""Who holds a lease: the process that took it, where it runs, and the flow run that it works for.

Two processes are at one place when they share the kernel (boot id) and its PID and time namespaces: only then does a
process number name the same process to both. The host's name says nothing: a container may have that of its host, and
cloned machines share one.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

RunIsOver = Callable[[str], bool | None]
"""Whether the flow run with this id is over; None when nobody can say."""


@dataclass(frozen=True)
class Holder:
    """A process that holds leases, as it describes itself in the lake.

    `token` is random and names its heartbeat; `started` is its start in clock ticks since boot; `seconds` is after how
    long without a renewal its leases may be taken over; `acquired_at` is by its own clock and is only shown.
    """

    token: str
    host: str
    boot_id: str
    pid_namespace: str
    time_namespace: str
    pid: int
    started: str
    flow_run_id: str
    seconds: float
    acquired_at: str = ""

    @property
    def place(self) -> tuple[str, str, str]:
        """Where its process number has a meaning."""
        return self.boot_id, self.pid_namespace, self.time_namespace

    def __str__(self) -> str:
        run = f", flow run {self.flow_run_id}" if self.flow_run_id else ""
        return f"process {self.pid} on {self.host}{run}"


def this_process(flow_run_id: str, seconds: float) -> Holder:
    """Return a new holder for this process."""
    boot_id, pid_namespace, time_namespace = this_place()
    return Holder(
        token=secrets.token_hex(8),
        host=socket.gethostname(),
        boot_id=boot_id,
        pid_namespace=pid_namespace,
        time_namespace=time_namespace,
        pid=os.getpid(),
        started=process_start("self") or "",
        flow_run_id=flow_run_id,
        seconds=seconds,
    )


def parse_holder(content: Any) -> Holder | None:
    """Return the holder that a lease file names; None for content that no version writes."""
    try:
        return Holder(**{field.name: content[field.name] for field in fields(Holder)})
    except (KeyError, TypeError):
        return None


def this_place() -> tuple[str, str, str]:
    """Return boot id, PID namespace and time namespace; each is empty where the system does not say."""
    boot_id = ""
    with suppress(OSError):
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return boot_id, _namespace("pid"), _namespace("time")


def _namespace(kind: str) -> str:
    with suppress(OSError):
        return str(Path(f"/proc/self/ns/{kind}").readlink())
    return ""


def is_process_alive(holder: Holder) -> bool | None:
    """Return whether the process of a holder lives.

    None when it runs somewhere that this process cannot see, and for one that is stopped, which may never go on.
    """
    if not all(holder.place) or holder.place != this_place():
        return None
    if not _sees_own_namespace():
        return None if _exists(holder.pid) else False
    if process_start(holder.pid) != holder.started:
        return False
    return None if _state(holder.pid) in "Tt" else True


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


@dataclass(frozen=True)
class FlowRun:
    """The flow run that this process works for (empty: none), and whom to ask whether another one is over."""

    id: str = ""
    is_over: RunIsOver = lambda _id: None


_flow_run: ContextVar[FlowRun] = ContextVar("flow_run", default=FlowRun())  # noqa: B039  # it is frozen


def current_flow_run() -> FlowRun:
    """Return the flow run that leases acquired now are named after."""
    return _flow_run.get()


@contextmanager
def during_flow_run(flow_run_id: str, run_is_over: RunIsOver) -> Iterator[None]:
    """Name the flow run that leases acquired in the block belong to; of nested ones it is the outermost.

    `run_is_over` is asked about the flow runs of other holders: the leases of one that is over are free at once.
    """
    outer = _flow_run.get()
    setting = _flow_run.set(FlowRun(outer.id or flow_run_id, run_is_over))
    try:
        yield
    finally:
        _flow_run.reset(setting)
