"""The files of leases: `leases/items/ITEM.000000001.json` names the holder, `leases/released/` what is used up.

Each is created complete by one process and never edited. Numbers only grow, also after a release: the newest file
`leases/released/000000001.json` says up to which number leases were released, and whoever acquires an item that has no
file begins above it. So no file stays behind for an item that is free.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import asdict, dataclass

from storage.coordination.heartbeats import read_json
from storage.coordination.holders import Holder, parse_holder
from storage.errors import LakeError
from storage.lake.fences import unfenced
from storage.lake.lake import Lake

FOLDER, ITEMS, RELEASED = "leases", "items", "released"
_NAME = re.compile(r"(?P<item>.+)\.(?P<number>\d+)\.json")
_KEPT = 2
"""Files of `RELEASED` that stay: a listing that began before the newest was created still finds the one before it."""


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
    """Read the numbers of all leases, from the names of their files."""
    of_item: dict[str, list[int]] = {}
    released = 0
    for path in lake.list(FOLDER, suffix=".json"):
        _folder, kind, name = path.split("/", 2)
        if kind == RELEASED:
            released = max(released, _parse(f"all.{name}")[1])
        elif kind == ITEMS:
            item, number = _parse(name)
            of_item.setdefault(item, []).append(number)
    return Numbers({item: sorted(numbers) for item, numbers in of_item.items()}, released)


def _file_name(item: str, number: int) -> str:
    return f"{item}.{number:09d}.json"


def _parse(name: str) -> tuple[str, int]:
    """Return the item and number of a lease file. Raises `LakeError` for a file that no version writes."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise LakeError(f"The lake has a file {FOLDER}/…/{name} that is no lease; remove it")
    return match["item"], int(match["number"])


def read_holder(lake: Lake, item: str, number: int) -> Holder | None:
    """Read who holds a lease; None when it was released, or for content that no version writes."""
    return parse_holder(read_json(lake, FOLDER, ITEMS, _file_name(item, number)))


def release_items(lake: Lake, items: Collection[str], numbers: Numbers) -> None:
    """Free items: first say that their numbers are used up, then remove the files that were read."""
    highest = max((numbers.newest[item] for item in items), default=0)
    if highest > numbers.released:
        with unfenced():
            lake.create_bytes(b"{}", FOLDER, RELEASED, f"{highest:09d}.json")
        for path in lake.list(FOLDER, RELEASED)[:-_KEPT]:
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
