"""Leases: at most one worker at a time, on any machine, works on an item.

A lease is a small file `leases/items/ITEM.000000001.json` that only one worker can create, and that names its holder.
Taking over from a dead holder means creating the next number, which again only one worker can do, so there is no
moment between "seen dead" and "taken" in which a third could slip in. What a lease protects must be read again after
the lease is acquired.

Each file is created complete by one process and never edited. Numbers only grow, also after a release: the newest file
`leases/released/000000001.json` says up to which number leases were released, and whoever acquires an item that has no
file begins above it. So no file stays behind for an item that is free. A lease is lost when its number is not the
newest of its item, and commits inside `fenced` are refused from then on.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from storage.coordination.holders_and_heartbeats import (
    Heartbeat,
    Holder,
    Observer,
    Standing,
    current_flow_run,
    parse_holder,
    this_process,
)
from storage.coordination.old_claims import ignore_file, living_claim, read_claim
from storage.errors import InputError, LakeError
from storage.lake.atomic_writes_and_fences import fenced, unfenced
from storage.lake.lake import Lake, read_json
from storage.processes_and_signals import SigtermRaises

SECONDS_VARIABLE = "NEEDLEDROP_LEASE_SECONDS"
"""For operators and tests: how long a holder may be silent before its leases are taken over."""

LEASE_SECONDS = 300.0
NOTICE_SECONDS = 30.0
"""How often a wait says what it waits for."""
FOLDER, ITEMS, RELEASED = "leases", "items", "released"
_NAME = re.compile(r"(?P<item>[A-Za-z0-9][A-Za-z0-9._=-]{0,185})\.(?P<number>\d{9,18})\.json")
_MAX_LETTERS = 201
"""Of the name of a file in a lake."""
_KEPT = 2
"""Files of `RELEASED` that stay: a listing that began before the newest was created still finds the one before it."""

_logger = logging.getLogger(__name__)
OnWait = Callable[[str], None]
"""Is given a sentence when a lease cannot be had yet, and every `NOTICE_SECONDS` while that is so."""


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
            ignore_file(path)
        elif kind == RELEASED:
            released = max(released, int(match["number"]))
        else:
            of_item.setdefault(match["item"], []).append(int(match["number"]))
    return Numbers({item: sorted(numbers) for item, numbers in of_item.items()}, released)


def _file_name(item: str, number: int) -> str:
    return f"{item}.{number:09d}.json"


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


def describe_holder(lake: Lake, item: str) -> str:
    """Return who holds an item, for a message."""
    number = read_numbers(lake).newest.get(item)
    holder = read_holder(lake, item, number) if number else read_claim(lake, item)
    return str(holder) if holder else "a process that has just ended"


class Wait:
    """Sleeps between two looks at a holder, and says every `NOTICE_SECONDS` whom it waits for."""

    def __init__(self, on_wait: OnWait | None) -> None:
        self._on_wait = on_wait
        self._began = time.monotonic()
        self._said = float("-inf")

    def poll(self, lake: Lake, item: str, seconds: float) -> None:
        """Say what is waited for if it is time, and sleep."""
        now = time.monotonic()
        if self._on_wait and now - self._said >= NOTICE_SECONDS:
            self._said = now
            self._on_wait(
                f"Waiting for {describe_holder(lake, item)}, which holds {item} and was not seen to renew it "
                f"for {now - self._began:.0f} s; after {seconds:.0f} s it counts as dead"
            )
        time.sleep(min(2.0, seconds / 50))


@dataclass(frozen=True)
class Lease:
    """A lease that this process holds, or held."""

    lake: Lake
    item: str
    number: int

    def check(self) -> None:
        """Raise `LakeError` when the lease is lost: taken over, or released by hand."""
        check_lease(self.lake, self.item, self.number)


class LeaseKeeper:
    """Holds leases on any number of items with one heartbeat, and releases them at the end of the `with` block.

    SIGTERM ends the block like an error where nobody else handles the signal, so that the leases are released.
    """

    def __init__(self, lake: Lake, seconds: float | None = None) -> None:
        self._lake = lake
        self._flow_run = current_flow_run()
        self._observer = Observer(lake, self._flow_run)
        self._holder = this_process(self._flow_run.id, lease_seconds() if seconds is None else seconds)
        self._heartbeat: Heartbeat | None = None
        self._leases: dict[str, Lease] = {}
        self._being_acquired: Lease | None = None
        """A signal may end `acquire` at any line, also when the file is there and nobody knows of it yet."""
        self._process = os.getpid()
        self._sigterm = SigtermRaises()

    def __enter__(self) -> LeaseKeeper:
        self._sigterm.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release every lease that is still held; where that fails after an error, it is noted on that error."""
        try:
            self.close()
        except LakeError as second:
            if error is None:
                raise
            error.add_note(f"Leases were not released, and are free when this process has ended: {second}")
        except BaseException:  # a signal in the middle of it, as at the end of a run that is stopped just then
            self.close()
            raise
        finally:
            self._sigterm.__exit__(kind, error, trace)

    def close(self) -> None:
        """Release every lease that is still held, and stop the heartbeat.

        In a fork this does nothing: both are its parent's.
        """
        if os.getpid() != self._process:
            return
        try:
            self._finish_acquiring()
            self.release(list(self._leases))
        finally:
            if self._heartbeat is not None:
                self._heartbeat.stop()
                self._heartbeat = None

    def acquire(self, item: str, *, on_wait: OnWait | None = None) -> Lease | None:
        """Acquire the lease on an item; returns None when another worker holds it.

        With `on_wait`, a holder of whom nobody knows whether it lives is watched until it renews (None) or has been
        silent for so long that it is dead; without, it counts as living. Raises `LakeError` when the lake cannot be
        written.
        """
        wait = Wait(on_wait)
        while True:
            lease = self._try(item)
            if isinstance(lease, Lease):
                self._leases[item] = lease
            self._being_acquired = None
            if isinstance(lease, Lease):
                return lease
            if on_wait is None or lease is not Standing.SILENT:
                return None
            wait.poll(self._lake, item, self._holder.seconds)

    def _try(self, item: str) -> Lease | Standing:
        """Acquire an item, or return what is known of the one that holds it."""
        if living_claim(self._lake, item) is not None:
            return Standing.ALIVE
        while True:
            numbers = read_numbers(self._lake)
            newest = numbers.newest.get(item, 0)
            if newest and (standing := self._observer.standing(read_holder(self._lake, item, newest))) != Standing.DEAD:
                return standing
            number = max(newest, numbers.released) + 1
            self._being_acquired = Lease(self._lake, item, number)
            if not self._create(item, number):
                return Standing.ALIVE  # another worker was quicker
            if read_numbers(self._lake).released < number:
                return self._being_acquired
            remove_lease_file(self._lake, item, number)  # others acquired and released meanwhile: begin above them

    def _finish_acquiring(self) -> None:
        """Take the lease whose file was written when a signal came; its number may be another worker's as well."""
        if (lease := self._being_acquired) is not None:
            holder = read_holder(self._lake, lease.item, lease.number)
            if holder is not None and holder.token == self._holder.token:
                self._leases[lease.item] = lease
            self._being_acquired = None

    def _create(self, item: str, number: int) -> bool:
        if self._heartbeat is None:
            self._heartbeat = Heartbeat(self._lake, self._holder)
        self._heartbeat.start()
        holder = replace(self._holder, acquired_at=datetime.now(UTC).isoformat())
        return create_lease_file(self._lake, item, number, holder)

    def release(self, items: Iterable[str]) -> None:
        """Release these items; those that are not leased here are ignored, and a lost lease is its successor's."""
        ours = [self._leases[item] for item in list(items) if item in self._leases]
        if ours:
            numbers = read_numbers(self._lake)
            newest = numbers.newest
            release_items(self._lake, [one.item for one in ours if newest.get(one.item) == one.number], numbers)
        for one in ours:  # last, so that what a signal interrupts is done at the end of the `with` block
            self._leases.pop(one.item, None)

    def check(self, items: Collection[str] | None = None) -> None:
        """Raise `LakeError` when the lease on one of these items, by default of all that are held, is lost."""
        held = [self._leases[item] for item in (self._leases if items is None else items) if item in self._leases]
        newest = read_numbers(self._lake).newest if held else {}
        for lease in held:
            if newest.get(lease.item) != lease.number:
                raise _lost(self._lake, lease.item)

    def fenced(self, items: Collection[str]) -> AbstractContextManager[None]:
        """Refuse every commit of the block with a `LakeError` once the lease on one of these items is lost."""
        return fenced(lambda: self.check(items))


