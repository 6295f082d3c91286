"""Claims: the leases of older versions, `claims/ITEM/000001.json` with host, process and expiry.

A process of such a version looks nowhere else, so its claims are honoured: one blocks until it expires, which it renews
every fifteen minutes, or until its process is known to be gone. That is only known in the first PID namespace of a
machine, where every process can be seen: a claim names neither boot nor namespace, and a container may have the name of
its host.
"""

from __future__ import annotations

import logging
import re
import socket
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from storage.lake.atomic_writes_and_fences import unfenced
from storage.lake.lake import Lake, read_json
from storage.processes_and_signals import is_any_process_born_at, sees_every_process

OLD_FOLDER = "claims"

_OLD_PATH = re.compile(rf"{OLD_FOLDER}/(?P<item>[A-Za-z0-9][A-Za-z0-9._=-]{{0,200}})/\d+\.json")

_named: set[str] = set()
"""Files that this process has named already: leases are read before every commit."""
log = logging.getLogger(__name__)


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
            self.host == socket.gethostname() and sees_every_process() and not is_any_process_born_at(self.born)
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
            ignore_file(path)
        else:
            items.add(match["item"])
    return sorted(items)


def remove_claim(lake: Lake, item: str) -> None:
    """Remove the claims on an item."""
    with unfenced():
        lake.remove(OLD_FOLDER, item)


def ignore_file(path: str) -> None:
    """Warn, once, of a file among the leases or claims that is neither."""
    if path not in _named:
        _named.add(path)
        log.warning("The lake has a file %s that is no lease; it is ignored, remove it", path)
