"""Who holds leases, and whether it lives: the process, its heartbeat, and what others conclude from that.

A holder is the process that took a lease, where it runs, and the flow run that it works for. The host's name is only
shown: a container may have that of its host, and cloned machines share one.

A holder has one file `leases/holders/TOKEN.json`, however many leases it holds, with a counter that grows for as long
as it holds any. Whether it lives is judged by renewals that the observer sees, measured on the observer's own monotonic
clock: no time stamps of two machines are compared, so a wrong clock changes nothing, and a machine that slept does not
take its own sleep for the holder's silence.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import asdict, dataclass, fields
from enum import Enum
from pathlib import Path
from typing import Any

from storage.errors import LakeError
from storage.lake.atomic_writes_and_fences import temporary_file, unfenced
from storage.lake.lake import Lake, read_json
from storage.processes_and_signals import Place, is_alive, process_start, this_place

RunIsOver = Callable[[str], bool | None]
"""Whether the flow run with this id is over; None when nobody can say."""

HOLDERS = ("leases", "holders")
RENEWALS_PER_LEASE = 5
"""Heartbeats within that time, so that four may fail before a lease is lost."""
STOP_SECONDS = 10.0
"""For a renewal that is being written; a store that hangs must not use up the time that SIGTERM leaves."""
OBSERVATIONS = "observations"
"""Folder of the cache: what was seen of other holders, so that the next command need not begin to watch again."""
ANSWER_SECONDS = 10.0
"""How long an answer about a flow run counts, so that a wait does not ask Prefect every second."""
log = logging.getLogger(__name__)


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


class Heartbeat:
    """Writes a holder's counter to the lake and renews it from a thread, until it is stopped."""

    def __init__(self, lake: Lake, holder: Holder) -> None:
        self._lake = lake
        self._holder = holder
        self._counter = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._renew_until_stopped, name="lease-heartbeat", daemon=True)

    def start(self) -> None:
        """Write the first heartbeat, which must be there before any lease; nothing is done if it runs already.

        Raises `LakeError` when that fails.
        """
        if self._thread.ident is None:
            self._renew()
            self._thread.start()

    def stop(self) -> None:
        """Stop renewing, and remove the counter: whoever looks for it afterwards knows that this holder ended."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(STOP_SECONDS)
        _remove(self._lake, self._holder.token)

    def _renew_until_stopped(self) -> None:
        while not self._stopping.wait(self._holder.seconds / RENEWALS_PER_LEASE):
            try:
                self._renew()
            except LakeError:
                continue  # the work itself meets the full disk and reports it
            except Exception:
                log.exception("A lease was not renewed; the next attempt is in a minute or less")

    def _renew(self) -> None:
        self._counter += 1
        with unfenced():
            self._lake.write_json({"counter": self._counter, **asdict(self._holder)}, *HOLDERS, _file(self._holder))


def _file(holder: Holder) -> str:
    return f"{holder.token}.json"


def _remove(lake: Lake, token: str) -> None:
    with suppress(LakeError), unfenced():  # it is judged by its silence then
        lake.remove(*HOLDERS, f"{token}.json")


class Standing(Enum):
    """What is known of a holder."""

    ALIVE = "alive"
    SILENT = "not seen renewing yet"
    """Nobody knows: no renewal was seen yet, and it was not watched for long enough."""
    DEAD = "gone"


@dataclass(frozen=True)
class _Observation:
    """The last counter that was seen, when it was first seen on this machine's clock, and whether it had grown."""

    counter: int
    first_seen: float
    was_renewed: bool
    clock: list[str]


