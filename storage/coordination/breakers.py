"""Circuit breakers: a source that says "stop" is left alone by every run and every worker until its time has come.

A breaker is closed or open. When the time of an open one has come, one request goes through as a canary
(the caller holds a claim for it): if it succeeds the breaker closes, if it fails the pause doubles. An
upgrade of the tool is a reason to try again too. The state is a table of the lake: it survives crashes,
is shared by workers, and its history can be read with SQL.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from storage.errors import SourcePaused
from storage.lake.lake import Lake
from storage.tables import tables
from storage.tables.schemas import BREAKERS

SUSPECTS_TO_OPEN = 5
"""So many different media failing alike in a row are not their own fault."""


@dataclass(frozen=True)
class Pause:
    """Why and for how long: `first` doubles with every opening in a row up to `longest`."""

    reason: str
    message: str
    first: timedelta
    longest: timedelta
    asked_for: timedelta | None = None


@dataclass(frozen=True)
class Breaker:
    """The state of one source. `openings` counts pauses in a row; `suspects` are media that failed alike in a row."""

    source: str
    state: str = "closed"
    reason: str = ""
    message: str = ""
    until: datetime | None = None
    openings: int = 0
    suspects: tuple[str, ...] = ()
    tool_version: str = ""

    def is_open(self, tool_version: str, now: datetime | None = None) -> bool:
        """Whether the source must be left alone now. A version that it was not opened for may try."""
        if self.state != "open" or self.until is None:
            return False
        upgraded = self.reason == "outdated_extractor" and tool_version != self.tool_version
        return not upgraded and (now or datetime.now(UTC)) < self.until

    @property
    def error(self) -> SourcePaused:
        """What an open breaker says."""
        until = self.until or datetime.now(UTC)
        message = (
            f"{self.source} is paused until {until:%Y-%m-%d %H:%M} UTC ({self.reason}: {self.message}); run again then"
        )
        return SourcePaused(self.source, self.reason, until, message)


def read_breakers(lake: Lake) -> list[Breaker]:
    """Every source's breaker."""
    names = [name for name in BREAKERS.schema.names if name not in ("run_id", "recorded_at")]
    rows = tables.latest(lake, BREAKERS, names).to_pylist()
    return [Breaker(**{**row, "suspects": tuple(row["suspects"] or ())}) for row in rows]


def read_breaker(lake: Lake, source: str) -> Breaker:
    """One source's breaker; a source that never paused has a closed one."""
    return next((one for one in read_breakers(lake) if one.source == source), Breaker(source))


def open_breaker(lake: Lake, source: str, pause: Pause, tool_version: str, run_id: str) -> Breaker:
    """Open a breaker, or keep it open for longer. A wait that the source asked for is honoured as it is."""
    before = read_breaker(lake, source)
    openings = before.openings + 1
    wait = pause.asked_for or min(pause.longest, pause.first * 2 ** min(openings - 1, 10))
    until = datetime.now(UTC) + wait
    opened = Breaker(source, "open", pause.reason, pause.message, until, openings, before.suspects, tool_version)
    _write(lake, opened, run_id)
    return opened


def note_suspect(lake: Lake, source: str, media_id: str, run_id: str) -> bool:
    """Note a failure that may mean a block; returns whether there were enough different ones in a row."""
    breaker = read_breaker(lake, source)
    if media_id in breaker.suspects:
        return False
    suspects = (*breaker.suspects, media_id)
    _write(lake, replace(breaker, suspects=suspects), run_id)
    return len(suspects) >= SUSPECTS_TO_OPEN


def note_success(lake: Lake, source: str, run_id: str) -> None:
    """Close an open breaker and forget suspects; writes nothing if there is nothing to forget."""
    breaker = read_breaker(lake, source)
    if breaker.state == "open" or breaker.suspects:
        _write(lake, Breaker(source, tool_version=breaker.tool_version), run_id)


def _write(lake: Lake, breaker: Breaker, run_id: str) -> None:
    row = {**vars(breaker), "suspects": list(breaker.suspects)}
    tables.append(lake, BREAKERS, [row], run_id)
