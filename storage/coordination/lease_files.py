"""The files of leases: `leases/items/ITEM.000000001.json` names the holder, `leases/released/` what is used up.

Each is created complete by one process and never edited. Numbers only grow, also after a release: the newest file
`leases/released/000000001.json` says up to which number leases were released, and whoever acquires an item that has no
file begins above it. So no file stays behind for an item that is free.

Older versions called leases claims: `claims/ITEM/000001.json` with host, process and expiry. A process of such a
version looks nowhere else, so its claims are honoured: one blocks until it expires, which it renews every fifteen
minutes, or until its process is known to be gone. That is only known in the first PID namespace of a machine, where
every process can be seen: a claim names neither boot nor namespace, and a container may have the name of its host.
"""

from __future__ import annotations

import json
import logging
import re
import socket
from collections.abc import Collection
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from storage.coordination.heartbeats import read_json
from storage.coordination.holders import Holder, parse_holder
from storage.lake.fences import unfenced
from storage.lake.lake import Lake
from storage.processes import process_start

FOLDER, ITEMS, RELEASED = "leases", "items", "released"
_NAME = re.compile(r"(?P<item>[A-Za-z0-9][A-Za-z0-9._=-]{0,185})\.(?P<number>\d{9,18})\.json")
_MAX_LETTERS = 201
"""Of the name of a file in a lake."""
_KEPT = 2
"""Files of `RELEASED` that stay: a listing that began before the newest was created still finds the one before it."""
OLD_FOLDER = "claims"
_OLD_PATH = re.compile(rf"{OLD_FOLDER}/(?P<item>[A-Za-z0-9][A-Za-z0-9._=-]{{0,200}})/\d+\.json")
FIRST_PID_NAMESPACE = "pid:[4026531836]"
"""The kernel gives the first PID namespace this number (PROC_PID_INIT_INO)."""
_named: set[str] = set()
"""Files that this process has named already: leases are read before every commit."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Numbers:
    """The lease numbers of every item that has any, the newest last, and up to which number leases were released."""

    of_item: dict[str, list[int]]
    released: int

    @property
    def newest(self) -> dict[str, int]:
        """Return the newest number of every item."""
        return {item: numbers[-1] for item, numbers in self.of_item.items()}


def read_numbers(lake: Lake) -> Numbers:
    """Read the numbers of all leases, from the names of their files; one that is no lease is named and ignored."""
    of_item: dict[str, list[int]] = {}
    released = 0
    for path in lake.list(FOLDER, suffix=".json"):
        kind, _, name = path.removeprefix(f"{FOLDER}/").partition("/")
        if kind not in (ITEMS, RELEASED):
            continue
        match = _NAME.fullmatch(name if kind == ITEMS else f"all.{name}")
        if match is None or len(name) > _MAX_LETTERS:
            _ignore(path)
        elif kind == RELEASED:
            released = max(released, int(match["number"]))
        else:
            of_item.setdefault(match["item"], []).append(int(match["number"]))
    return Numbers({item: sorted(numbers) for item, numbers in of_item.items()}, released)


def _file_name(item: str, number: int) -> str:
    return f"{item}.{number:09d}.json"


def _ignore(path: str) -> None:
    if path not in _named:
        _named.add(path)
        log.warning("The lake has a file %s that is no lease; it is ignored, remove it", path)


def read_holder(lake: Lake, item: str, number: int) -> Holder | None:
    """Read who holds a lease; None when it was released, or for content that no version writes."""
    return parse_holder(read_json(lake, FOLDER, ITEMS, _file_name(item, number)))


def release_items(lake: Lake, items: Collection[str], numbers: Numbers) -> None:
    """Free items: first say that their numbers are used up, then remove the files that were read."""
    highest = max((numbers.newest[item] for item in items), default=0)
    if highest > numbers.released:
        with unfenced():
            lake.create_bytes(b"{}", FOLDER, RELEASED, f"{highest:09d}.json")
        paths = [path for path in lake.list(FOLDER, RELEASED) if _NAME.fullmatch(f"all.{Path(path).name}")]
        for path in paths[:-_KEPT]:
            _remove(lake, path)
    for item in items:
        for number in numbers.of_item[item]:  # that of a successor, which came since, stays
            remove_lease_file(lake, item, number)


def remove_lease_file(lake: Lake, item: str, number: int) -> None:
    """Remove one lease file."""
    _remove(lake, "/".join((FOLDER, ITEMS, _file_name(item, number))))


def _remove(lake: Lake, path: str) -> None:
    with unfenced():
        lake.remove(path)


def create_lease_file(lake: Lake, item: str, number: int, holder: Holder) -> bool:
    """Create the lease file of an item, or return False when that number exists already."""
    return lake.create_bytes(json.dumps(asdict(holder), indent=2).encode(), FOLDER, ITEMS, _file_name(item, number))


@dataclass(frozen=True)
class Claim:
    """A claim as it is on disk; `born` is the start of its process in clock ticks since boot."""

    host: str
    pid: int
    born: str | None
    until: datetime

    def is_over(self, now: datetime) -> bool:
        """Return whether it expired, or its process is known to be gone."""
        return self.until <= now or (
            self.host == socket.gethostname() and _sees_every_process() and not _is_any_process_born_at(self.born)
        )

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, of an older version"


def read_claim(lake: Lake, item: str) -> Claim | None:
    """Return the newest claim on an item; None if there is none, or one that no version writes."""
    names = [path for path in lake.list(OLD_FOLDER, item, suffix=".json") if _OLD_PATH.fullmatch(path)]
    content: Any = read_json(lake, names[-1]) if names else {}
    with suppress(KeyError, TypeError, ValueError):
        until = datetime.fromisoformat(content["until"])
        if until.tzinfo is not None:
            return Claim(content["host"], int(content["pid"]), content.get("born"), until)
    return None


def living_claim(lake: Lake, item: str) -> Claim | None:
    """Return the claim that a process of an older version holds on an item, if one does."""
    claim = read_claim(lake, item)
    return claim if claim is not None and not claim.is_over(datetime.now(UTC)) else None


def claimed_items(lake: Lake) -> list[str]:
    """Return the items that have a claim, living or not."""
    items = set()
    for path in lake.list(OLD_FOLDER, suffix=".json"):
        match = _OLD_PATH.fullmatch(path)
        if match is None:
            _ignore(path)
        else:
            items.add(match["item"])
    return sorted(items)


def remove_claim(lake: Lake, item: str) -> None:
    """Remove the claims on an item."""
    with unfenced():
        lake.remove(OLD_FOLDER, item)


def _sees_every_process() -> bool:
    with suppress(OSError):
        return str(Path("/proc/self/ns/pid").readlink()) == FIRST_PID_NAMESPACE
    return False


def _is_any_process_born_at(born: str | None) -> bool:
    """Return whether a process of this machine started then: in a container it has another number, and this start."""
    numbers = (path.name for path in Path("/proc").iterdir() if path.name.isdecimal())
    return any(process_start(number) == born for number in numbers)
