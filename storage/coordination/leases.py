"""Leases: at most one worker at a time, on any machine, works on an item.

A lease is a small file `claims/ITEM/000001.json` that only one worker can create. It is valid until it
expires, or until its process ends when that ran on this machine. Taking over an expired lease means creating
the next number, which again only one worker can do, so there is no moment between "seen expired" and "taken" in
which a third worker could slip in. What a lease protects must be read again after the lease is acquired.

`LeaseKeeper` holds many leases and renews them from one heartbeat thread; `leased` holds a single one.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

from storage.errors import LakeError
from storage.lake.atomic import create_file, temporary_file, write_error
from storage.lake.lake import Lake
from storage.lake.object_store import store_errors

FOLDER = "claims"
"""The folder of lease files; it keeps the name that older lakes have."""
LEASE_DURATION = timedelta(minutes=45)
"""How long the items of a machine that died stay leased."""
RENEWALS_PER_LEASE = 3
"""Heartbeats within one duration, so that two may fail before the lease expires."""


@dataclass(frozen=True)
class Lease:
    """A lease that this process holds."""

    lake: Lake
    item: str
    number: int
    duration: timedelta = LEASE_DURATION

    def renew(self) -> None:
        """Extend the lease to its full duration from now. Raises `LakeError` when the lake cannot be written."""
        self.lake.write_json(_content(self.duration), FOLDER, self.item, _file_name(self.number))

    def release(self) -> None:
        """Free the item; does nothing if the lease was removed, or taken over after it expired."""
        if _numbers(self.lake, self.item)[-1:] == [self.number]:
            self.lake.remove(FOLDER, self.item)


class LeaseKeeper:
    """Leases on any number of items, renewed by a heartbeat thread and released at the end of the `with` block."""

    def __init__(self, lake: Lake, duration: timedelta = LEASE_DURATION) -> None:
        self._lake = lake
        self._duration = duration
        self._leases: dict[str, Lease] = {}
        self._lock = threading.Lock()
        """Held while renewing or releasing: renewing after the release would create the lease file again."""
        self._closing = threading.Event()
        self._heartbeat = threading.Thread(target=self._renew_until_closed, name="lease-heartbeat", daemon=True)

    def __enter__(self) -> LeaseKeeper:
        self._heartbeat.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the heartbeat, and release every lease that is still held."""
        self._closing.set()
        self._heartbeat.join()
        self.release(list(self._leases))

    def acquire(self, item: str) -> Lease | None:
        """Acquire the lease on an item; returns None when another worker holds it."""
        lease = acquire_lease(self._lake, item, duration=self._duration)
        if lease is not None:
            self._leases[item] = lease
        return lease

    def release(self, items: Iterable[str]) -> None:
        """Release these items; those that are not leased here are ignored."""
        with self._lock:
            for item in items:
                if (lease := self._leases.pop(item, None)) is not None:
                    lease.release()

    def _renew_until_closed(self) -> None:
        while not self._closing.wait(self._duration.total_seconds() / RENEWALS_PER_LEASE):
            with self._lock:
                for lease in list(self._leases.values()):
                    with contextlib.suppress(LakeError):  # the work itself meets the full disk and reports it
                        lease.renew()


@contextmanager
def leased(lake: Lake, item: str, duration: timedelta = LEASE_DURATION) -> Iterator[Lease | None]:
    """Hold the lease on an item for as long as the block runs; yields None when another worker holds it."""
    with LeaseKeeper(lake, duration) as leases:
        yield leases.acquire(item)


def acquire_lease(
    lake: Lake, item: str, *, duration: timedelta = LEASE_DURATION, now: datetime | None = None
) -> Lease | None:
    """Acquire the lease on an item; returns None when another worker holds it.

    Raises `LakeError` when the lake cannot be written.
    """
    numbers = _numbers(lake, item)
    if numbers and not _is_expired(lake, item, numbers[-1], now or datetime.now(UTC)):
        return None
    number = numbers[-1] + 1 if numbers else 1
    return Lease(lake, item, number, duration) if _create(lake, item, number, duration) else None


def is_leased(lake: Lake, item: str) -> bool:
    """Return whether a living worker holds the lease on an item."""
    numbers = _numbers(lake, item)
    return bool(numbers) and not _is_expired(lake, item, numbers[-1], datetime.now(UTC))


def forget_leases(lake: Lake, done: Collection[str]) -> None:
    """Remove the expired leases on items that are done; a lease of a living worker on such an item stays."""
    for item in {name.split("/")[1] for name in lake.list(FOLDER)}:
        numbers = _numbers(lake, item) if item in done else []
        if numbers and _is_expired(lake, item, numbers[-1], datetime.now(UTC)):
            lake.remove(FOLDER, item)


def _numbers(lake: Lake, item: str) -> list[int]:
    return [int(Path(name).stem) for name in lake.list(FOLDER, item, suffix=".json")]


def _file_name(number: int) -> str:
    return f"{number:06d}.json"


def _is_expired(lake: Lake, item: str, number: int, now: datetime) -> bool:
    try:
        content = json.loads(lake.filesystem.cat_file(lake.uri(FOLDER, item, _file_name(number))))
        until = datetime.fromisoformat(content["until"])
    except FileNotFoundError:
        return True  # released since it was listed
    except (ValueError, KeyError, TypeError):
        return True  # no worker writes such a file
    is_same_machine = content.get("host") == socket.gethostname()
    return until <= now or (is_same_machine and _process_start(int(content["pid"])) != content.get("born"))


def _content(duration: timedelta) -> dict[str, Any]:
    pid = os.getpid()
    until = datetime.now(UTC) + duration
    return {"host": socket.gethostname(), "pid": pid, "born": _process_start(pid), "until": until.isoformat()}


def _process_start(pid: int) -> str | None:
    """Return when a process of this machine started, in clock ticks since boot; a reused pid started at another time.

    None when there is no such process; "alive" where the system does not report start times.
    """
    try:
        fields_after_name = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return fields_after_name[_START_TIME]
    except (OSError, IndexError):
        with contextlib.suppress(OSError):
            os.kill(pid, 0)
            return "alive"
        return None


_START_TIME = 22 - 3
"""Index of `starttime`, field 22 of /proc/PID/stat (proc(5)), counted from field 3, the first after the name."""


def _create(lake: Lake, item: str, number: int, duration: timedelta) -> bool:
    """Create the lease file complete, or return False when it exists. Raises `LakeError` when it cannot be written."""
    content = json.dumps(_content(duration)).encode()
    target = lake.uri(FOLDER, item, _file_name(number))
    try:
        if not lake.is_local:
            with store_errors(lake.root):
                lake.filesystem.pipe_file(target, content, mode="create")
            return True
        folder = Path(target).parent
        folder.mkdir(parents=True, exist_ok=True)
        with temporary_file(folder.parent, "claim") as temporary:
            temporary.write_bytes(content)
            create_file(temporary, Path(target))
    except FileExistsError:
        return False
    except FileNotFoundError:
        return False  # its holder has just removed the folder; the next run finds the item free
    except OSError as error:
        raise write_error(error, target) from error
    return True
