"""Outcomes: one row per attempt at an item, with a reason from a closed list.

Nothing is dropped silently. `status` is ok, skipped or failed; `reason` is snake_case; `retry` says when the
item may be retried. The lake, not a scheduler, decides what is done and what is due.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import pyarrow as pa

from storage.errors import ItemError, NeedledropError, Retry
from storage.lake.lake import Lake
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import OUTCOMES

RETRY_LATER_AFTER = timedelta(hours=20)
"""`later` means the next daily refresh; 20 hours, so that a refresh that starts early still retries."""
BACKOFF_DAYS = (1, 3, 9, 27, 90)
"""How long the music of a film is not asked for again after the first, second, … time that there was none."""

LONGEST_WAIT_DAYS = 100
"""More than any outcome waits."""


def later(tries: int, now: datetime | None = None) -> datetime:
    """Return when to try again after `tries` earlier tries: in 1, 3, 9, 27 or 90 days, each four hours less."""
    days = BACKOFF_DAYS[min(tries, len(BACKOFF_DAYS) - 1)]
    return (now or datetime.now(UTC)) + timedelta(days=days - 1) + RETRY_LATER_AFTER


class Stage(StrEnum):
    """The steps of the pipeline that record outcomes."""

    FILM = "film"
    THUMBNAIL = "thumbnail"
    SOUNDTRACK = "soundtrack"
    """The search for a film's music; the item is a film."""
    TRACK = "track"
    """One recording; the item is `FILM_ID/TRACK_ID`, or the track id alone when it matches no film."""
    EVIDENCE = "evidence"
    """What other pages say of a film's music; the item is `FILM_ID/album_page/TITLE`, `FILM_ID/wikidata` or
    `FILM_ID/musicbrainz`."""
    AVAILABILITY = "availability"
    """Whether a collected recording is still available; the item is a track. `ok` is available, `failed` is dead, and
    `skipped` means that the source could not tell this time. `retry_at` is the time of the next check."""


class Status(StrEnum):
    """How an attempt ended."""

    OK = "ok"
    SKIPPED = "skipped"
    """Excluded by a rule; nothing is broken."""
    FAILED = "failed"


FETCH_REASONS = frozenset(
    {"age", "bad_audio", "copyright", "deadline", "drm", "extractor", "geo"}
    | {"http_403", "http_416", "http_4xx", "http_5xx", "http_auth", "http_gone", "live", "media_gone"}
    | {"members", "needs_login", "no_format", "not_wanted", "paid", "private", "reload"}
    | {"removed", "restricted", "timeout", "too_large", "transport", "truncated", "unavailable"}
    | {"unknown", "unresolved_list", "unsupported", "youtube_4xx"}
)
"""How a search or a download can fail; `tasks/soundtracks/download/error_patterns_and_pauses.py` says what follows."""