def warn(sentence: str) -> None:
    """Log what a wait says, where nobody shows it in another way."""
    _logger.warning(sentence)


@contextmanager
def leased(
    lake: Lake, item: str, *, on_wait: OnWait | None = warn, seconds: float | None = None
) -> Iterator[Lease | None]:
    """Hold the lease on an item for as long as the block runs; yields None when another worker holds it.

    Commits of the block are refused with a `LakeError` once the lease is lost. Waits as `LeaseKeeper.acquire` does.
    """
    with LeaseKeeper(lake, seconds) as leases:
        lease = leases.acquire(item, on_wait=on_wait)
        if lease is None:
            yield None
            return
        with leases.fenced([item]):
            yield lease


def check_lease(lake: Lake, item: str, number: int) -> None:
    """Raise `LakeError` when this is not the newest number of an item's lease, in whatever process it is held."""
    if read_numbers(lake).newest.get(item) != number:
        raise _lost(lake, item)


def _lost(lake: Lake, item: str) -> LakeError:
    number = read_numbers(lake).newest.get(item)
    holder = read_holder(lake, item, number) if number else None
    successor = f"{holder} has it now" if holder else "it was released"
    return LakeError(
        f"The lease on {item} was lost, because it was not renewed in time or was released by hand ({successor}); "
        "nothing more of this work is written. Run the same command again"
    )
