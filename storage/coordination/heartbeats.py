"""Heartbeats of holders: a counter that grows for as long as a process holds leases, and what others conclude from it.

A holder has one file `leases/holders/TOKEN.json`, however many leases it holds. Whether it lives is judged by renewals
that the observer sees, measured on the observer's own monotonic clock: no time stamps of two machines are compared, so
a wrong clock changes nothing, and a machine that slept does not take its own sleep for the holder's silence.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from storage.coordination.holders import FlowRun, Holder, is_process_alive, parse_holder
from storage.errors import InputError, LakeError
from storage.lake.atomic import temporary_file
from storage.lake.fences import unfenced
from storage.lake.lake import Lake
from storage.lake.object_store import store_errors
from storage.processes import process_start, this_place

HOLDERS = ("leases", "holders")
SECONDS_VARIABLE = "NEEDLEDROP_LEASE_SECONDS"
"""For operators and tests: how long a holder may be silent before its leases are taken over."""
LEASE_SECONDS = 300.0
RENEWALS_PER_LEASE = 5
"""Heartbeats within that time, so that four may fail before a lease is lost."""
STOP_SECONDS = 10.0
"""For a renewal that is being written; a store that hangs must not use up the time that SIGTERM leaves."""
OBSERVATIONS = "observations"
"""Folder of the cache: what was seen of other holders, so that the next command need not begin to watch again."""
ANSWER_SECONDS = 10.0
"""How long an answer about a flow run counts, so that a wait does not ask Prefect every second."""
log = logging.getLogger(__name__)


def lease_seconds() -> float:
    """Return after how many seconds without a renewal leases that are taken from now on may be taken over.

    Raises `InputError` when the environment gives no positive number.
    """
    text = os.environ.get(SECONDS_VARIABLE, "")
    with suppress(ValueError):
        seconds = float(text or LEASE_SECONDS)
        if 0 < seconds < float("inf"):
            return seconds
    raise InputError(f"{SECONDS_VARIABLE} is {text!r}; set it to a number of seconds, such as 300, or leave it out")


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


def read_json(lake: Lake, *parts: str) -> Any:
    """Return what a file holds; None when it is absent or no JSON. Raises `LakeError` if the store is not there."""
    try:
        with store_errors(lake.root):
            return json.loads(lake.filesystem.cat_file(lake.uri(*parts)))
    except (FileNotFoundError, ValueError, RecursionError):
        return None


def _is_this_process(holder: Holder) -> bool:
    return (holder.place, holder.pid, holder.started) == (this_place(), os.getpid(), process_start("self"))
