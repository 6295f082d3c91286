"""Who holds a lease: the process that took it, where it runs, and the flow run that it works for.

The host's name is only shown: a container may have that of its host, and cloned machines share one.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields
from typing import Any

from storage.processes import Place, is_alive, process_start, this_place

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
    def place(self) -> Place:
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
        holder = Holder(**{field.name: content[field.name] for field in fields(Holder)})
    except (KeyError, TypeError):
        return None
    texts = (holder.token, holder.host, holder.boot_id, holder.flow_run_id, holder.started, holder.acquired_at)
    is_valid = (
        all(isinstance(text, str) for text in texts)
        and holder.token.isalnum()
        and isinstance(holder.pid, int)
        and isinstance(holder.seconds, int | float)
        and 0 < holder.seconds < float("inf")
    )
    return holder if is_valid else None


def is_process_alive(holder: Holder) -> bool | None:
    """Return whether the process of a holder lives; None when that cannot be seen from here."""
    return is_alive(holder.place, holder.pid, holder.started)


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
