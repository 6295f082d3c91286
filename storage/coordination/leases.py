"""Claims: several workers, on one machine or many, never work on one item at once.

A claim is a small file `claims/ITEM/000001.json` that only one worker can create. It counts until its lease
ends, or its process is gone when that ran on this machine. Taking over a dead claim means creating the next
number, which again only one worker can do: nobody deletes another's claim, so there is no moment between
"seen dead" and "taken" for a third to slip in. What a claim protects must still be looked at after it is held.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from storage.errors import LakeError
from storage.lake.atomic import temporary_name
from storage.lake.lake import Lake, explained
from storage.lake.object_store import reached

FOLDER = "claims"
LEASE = timedelta(minutes=45)
"""How long a machine that died keeps its items; who lives renews three times as often, from a thread."""


@dataclass(frozen=True)
class Claim:
    """A claim that this process holds."""

    lake: Lake
    item: str
    number: int

    def renew(self) -> None:
        """Say that the work goes on."""
        self.lake.write_json(_content(), FOLDER, self.item, f"{self.number:06d}.json")

    def release(self) -> None:
        """Let the item go; nothing happens if the claim is gone, or was taken over after its lease."""
        if _numbers(self.lake, self.item)[-1:] == [self.number]:
            self.lake.remove(FOLDER, self.item)


def claim(lake: Lake, item: str, now: datetime | None = None) -> Claim | None:
    """Claim an item; None when another worker holds it."""
    numbers = _numbers(lake, item)
    if numbers and not _is_dead(lake, item, numbers[-1], now or datetime.now(UTC)):
        return None
    number = numbers[-1] + 1 if numbers else 1
    return Claim(lake, item, number) if _create(lake, item, number) else None


@contextmanager
def held(lake: Lake, item: str) -> Iterator[Claim | None]:
    """Hold a claim for as long as the block runs, however long that is; None when another worker holds it."""
    mine = claim(lake, item)
    if mine is None:
        yield None
        return
    over = threading.Event()

    def renew_until_over() -> None:
        while not over.wait(LEASE.total_seconds() / 3):
            with contextlib.suppress(LakeError):  # the work itself hears of a full disk, and says so
                mine.renew()

    renewer = threading.Thread(target=renew_until_over, name=f"renews-{item}", daemon=True)
    renewer.start()
    try:
        yield mine
    finally:
        over.set()
        renewer.join()
        mine.release()


def is_held(lake: Lake, item: str) -> bool:
    """Whether a living worker holds a claim on an item."""
    numbers = _numbers(lake, item)
    return bool(numbers) and not _is_dead(lake, item, numbers[-1], datetime.now(UTC))


def forget_claims(lake: Lake, done: Collection[str]) -> None:
    """Remove the claims on items that are done which dead workers left; who adds to such an item keeps its own."""
    for item in {name.split("/")[1] for name in lake.list(FOLDER)}:
        numbers = _numbers(lake, item) if item in done else []
        if numbers and _is_dead(lake, item, numbers[-1], datetime.now(UTC)):
            lake.remove(FOLDER, item)


def _numbers(lake: Lake, item: str) -> list[int]:
    return [int(Path(name).stem) for name in lake.list(FOLDER, item, suffix=".json")]


def _is_dead(lake: Lake, item: str, number: int, now: datetime) -> bool:
    try:
        content = json.loads(lake.filesystem.cat_file(lake.uri(FOLDER, item, f"{number:06d}.json")))
        until = datetime.fromisoformat(content["until"])
    except FileNotFoundError:
        return True  # released between the listing and now
    except (ValueError, KeyError, TypeError):
        return True  # nobody writes such a claim
    same_machine = content.get("host") == socket.gethostname()
    return until <= now or (same_machine and _birth(int(content["pid"])) != content.get("born"))


def _content() -> dict[str, Any]:
    pid = os.getpid()
    until = datetime.now(UTC) + LEASE
    return {"host": socket.gethostname(), "pid": pid, "born": _birth(pid), "until": until.isoformat()}


def _birth(pid: int) -> str | None:
    """When a process of this machine started, in clock ticks since boot: a reused pid has another birth."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        with contextlib.suppress(OSError):
            os.kill(pid, 0)
            return "alive"
        return None


def _create(lake: Lake, item: str, number: int) -> bool:
    """Create the claim's file whole, or not at all when it exists. Raises `LakeError` when nothing can be written."""
    content = json.dumps(_content()).encode()
    target = lake.uri(FOLDER, item, f"{number:06d}.json")
    try:
        if not lake.is_local:
            with reached(lake.root):
                lake.filesystem.pipe_file(target, content, mode="create")
            return True
        folder = Path(target).parent
        temporary = folder.with_name(temporary_name("claim"))
        folder.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(content)
            os.link(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
    except FileExistsError:
        return False
    except FileNotFoundError:
        return False  # its holder removed the folder just now; the next run finds the item free
    except OSError as error:
        raise explained(error, target) from error
    return True
