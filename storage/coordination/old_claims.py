"""Leases of older versions, which called them claims: `claims/ITEM/000001.json` with host, process and expiry.

A process of such a version looks nowhere else, so its claims are honoured: one blocks until it expires, which it
renews every fifteen minutes, or until its process is known to be gone. That is only known in the first PID namespace
of a machine, where every process can be seen: a claim names neither boot nor namespace, and a container may have the
name of its host.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from storage.coordination.heartbeats import read_json
from storage.lake.fences import unfenced
from storage.lake.lake import Lake
from storage.processes import process_start

FOLDER = "claims"
FIRST_PID_NAMESPACE = "pid:[4026531836]"
"""The kernel gives the first PID namespace this number (PROC_PID_INIT_INO)."""


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
    names = lake.list(FOLDER, item, suffix=".json")
    content: Any = read_json(lake, names[-1]) if names else {}
    with suppress(KeyError, TypeError, ValueError):
        until = datetime.fromisoformat(content["until"])
        return Claim(content["host"], int(content["pid"]), content.get("born"), until)
    return None


def living_claim(lake: Lake, item: str) -> Claim | None:
    """Return the claim that a process of an older version holds on an item, if one does."""
    claim = read_claim(lake, item)
    return claim if claim is not None and not claim.is_over(datetime.now(UTC)) else None


def claimed_items(lake: Lake) -> list[str]:
    """Return the items that have a claim, living or not."""
    return sorted({name.split("/")[1] for name in lake.list(FOLDER, suffix=".json")})


def remove_claim(lake: Lake, item: str) -> None:
    """Remove the claims on an item."""
    with unfenced():
        lake.remove(FOLDER, item)


def _sees_every_process() -> bool:
    with suppress(OSError):
        return str(Path("/proc/self/ns/pid").readlink()) == FIRST_PID_NAMESPACE
    return False


def _is_any_process_born_at(born: str | None) -> bool:
    """Return whether a process of this machine started then: in a container it has another number, and this start."""
    numbers = (path.name for path in Path("/proc").iterdir() if path.name.isdecimal())
    return any(process_start(number) == born for number in numbers)
