"""Leases: at most one worker at a time, on any machine, works on an item.

A lease is a small file `leases/items/ITEM.000000001.json` that only one worker can create, and that names its holder.
Taking over from a dead holder means creating the next number, which again only one worker can do, so there is no
moment between "seen dead" and "taken" in which a third could slip in. What a lease protects must be read again after
the lease is acquired.

Numbers only grow, so a lease is lost when its number is not the newest of its item, and commits inside `fenced` are
refused from then on.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import TracebackType

from storage.coordination.heartbeats import Heartbeat, Observer, Standing, lease_seconds
from storage.coordination.held_leases import OnWait, Wait
from storage.coordination.holders import current_flow_run, this_process
from storage.coordination.lease_files import (
    create_lease_file,
    living_claim,
    read_holder,
    read_numbers,
    release_items,
    remove_lease_file,
)
from storage.coordination.sigterm import SigtermRaises
from storage.errors import LakeError
from storage.lake.fences import fenced
from storage.lake.lake import Lake

_logger = logging.getLogger(__name__)


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
