"""Decide when what failed is tried again, by what earlier runs recorded.

A film without music is asked for again after 1, 3, 9, 27 and then every 90 days, or the films that have none would take
the budget of every day. What decided is recorded with each outcome: another source, a new version of the matching rule
or, for what failed or found nothing at all, of yt-dlp opens a film again at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from storage.errors import Retry
from storage.lake.lake import Lake
from storage.records.outcomes import FETCH_REASONS, Outcome, Stage, later, not_due, waits_sql
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import OUTCOMES, TRACKS
from tasks.soundtracks.matching.verdict import RULE_VERSION
from tasks.soundtracks.runs.open_sources import RunContext

MOST_RUNS = 3
"""A film stops waiting for a recording that failed in so many runs; the recording itself may still be fetched."""
Row = dict[str, Any]


@dataclass(frozen=True)
class FilmHistory:
    """What earlier runs recorded about the music of one film that is not done."""

    was_asked: bool
    """Whether all sources that are searched now were asked before; otherwise the film is new to one of them."""
    is_waiting: bool
    """Whether the film needs no search now: it failed permanently, or is to be tried later."""
    tries: int
    """How often the sources that are searched now had no music, by the present rule."""
    sources: frozenset[str]
    """The sources of the newest outcome."""


@dataclass(frozen=True)
class History:
    """What earlier runs recorded, as far as it matters for what is not done."""

    done: Mapping[str, str]
    """film_id -> shard."""
    retried: frozenset[str]
    """Items of either stage whose failure the user asks to try again."""
    opened: frozenset[str]
    """Recordings that were given up under another version of yt-dlp."""
    films: Mapping[str, FilmHistory]
    films_not_due: frozenset[str]
    tracks_not_due: frozenset[str]


def read_history(context: RunContext, done: Mapping[str, str]) -> History:
    """Return what earlier runs recorded, as far as the sources, tools and rule of this run keep it valid."""
    lake, tool_version = context.lake, context.tool_version
    retried = _failed_items(lake, context.settings.retry_reasons)
    untried = retried | _items_of_deleted_shards(lake, done)
    opened = _tracks_to_open_again(lake, tool_version)
    films = _read_film_histories(lake, done, context.searched, context.search_version)
    waiting = frozenset(film_id for film_id, history in films.items() if history.is_waiting)
    tracks_not_due = frozenset(not_due(lake, Stage.TRACK, done_films=done)) - untried - opened
    return History(done, retried, opened, films, waiting - untried, tracks_not_due)


def _read_film_histories(
    lake: Lake, done: Collection[str], searched: Sequence[str], tool_version: str | None
) -> dict[str, FilmHistory]:
    """Return the history of each film that is not done and has one. `searched` are the sources that are searched now.

    Outcomes of older versions name neither versions nor sources, so each opens its film once.
    """
    asked = "list_has_all(coalesce(sources, []), $searched)"
    outdated = (
        "rule_version IS DISTINCT FROM $rule OR tool_version IS DISTINCT FROM $tool "
        "AND (retry = 'never' OR reason = 'nothing_found')"
    )
    query = f"""
        WITH attempts AS (
            SELECT *, {tables.ROW_ORDER} AS position FROM {tables.rows_sql(lake, OUTCOMES)}
            WHERE stage = '{Stage.SOUNDTRACK}' AND item NOT IN (FROM done)
        )
        SELECT item, bool_or(sources IS NULL OR {asked}) AS was_asked,
            arg_max(status = 'ok' OR reason = 'taken_down' OR {asked} AND NOT ({outdated})
                AND (retry = 'never' OR {waits_sql("$now::TIMESTAMPTZ")}), position) AS is_waiting,
            count(*) FILTER (retry = 'later' AND rule_version = $rule AND {asked}) AS tries,
            arg_max(coalesce(sources, []), position) AS sources
        FROM attempts GROUP BY item
    """
    parameters = {"searched": list(searched), "rule": RULE_VERSION, "tool": tool_version, "now": datetime.now(UTC)}
    return {
        item: FilmHistory(was_asked, bool(is_waiting), tries, frozenset(sources))
        for item, was_asked, is_waiting, tries, sources in select(lake, query, done, parameters)
    }


def _failed_items(lake: Lake, reasons: Collection[str]) -> frozenset[str]:
    """Return the items whose newest outcome has one of these reasons."""
    if not reasons:
        return frozenset()
    with duckdb_connection.connect(lake) as connection:
        newest = tables.latest_sql(lake, OUTCOMES, "stage IN ('track', 'soundtrack')")
        query = f"SELECT item FROM {newest} WHERE status <> 'ok' AND list_contains(?, reason)"
        return frozenset(item for (item,) in connection.execute(query, [sorted(reasons)]).fetchall())


def _items_of_deleted_shards(lake: Lake, done: Collection[str]) -> frozenset[str]:
    """Return films and recordings whose newest outcome is ok, and whose shard does not exist any more."""
    with duckdb_connection.connect(lake, duckdb_connection.SMALL_MEMORY_LIMIT) as connection:
        connection.register("done", pa.table({"film_id": pa.array(sorted(done), pa.string())}))
        keys = "stage IN ('track', 'soundtrack') AND split_part(item, '/', 1) NOT IN (FROM done)"
        query = f"SELECT item FROM {tables.latest_sql(lake, OUTCOMES, keys)} WHERE status = 'ok'"
        return frozenset(item for (item,) in connection.execute(query).fetchall())


def _tracks_to_open_again(lake: Lake, tool_version: str | None) -> frozenset[str]:
    """Return the recordings, also of films that are done, that were given up under another version of yt-dlp."""
    if tool_version is None:
        return frozenset()
    keys = f"stage = '{Stage.TRACK}'"
    query = f"""
        SELECT item FROM {tables.latest_sql(lake, OUTCOMES, keys)} WHERE status = 'failed' AND retry = 'never'
            AND list_contains($reasons, reason) AND tool_version IS DISTINCT FROM $tool
    """
    parameters = {"reasons": sorted(FETCH_REASONS), "tool": tool_version}
    return frozenset(item for (item,) in select(lake, query, (), parameters))


def track_rows(lake: Lake, items: Iterable[str]) -> list[dict[str, Any]]:
    """Return the newest `tracks` rows of some FILM_ID/TRACK_ID items, ordered by film and track."""
    pairs = [item.split("/", 1) for item in sorted(items) if "/" in item]
    keys = pa.table({name: pa.array([pair[n] for pair in pairs], pa.string()) for n, name in enumerate(TRACKS.key)})
    with duckdb_connection.connect(lake) as connection:
        connection.register("requested", keys)
        newest = tables.latest_sql(lake, TRACKS, "(film_id, track_id) IN (FROM requested)")
        result = connection.sql(f"FROM {newest} ORDER BY film_id, track_id")
        rows: list[dict[str, Any]] = result.to_arrow_table().to_pylist()
    return rows


def select(lake: Lake, query: str, done: Collection[str], parameters: Mapping[str, Any]) -> list[Any]:
    """Return the rows of a query, which may read the ids of finished films from the table `done`."""
    with duckdb_connection.connect(lake, duckdb_connection.SMALL_MEMORY_LIMIT) as connection:
        connection.register("done", pa.table({"film_id": pa.array(sorted(done), pa.string())}))
        return connection.execute(query, parameters).fetchall()


def stops_waiting(tries: int) -> bool:
    """Return whether a film stops waiting for a recording that failed once more, after so many earlier tries."""
    return tries + 1 >= MOST_RUNS


def with_backoff(outcome: Outcome, tries: int) -> Outcome:
    """Return an outcome that is to be retried later with its time, after so many earlier tries."""
    return replace(outcome, retry_at=later(tries)) if outcome.retry is Retry.LATER else outcome
