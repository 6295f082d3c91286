"""List the leases of a lake, ask who has one, free one by hand, and remove those of dead holders."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from storage.coordination.holders_and_heartbeats import Holder, Observer, Standing, current_flow_run
from storage.coordination.leases import OnWait, Wait, lease_seconds, read_holder, read_numbers, release_items
from storage.coordination.old_claims import Claim, claimed_items, living_claim, read_claim, remove_claim
from storage.lake.lake import Lake


@dataclass(frozen=True)
class HeldLease:
    """A lease in the lake: its item and number (0: a claim of an older version), its holder, and what is known of it.

    `seconds` is its age by the clocks of holder and observer; None where the file does not say.
    """

    item: str
    number: int
    holder: Holder | Claim | None
    standing: Standing
    seconds: float | None


def list_leases(lake: Lake) -> list[HeldLease]:
    """Return every lease of a lake, those of the dead included, by item."""
    observer, now = Observer(lake, current_flow_run()), datetime.now(UTC)
    held = []
    for item, number in read_numbers(lake).newest.items():
        holder = read_holder(lake, item, number)
        held.append(HeldLease(item, number, holder, observer.standing(holder), _age(holder, now)))
    for item in claimed_items(lake):
        claim = read_claim(lake, item)
        standing = Standing.DEAD if claim is None or claim.is_over(now) else Standing.ALIVE
        held.append(HeldLease(item, 0, claim, standing, None))
    return sorted(held, key=lambda one: one.item)


def _age(holder: Holder | None, now: datetime) -> float | None:
    with suppress(ValueError, TypeError):  # no time, or one without its zone
        return (now - datetime.fromisoformat(holder.acquired_at)).total_seconds() if holder else None
    return None


def leased_items(lake: Lake, items: Collection[str], *, on_wait: OnWait | None = None) -> set[str]:
    """Return those of some items that another worker may hold; with `on_wait`, only those whose holder is alive.

    Waiting ends when every holder has renewed or is known to be dead.
    """
    observer, wait = Observer(lake, current_flow_run()), Wait(on_wait)
    while True:
        newest = read_numbers(lake).newest
        standings = {item: _standing(lake, observer, item, newest.get(item)) for item in items}
        silent = [item for item, standing in standings.items() if standing is Standing.SILENT]
        if on_wait is None or not silent:
            return {item for item, standing in standings.items() if standing is not Standing.DEAD}
        wait.poll(lake, silent[0], lease_seconds())


def is_leased(lake: Lake, item: str) -> bool:
    """Return whether another worker may hold an item: one of whom nobody knows whether it lives counts."""
    return item in leased_items(lake, [item])


def _standing(lake: Lake, observer: Observer, item: str, number: int | None) -> Standing:
    """Return what is known of whoever holds an item, whose newest lease has this number (None: there is none)."""
    if living_claim(lake, item) is not None:
        return Standing.ALIVE
    return observer.standing(read_holder(lake, item, number)) if number else Standing.DEAD


def release_by_hand(lake: Lake, item: str) -> None:
    """Free an item whoever holds it: the holder's next commit is refused if it still lives."""
    numbers = read_numbers(lake)
    if item in numbers.newest:
        release_items(lake, [item], numbers)
    remove_claim(lake, item)


def sweep_leases(lake: Lake) -> None:
    """Remove the leases, heartbeats and old claims of dead holders."""
    observer, holding, numbers = Observer(lake, current_flow_run()), set(), read_numbers(lake)
    for item, number in numbers.newest.items():
        holder = read_holder(lake, item, number)
        if observer.standing(holder) is Standing.DEAD:
            release_items(lake, [item], numbers)
        elif holder is not None:
            holding.add(holder.token)
    observer.sweep(holding)
    for item in claimed_items(lake):
        if living_claim(lake, item) is None:
            remove_claim(lake, item)