class Observer:
    """Judges other holders from what it sees of them, and remembers it in this machine's cache."""

    def __init__(self, lake: Lake, flow_run: FlowRun) -> None:
        self._lake = lake
        self._flow_run = flow_run
        self._seen: dict[str, _Observation] = {}
        self._answers: dict[str, tuple[float, bool | None]] = {}

    def standing(self, holder: Holder | None) -> Standing:
        """Return what is known of a holder; None, a file that no version writes, is nobody.

        Its flow run decides first, then its process if that can be seen from here, then its heartbeat. A process that
        is seen to live and does not renew, because it hangs, is dead all the same when it was silent for too long.
        """
        if holder is None or self._is_run_over(holder):
            return Standing.DEAD
        counter = _read_counter(self._lake, holder.token)
        is_alive = is_process_alive(holder)
        if counter is None or is_alive is False:
            self._forget(holder.token)
            return Standing.DEAD
        standing = self._by_heartbeat(holder, counter)
        return Standing.ALIVE if standing is Standing.SILENT and is_alive else standing

    def _is_run_over(self, holder: Holder) -> bool:
        if not holder.flow_run_id:
            return False
        if holder.flow_run_id == self._flow_run.id:
            return not _is_this_process(holder)  # an earlier attempt of this very run
        asked_at, is_over = self._answers.get(holder.flow_run_id, (float("-inf"), None))
        if time.monotonic() - asked_at > min(ANSWER_SECONDS, holder.seconds / RENEWALS_PER_LEASE):
            is_over = self._flow_run.is_over(holder.flow_run_id)
            self._answers[holder.flow_run_id] = time.monotonic(), is_over
        return bool(is_over)

    def _by_heartbeat(self, holder: Holder, counter: int) -> Standing:
        now, seen = time.monotonic(), self._recall(holder)
        if seen is None or counter != seen.counter:
            self._remember(holder, _Observation(counter, now, seen is not None, _clock()))
            return Standing.SILENT if seen is None else Standing.ALIVE
        silence = now - seen.first_seen
        if silence >= holder.seconds:
            return Standing.DEAD
        return Standing.ALIVE if seen.was_renewed and silence < self._late(holder) else Standing.SILENT

    @staticmethod
    def _late(holder: Holder) -> float:
        """Return the silence after which a renewal is overdue."""
        return 1.5 * holder.seconds / RENEWALS_PER_LEASE

    def _recall(self, holder: Holder) -> _Observation | None:
        if holder.token not in self._seen:
            with suppress(OSError, ValueError, TypeError):
                seen = _Observation(**json.loads(self._file(holder.token).read_text()))
                if seen.clock == _clock():
                    self._seen[holder.token] = seen
        return self._seen.get(holder.token)

    def _remember(self, holder: Holder, observation: _Observation) -> None:
        self._seen[holder.token] = observation
        file = self._file(holder.token)
        # Where the cache cannot be written, the next command begins to watch again.
        with suppress(OSError), temporary_file(file.parent, file.name) as temporary:
            temporary.write_text(json.dumps(asdict(observation)))
            temporary.replace(file)

    def _forget(self, token: str) -> None:
        self._seen.pop(token, None)
        with suppress(OSError):
            self._file(token).unlink()

    def _file(self, token: str) -> Path:
        return self._lake.cached(OBSERVATIONS) / f"{token}.json"

    def sweep(self, holding: Collection[str]) -> None:
        """Remove the counters of dead holders but those of `holding`, tokens that leases still name."""
        for path in self._lake.list(*HOLDERS, suffix=".json"):
            token = Path(path).stem
            if (
                token.isalnum()
                and token not in holding
                and self.standing(parse_holder(read_json(self._lake, path))) is Standing.DEAD
            ):
                _remove(self._lake, token)
                self._forget(token)


def _clock() -> list[str]:
    """Return what the monotonic clock of this process counts from: the boot, as its time namespace sees it."""
    boot_id, _pid_namespace, time_namespace = this_place()
    return [boot_id, time_namespace]


def _read_counter(lake: Lake, token: str) -> int | None:
    content = read_json(lake, *HOLDERS, f"{token}.json")
    return content["counter"] if isinstance(content, dict) and isinstance(content.get("counter"), int) else None


def _is_this_process(holder: Holder) -> bool:
    return (holder.place, holder.pid, holder.started) == (this_place(), os.getpid(), process_start("self"))
