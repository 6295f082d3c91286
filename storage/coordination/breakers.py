"""Circuit breakers: whether a source may be called, or pauses, and until when.

A breaker is closed or open. Each kind of call to a source has one, since a search works where the player is blocked.
While any of them is open, no run and no worker calls the source. When its pause ends, calls go through as a canary (the
caller holds a lease for it): the first success of the kind of call that caused the pause closes the breaker, a failure
doubles the pause. An upgrade of the tool is a reason to retry too. The state is a table of the lake: it survives
crashes, is shared by workers, and its history can be read with SQL.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from storage.errors import SourcePaused
from storage.lake.lake import Lake
from storage.tables import tables
from storage.tables.schemas import BREAKERS

FAILURES_TO_OPEN = 5
"""Consecutive similar failures of different media that point to the source, not to the media."""
NEEDS_UPGRADE = frozenset({"outdated_extractor", "changed_layout"})
"""Reasons of pauses that end when another version of the tool is installed."""
LONGEST_PAUSE = timedelta(days=31)
"""No source may ask for more. A pause that ends later was written while the clock of a machine was wrong."""


@dataclass(frozen=True)
class Pause:
    """Why a source pauses, and for how long: `first` doubles with every consecutive opening, up to `longest`.

    `asked_for` is the wait that the source itself asked for, if it did.
    """

    reason: str
    message: str
    first: timedelta
    longest: timedelta
    asked_for: timedelta | None = None


@dataclass(frozen=True)
class Breaker:
    """The state of one source, or of one kind of call to it.

    `openings` counts consecutive pauses; `consecutive_failures` are the media that failed alike one after another.
    """

    source: str
    state: str = "closed"
    reason: str = ""
    message: str = ""
    until: datetime | None = None
    openings: int = 0
    consecutive_failures: tuple[str, ...] = ()
    tool_version: str = ""
    kind: str = ""
    """The kind of call that failed; empty for a source as a whole, as older versions had it."""

    def is_open(self, tool_version: str, now: datetime | None = None) -> bool:
        """Return whether the source must not be called now. A newer version of an outdated tool may call it."""
        if self.state != "open" or self.until is None:
            return False
        upgraded = self.reason in NEEDS_UPGRADE and tool_version != self.tool_version
        left = self.until - (now or datetime.now(UTC))
        return not upgraded and timedelta() < left <= LONGEST_PAUSE

    @property
    def error(self) -> SourcePaused:
        """Return the error for callers of an open breaker."""
        until = self.until or datetime.now(UTC)
        message = (
            f"{self.source} is paused until {until:%Y-%m-%d %H:%M} UTC ({self.reason}: {self.message}); run again then"
        )
        return SourcePaused(self.source, self.reason, until, message)


def read_breakers(lake: Lake) -> list[Breaker]:
    """Read the breakers of all sources and kinds of call."""
    names = [name for name in BREAKERS.schema.names if name not in ("run_id", "recorded_at")]
    rows = tables.latest(lake, BREAKERS, names).to_pylist()
    return [
        Breaker(consecutive_failures=tuple(row.pop("suspects") or ()), **{**row, "kind": row["kind"] or ""})
        for row in rows
    ]


def read_breaker(lake: Lake, source: str, kind: str | None = None) -> Breaker:
    """Read the breaker of one kind of call; without one, of the kinds of a source the one that is open the longest.

    A source that never paused has a closed one.
    """
    breakers = [one for one in read_breakers(lake) if one.source == source and kind in (None, one.kind)]
    never = datetime.min.replace(tzinfo=UTC)
    by_end = sorted(breakers, key=lambda one: (one.state == "open", one.until or never, one.consecutive_failures))
    return by_end[-1] if by_end else Breaker(source, kind=kind or "")


def open_breaker(lake: Lake, source: str, pause: Pause, tool_version: str, run_id: str, kind: str = "") -> Breaker:
    """Open a breaker, or extend its pause. A wait that the source asked for is used as it is.

    The pause of a whole source, which an older version left open, counts as an earlier one of this kind of call.
    """
    previous, whole = read_breaker(lake, source, kind), read_breaker(lake, source, "")
    openings = max(previous.openings, whole.openings if whole.state == "open" else 0) + 1
    wait = pause.asked_for or min(pause.longest, pause.first * 2 ** min(openings - 1, 10))
    until = datetime.now(UTC) + wait
    failures = previous.consecutive_failures
    opened = Breaker(source, "open", pause.reason, pause.message, until, openings, failures, tool_version, kind)
    _write(lake, opened, run_id)
    return opened


def keep_pause(lake: Lake, source: str, pause: SourcePaused, run_id: str) -> None:
    """Open the breaker of a source for as long as it asked to wait, so that no run calls it before."""
    wait = pause.until - datetime.now(UTC)
    open_breaker(lake, source, Pause(pause.reason, str(pause), wait, wait, wait), "", run_id)


def note_failure(
    lake: Lake, source: str, item: str, run_id: str, kind: str = "", *, to_open: int = FAILURES_TO_OPEN
) -> bool:
    """Record a failure that may mean a block; returns whether `to_open` different items failed one after another."""
    breaker = read_breaker(lake, source, kind)
    if item in breaker.consecutive_failures:
        return False
    failures = (*breaker.consecutive_failures, item)
    _write(lake, replace(breaker, consecutive_failures=failures), run_id)
    return len(failures) >= to_open


def note_success(lake: Lake, source: str, run_id: str, kind: str = "") -> None:
    """Close an open breaker and reset its failures; writes nothing if there is nothing to change."""
    breaker = read_breaker(lake, source, kind)
    if breaker.state == "open" or breaker.consecutive_failures:
        _write(lake, Breaker(source, tool_version=breaker.tool_version, kind=kind), run_id)


def _write(lake: Lake, breaker: Breaker, run_id: str) -> None:
    row = {**vars(breaker), "suspects": list(breaker.consecutive_failures), "kind": breaker.kind or None}
    del row["consecutive_failures"]  # the column has its first name, "suspects"
    tables.append(lake, BREAKERS, [row], run_id)
