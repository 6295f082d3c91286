"""Plain data that travels to and from a process or machine that extracts mels: a film's recordings, and its result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from storage.errors import ItemError
from storage.records.outcomes import Outcome
from tasks.soundtracks.candidate_recordings import Recording


@dataclass(frozen=True)
class FilmJob:
    """A film's recordings and its `tracks` rows (all candidates, taken or not), before their audio is known.

    `lease` is the number of the film's lease, which whoever extracts it checks before the shard is committed.
    `abandoned` maps the track_id of each recording that ended a worker process to the error recorded for it.
    `describes`: the rows also state how each recording sounds (`tasks.soundtracks.audio.descriptors`).
    `pending` is a folder of this machine where the shard waits, next to the decoded audio at each of `rates_hz`, until
    encoders have heard it; where it is empty, the shard goes into the lake at once.
    """

    film_id: str
    year: int
    recordings: tuple[Recording, ...]
    rows: tuple[dict[str, Any], ...]
    lease: int | None = None
    abandoned: Mapping[str, ItemError] = field(default_factory=dict)
    describes: bool = False
    pending: str = ""
    rates_hz: tuple[int, ...] = ()


@dataclass(frozen=True)
class FilmResult:
    """A film after extraction: its shard (None when no recording was usable), completed rows and outcomes."""

    film_id: str
    shard: str | None
    rows: list[dict[str, Any]]
    outcomes: list[Outcome]


@dataclass(frozen=True)
class WorkerError:
    """An exception in a worker process that is no recording's failure: its text, and its traceback as text."""

    film_id: str
    message: str
    traceback: str


class FilmExtractor(Protocol):
    """Turns films into shards: in a process pool here, or as task runs that may be on other machines."""

    def extract(self, jobs: Sequence[FilmJob], *, drain: bool) -> Iterator[FilmResult]:
        """Submit films; yield results as they finish, also of earlier batches. `drain` waits for all of them."""
