"""What happened to each item: one row an attempt, with a reason from a closed list.

Nothing is dropped silently. `status` is ok, skipped or failed; `reason` is one snake_case word or two;
`retry` says when the item may be tried again. The lake, not a scheduler, decides what is done.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import pyarrow as pa

from storage.errors import ItemError, NeedledropError, Retry
from storage.lake.lake import Lake
from storage.tables import tables
from storage.tables.schemas import OUTCOMES

LATER = timedelta(hours=20)
"""`later` means the next daily refresh; twenty hours, so that one that starts early still retries."""


class Stage(StrEnum):
    """The steps of the road that leave outcomes."""

    FILM = "film"
    THUMBNAIL = "thumbnail"
    SOUNDTRACK = "soundtrack"
    """A film's search for music; the item is a film."""
    TRACK = "track"
    """One recording; the item is `FILM_ID/TRACK_ID`, or the track alone when no film wants it."""
    AVAILABILITY = "availability"
    """Whether a collected recording is still there; the item is a track. `ok` is there, `failed` is dead, and
    `skipped` means that its source could not tell this time. `retry_at` is when it is asked again."""


class Status(StrEnum):
    """How an attempt ended."""

    OK = "ok"
    SKIPPED = "skipped"
    """Not wanted: a rule says so, and nothing is broken."""
    FAILED = "failed"


FETCH_REASONS = frozenset(
    """age bad_audio copyright deadline drm extractor geo http_403 http_416 http_4xx http_5xx http_auth http_gone
    live members needs_login no_format not_wanted paid private reload removed restricted timeout too_large transport
    truncated unavailable unknown unsupported youtube_4xx""".split()  # noqa: SIM905  # one list literal of thirty lines says no more
)
"""How a search or a download can fail; `tasks/soundtracks/download/error_rules.py` says what is done about each."""

REASONS: dict[Stage, frozenset[str]] = {
    Stage.FILM: frozenset({"ok", "no_plot", "not_a_film", "redirect", "no_year", "missing", "damaged_page"}),
    Stage.THUMBNAIL: frozenset(
        {"ok", "no_image", "no_folder", "missing", "foreign_host", "too_large", "too_many_pixels", "not_an_image"}
        | {"http_error"}
    ),
    Stage.SOUNDTRACK: frozenset({"ok", "no_match", "no_usable_track", "awaiting_review", "taken_down", "incomplete"})
    | FETCH_REASONS,
    Stage.TRACK: frozenset(
        {"ok", "missing_file", "not_audio", "no_audio", "truncated", "too_short", "too_long", "unknown_film", "timeout"}
        | {"undecodable", "too_large", "decoder_crashed", "unforeseen_error", "no_film", "taken_down"}
        | FETCH_REASONS
    ),
    Stage.AVAILABILITY: frozenset({"ok", "unreachable"}) | FETCH_REASONS,
}


@dataclass(frozen=True)
class Outcome:
    """One attempt at one item."""

    stage: Stage
    item: str
    status: Status
    reason: str
    retry: Retry = Retry.NEVER
    retry_at: datetime | None = None
    message: str = ""
    seconds: float | None = None
    audio_seconds: float | None = None

    def __post_init__(self) -> None:
        """Refuse a reason that is not on the list: a typo there would be a row nobody finds."""
        if self.reason not in REASONS[self.stage]:
            raise NeedledropError(f"{self.reason!r} is not a reason of stage {self.stage}; add it to REASONS")


def ok(stage: Stage, item: str, seconds: float | None = None, audio_seconds: float | None = None) -> Outcome:
    """The item is done."""
    return Outcome(stage, item, Status.OK, "ok", seconds=seconds, audio_seconds=audio_seconds)


def from_error(stage: Stage, item: str, error: ItemError, status: Status = Status.FAILED) -> Outcome:
    """The item is not done; the error class says why and when to try again."""
    retry_at = datetime.now(UTC) + LATER if error.retry is Retry.LATER else None
    return Outcome(stage, item, status, error.reason, error.retry, retry_at, str(error))


def record(lake: Lake, outcomes: Sequence[Outcome], run_id: str) -> None:
    """Commit outcomes as one part; the attempt number counts the earlier rows of the same item."""
    if not outcomes:
        return
    earlier = _earlier_attempts(lake, outcomes)
    rows = []
    for outcome in outcomes:
        key = (str(outcome.stage), outcome.item)
        earlier[key] = earlier.get(key, 0) + 1
        rows.append({**vars(outcome), "attempt": earlier[key]})
    tables.append(lake, OUTCOMES, rows, run_id)


def _earlier_attempts(lake: Lake, outcomes: Sequence[Outcome]) -> dict[tuple[str, str], int]:
    """How many attempts the items of these outcomes have had."""
    items = pa.table({"stage": [str(o.stage) for o in outcomes], "item": [o.item for o in outcomes]})
    with tables.connect(lake) as connection:
        connection.register("items", items)
        query = (
            f"SELECT stage, item, max(attempt) FROM {tables.rows_sql(lake, OUTCOMES)} "
            "SEMI JOIN items USING (stage, item) GROUP BY stage, item"
        )
        return {(stage, item): attempt for stage, item, attempt in connection.execute(query).fetchall()}


_FILM = "split_part(item, '/', 1)"


def attempts(lake: Lake, stages: Iterable[Stage], done_films: Collection[str] = ()) -> dict[tuple[str, str], int]:
    """How many attempts each (stage, item) has had; without the items of films that are done."""
    wanted = ", ".join(f"'{stage}'" for stage in stages) or "''"
    keys = f"stage IN ({wanted}) AND {_FILM} NOT IN (FROM names)"
    rows = _ask(lake, "SELECT stage, item, attempt", keys, done_films)
    return {(stage, item): attempt for stage, item, attempt in rows}


def settled(
    lake: Lake,
    stage: Stage,
    now: datetime | None = None,
    *,
    done_films: Collection[str] = (),
    among: Collection[str] | None = None,
) -> set[str]:
    """The items of a stage that need no work now: done, given up, or not due yet.

    Either those `among` some, or all but those of `done_films`, which nobody asks about: what is left is small
    however much was collected.
    """
    keys = f"{_FILM} NOT IN (FROM names)" if among is None else "item IN (FROM names)"
    moment = (now or datetime.now(UTC)).isoformat()
    is_settled = f"status = 'ok' OR retry = 'never' OR (retry = 'later' AND retry_at > '{moment}'::TIMESTAMPTZ)"
    names = done_films if among is None else among
    rows = _ask(lake, "SELECT item", f"stage = '{stage}' AND {keys}", names, is_settled)
    return {item for (item,) in rows}


def _ask(lake: Lake, select: str, keys: str, names: Collection[str], condition: str = "true") -> list[Any]:
    """Columns of the newest outcomes whose keys satisfy a condition that may look into `names`."""
    with tables.connect(lake, tables.SMALL_MEMORY_LIMIT) as connection:
        connection.register("names", pa.table({"name": pa.array(sorted(names), pa.string())}))
        newest = tables.latest_sql(lake, OUTCOMES, keys)
        return connection.execute(f"{select} FROM {newest} WHERE {condition}").fetchall()