REASONS: dict[Stage, frozenset[str]] = {
    Stage.FILM: frozenset({"ok", "no_plot", "not_a_film", "redirect", "no_year", "missing", "damaged_page"})
    | {"wiki_fails"},
    Stage.THUMBNAIL: frozenset(
        {"ok", "no_image", "no_folder", "missing", "foreign_host", "too_large", "too_many_pixels", "not_an_image"}
        | {"http_error"}
    ),
    Stage.SOUNDTRACK: frozenset(
        {"ok", "nothing_found", "no_match", "no_usable_track", "awaiting_review", "taken_down", "incomplete"}
    )
    | {"album_not_searched"}
    | FETCH_REASONS,
    Stage.TRACK: frozenset(
        {"ok", "missing_file", "not_audio", "no_audio", "truncated", "too_short", "too_long", "unknown_film", "timeout"}
        | {"undecodable", "too_large", "decoder_crashed", "unforeseen_error", "no_film", "taken_down"}
        | {"changed"}
        | FETCH_REASONS
    ),
    Stage.EVIDENCE: frozenset({"ok", "missing", "not_an_album", "no_item", "no_album", "odd_answer", "wiki_fails"}),
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
    tool_version: str | None = None
    rule_version: int | None = None
    sources: tuple[str, ...] | None = None
    """What decided: the version of yt-dlp, of the matching rule, and the sources that were asked."""

    def __post_init__(self) -> None:
        """Refuse a reason that is not on the list: a row with a typo would not be found."""
        if self.reason not in REASONS[self.stage]:
            raise NeedledropError(f"{self.reason!r} is not a reason of stage {self.stage}; add it to REASONS")


def ok(stage: Stage, item: str, seconds: float | None = None, audio_seconds: float | None = None) -> Outcome:
    """Return the outcome of an item that is done."""
    return Outcome(stage, item, Status.OK, "ok", seconds=seconds, audio_seconds=audio_seconds)


def from_error(stage: Stage, item: str, error: ItemError, status: Status = Status.FAILED) -> Outcome:
    """Return the outcome of an item that failed; the error carries the reason and when to retry."""
    retry_at = datetime.now(UTC) + RETRY_LATER_AFTER if error.retry is Retry.LATER else None
    return Outcome(stage, item, status, error.reason, error.retry, retry_at, str(error))


def record(lake: Lake, outcomes: Sequence[Outcome], run_id: str) -> None:
    """Commit outcomes as one part; the attempt number counts the earlier rows of the same item."""
    if not outcomes:
        return
    earlier = earlier_attempts(lake, outcomes)
    rows = []
    for outcome in outcomes:
        key = (str(outcome.stage), outcome.item)
        earlier[key] = earlier.get(key, 0) + 1
        rows.append({**vars(outcome), "attempt": earlier[key]})
    tables.append(lake, OUTCOMES, rows, run_id)


def record_new(lake: Lake, outcomes: Sequence[Outcome], run_id: str) -> None:
    """Commit the outcomes that differ from the newest ones: skipping an item for the same reason again adds no row."""
    if not outcomes:
        return
    with duckdb_connection.connect(lake) as connection:
        connection.register("items", pa.table({"item": pa.array([one.item for one in outcomes], pa.string())}))
        query = f"SELECT stage, item, reason FROM {tables.latest_sql(lake, OUTCOMES, 'item IN (FROM items)')}"
        recorded = set(connection.execute(query).fetchall())
    new = [one for one in outcomes if (str(one.stage), one.item, one.reason) not in recorded]
    record(lake, [replace(outcome, seconds=None) for outcome in new], run_id)


def earlier_attempts(lake: Lake, outcomes: Sequence[Outcome]) -> dict[tuple[str, str], int]:
    """Return how many attempts the items of these outcomes have had."""
    items = pa.table({"stage": [str(o.stage) for o in outcomes], "item": [o.item for o in outcomes]})
    with duckdb_connection.connect(lake) as connection:
        connection.register("items", items)
        query = (
            f"SELECT stage, item, max(attempt) FROM {tables.rows_sql(lake, OUTCOMES)} "
            "SEMI JOIN items USING (stage, item) GROUP BY stage, item"
        )
        return {(stage, item): attempt for stage, item, attempt in connection.execute(query).fetchall()}


def times_in_a_row(lake: Lake, stage: Stage, reason: str, items: Collection[str]) -> dict[str, int]:
    """Return how often in a row, up to now, these items were recorded with a reason, for those that were."""
    with duckdb_connection.connect(lake) as connection:
        query = f"""
            WITH judged AS (
                SELECT item, reason, recorded_at,
                    max(recorded_at) FILTER (reason IS DISTINCT FROM $reason) OVER (PARTITION BY item) AS otherwise
                FROM {tables.rows_sql(lake, OUTCOMES)} WHERE stage = $stage AND item IN (SELECT unnest($items))
            )
            SELECT item, count(*) FROM judged
            WHERE reason = $reason AND (otherwise IS NULL OR recorded_at > otherwise) GROUP BY item
        """
        given = {"stage": str(stage), "reason": reason, "items": list(items)}
        return dict(connection.execute(query, given).fetchall())


def newest_with_reason(lake: Lake, stage: Stage, reason: str) -> set[str]:
    """Return the items of a stage whose newest outcome has this reason."""
    rows = _select_newest(lake, "SELECT item", f"stage = '{stage}'", (), f"reason = '{reason}'")
    return {item for (item,) in rows}


_FILM = "split_part(item, '/', 1)"


def attempts(lake: Lake, stages: Iterable[Stage], done_films: Collection[str] = ()) -> dict[tuple[str, str], int]:
    """Return how many attempts each (stage, item) has had, without the items of films that are done."""
    stage_names = ", ".join(f"'{stage}'" for stage in stages) or "''"
    keys = f"stage IN ({stage_names}) AND {_FILM} NOT IN (FROM names)"
    rows = _select_newest(lake, "SELECT stage, item, attempt", keys, done_films)
    return {(stage, item): attempt for stage, item, attempt in rows}


def waits_sql(moment: str) -> str:
    """Return SQL for whether an outcome waits at a moment, also given as SQL.

    One that waits longer than any does was recorded while the clock of a machine was wrong, and is due.
    """
    return f"(retry = 'later' AND retry_at > {moment} AND retry_at <= {moment} + INTERVAL {LONGEST_WAIT_DAYS} DAYS)"


def not_due(
    lake: Lake,
    stage: Stage,
    now: datetime | None = None,
    *,
    done_films: Collection[str] = (),
    among: Collection[str] | None = None,
) -> set[str]:
    """Return the items of a stage that need no work now: done, failed permanently, or to be retried later.

    Either those `among` given items, or all except those of `done_films`; what remains is small
    however much was collected.
    """
    keys = f"{_FILM} NOT IN (FROM names)" if among is None else "item IN (FROM names)"
    moment = f"'{(now or datetime.now(UTC)).isoformat()}'::TIMESTAMPTZ"
    is_not_due = f"status = 'ok' OR retry = 'never' OR {waits_sql(moment)}"
    names = done_films if among is None else among
    rows = _select_newest(lake, "SELECT item", f"stage = '{stage}' AND {keys}", names, is_not_due)
    return {item for (item,) in rows}


def _select_newest(lake: Lake, select: str, keys: str, names: Collection[str], condition: str = "true") -> list[Any]:
    """Select columns of the newest outcomes; `keys` is a condition on their keys, which may use the table `names`."""
    with duckdb_connection.connect(lake, duckdb_connection.SMALL_MEMORY_LIMIT) as connection:
        connection.register("names", pa.table({"name": pa.array(sorted(names), pa.string())}))
        newest = tables.latest_sql(lake, OUTCOMES, keys)
        return connection.execute(f"{select} FROM {newest} WHERE {condition}").fetchall()


def not_done_since(lake: Lake, since: datetime) -> dict[str, int]:
    """Count the items that ended without success since a moment, by STAGE_REASON, the most frequent first."""
    query = (
        f"SELECT stage || '_' || reason, count(*) FROM {tables.latest_sql(lake, OUTCOMES)} "
        "WHERE status <> 'ok' AND recorded_at >= ? GROUP BY ALL ORDER BY 2 DESC, 1"
    )
    with duckdb_connection.connect(lake) as connection:
        return dict(connection.execute(query, [since]).fetchall())


@dataclass(frozen=True)
class StageResult:
    """How the items of one stage ended in one run; `reasons` are (reason, count, an example's message), most first."""

    stage: str
    tried: int
    failed: int
    reasons: tuple[tuple[str, int, str], ...]


def stage_results(lake: Lake, run_id: str) -> list[StageResult]:
    """Return how many items a run tried and how many failed, by stage.

    Rechecks of what is already collected are left out: a dead link is a finding, not a failure of the run.
    """
    query = (
        "WITH ended AS (SELECT stage, item, arg_max({'status': status, 'reason': reason, 'message': message}, "
        f"{tables.ROW_ORDER}) AS last FROM {tables.rows_sql(lake, OUTCOMES)} "
        f"WHERE run_id = ? AND stage <> '{Stage.AVAILABILITY}' GROUP BY ALL) "
        "SELECT stage, last.status = 'failed' AS failed, last.reason, count(*), min(last.message) FROM ended "
        "GROUP BY ALL ORDER BY 1, 4 DESC, 3"
    )
    with duckdb_connection.connect(lake) as connection:
        rows = connection.execute(query, [run_id]).fetchall()
    results = []
    for stage in dict.fromkeys(row[0] for row in rows):
        of_stage = [row for row in rows if row[0] == stage]
        failed = tuple((reason, count, message) for _, is_failed, reason, count, message in of_stage if is_failed)
        results.append(StageResult(stage, sum(row[3] for row in of_stage), sum(row[1] for row in failed), failed))
    return results
