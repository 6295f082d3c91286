"""Circuit breakers: after a source asked for a pause, no run and no worker calls it until the pause ends.

A breaker is closed or open. When the pause of an open one ends, one request goes through as a canary
(the caller holds a lease for it): if it succeeds the breaker closes, if it fails the pause doubles. An
upgrade of the tool is a reason to retry too. The state is a table of the lake: it survives crashes,
is shared by workers, and its history can be read with SQL.
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
    """The state of one source.

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

    def is_open(self, tool_version: str, now: datetime | None = None) -> bool:
        """Return whether the source must not be called now. A newer version of an outdated tool may call it."""
        if self.state != "open" or self.until is None:
            return False
        upgraded = self.reason == "outdated_extractor" and tool_version != self.tool_version
        return not upgraded and (now or datetime.now(UTC)) < self.until

    @property
    def error(self) -> SourcePaused:
        """Return the error for callers of an open breaker."""
        until = self.until or datetime.now(UTC)
        message = (
            f"{self.source} is paused until {until:%Y-%m-%d %H:%M} UTC ({self.reason}: {self.message}); run again then"
        )
        return SourcePaused(self.source, self.reason, until, message)


def read_breakers(lake: Lake) -> list[Breaker]:
    """Read the breakers of all sources."""
    names = [name for name in BREAKERS.schema.names if name not in ("run_id", "recorded_at")]
    rows = tables.latest(lake, BREAKERS, names).to_pylist()
    return [Breaker(consecutive_failures=tuple(row.pop("suspects") or ()), **row) for row in rows]


def read_breaker(lake: Lake, source: str) -> Breaker:
    """Read the breaker of one source; a source that never paused has a closed one."""
    return next((breaker for breaker in read_breakers(lake) if breaker.source == source), Breaker(source))


def open_breaker(lake: Lake, source: str, pause: Pause, tool_version: str, run_id: str) -> Breaker:
    """Open a breaker, or extend its pause. A wait that the source asked for is used as it is."""
    previous = read_breaker(lake, source)
    openings = previous.openings + 1
    wait = pause.asked_for or min(pause.longest, pause.first * 2 ** min(openings - 1, 10))
    until = datetime.now(UTC) + wait
    failures = previous.consecutive_failures
    opened = Breaker(source, "open", pause.reason, pause.message, until, openings, failures, tool_version)
    _write(lake, opened, run_id)
    return opened


def note_failure(lake: Lake, source: str, media_id: str, run_id: str) -> bool:
    """Record a failure that may mean a block; returns whether enough different media failed one after another."""
    breaker = read_breaker(lake, source)
    if media_id in breaker.consecutive_failures:
        return False
    failures = (*breaker.consecutive_failures, media_id)
    _write(lake, replace(breaker, consecutive_failures=failures), run_id)
    return len(failures) >= FAILURES_TO_OPEN


def note_success(lake: Lake, source: str, run_id: str) -> None:
    """Close an open breaker and reset its failures; writes nothing if there is nothing to change."""
    breaker = read_breaker(lake, source)
    if breaker.state == "open" or breaker.consecutive_failures:
        _write(lake, Breaker(source, tool_version=breaker.tool_version), run_id)


def _write(lake: Lake, breaker: Breaker, run_id: str) -> None:
    row = {**vars(breaker), "suspects": list(breaker.consecutive_failures)}  # the column's first name
    del row["consecutive_failures"]
    tables.append(lake, BREAKERS, [row], run_id)
