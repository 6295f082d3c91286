"""Decide in which order films are worked on: new ones first, and a share of each day's requests for those tried before.

A film without music is asked for again after 1, 3, 9, 27 and then every 90 days, or the films that have none would take
the budget of every day. What decided is recorded with each outcome: another source, a new version of the matching rule
or, for what failed or found nothing at all, of yt-dlp opens a film again at once.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from storage.errors import Retry
from storage.lake.lake import Lake
from storage.records.outcomes import FETCH_REASONS, REASONS, Outcome, Stage, later, waits_sql
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import OUTCOMES, TRACKS
from tasks.soundtracks.matching.track_selection import TRACKS_PER_FILM
from tasks.soundtracks.matching.verdict import RULE_VERSION
from tasks.soundtracks.models import Decision, Film
from tasks.soundtracks.runs.context import RunContext
from tasks.soundtracks.sources.youtube_albums_and_search import MIN_ALBUM_TRACKS
from tasks.soundtracks.sources.youtube_albums_and_search import NAME as YOUTUBE
from tasks.soundtracks.sources.yt_dlp_metadata import OFFICIAL_ALBUM_PREFIX

OF_ONE_RUN = REASONS[Stage.TRACK] | {
    *("belongs_to_another_film", "duplicate", "enough_tracks", "failed_before", "film_already_done"),
    *("not_creative_commons", "refused", "taken_by_another_film"),
}
"""Reasons of rejections that the page of a recording does not state, so another run may decide otherwise."""
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


def read_history(
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


def tracks_to_open_again(lake: Lake, tool_version: str | None) -> frozenset[str]:
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


def read_refusals(lake: Lake, done: Collection[str]) -> dict[str, tuple[Decision, str]]:
    """Return the decision and reason for recordings of undone films that the present rule did not take.

    One that its list's metadata would take was decided by its page, which need not be opened again.
    """
    query = f"""
        SELECT film_id || '/' || track_id, decision, reason
        FROM {tables.latest_sql(lake, TRACKS, "film_id NOT IN (FROM done)")}
        WHERE decision <> 'taken' AND rule_version = $rule AND NOT list_contains($of_one_run, reason)
    """
    parameters = {"rule": RULE_VERSION, "of_one_run": sorted(OF_ONE_RUN)}
    return {item: (Decision(decision), reason) for item, decision, reason in select(lake, query, done, parameters)}


@dataclass(frozen=True)
class FilmToReopen:
    """A film that has a shard, and the `tracks` rows of the recordings to add to it."""

    film: Film
    shard: str
    rows: tuple[Row, ...]
    is_searched_again: bool = False
    """Whether its albums are searched for once more: an older rule refused them as a whole, so they have no rows."""


def films_without_album(context: RunContext, done: Collection[str]) -> list[str]:
    """Return the finished films whose music an older rule decided, from YouTube without an official album.

    Of an album that a rule refuses by its name, artist or year no page is opened, so nothing is there to judge again.
    """
    index, counts = context.matcher.film_index, Counter[str]()
    others = set()
    for track_id, film_id in context.matcher.owners.items():
        counts[film_id] += 1
        if not track_id.startswith(f"{YOUTUBE}:"):
            others.add(film_id)
    some = [f for f in done if f in index.films and f not in others and 0 < counts[f] < TRACKS_PER_FILM]
    decided = tables.latest_sql(context.lake, OUTCOMES, f"stage = '{Stage.SOUNDTRACK}' AND item IN (FROM done)")
    collected = tables.latest_sql(context.lake, TRACKS, "film_id IN (FROM done)")
    query = f"""
        SELECT item FROM {decided} WHERE status = 'ok' AND rule_version IS DISTINCT FROM $rule AND item NOT IN (
            SELECT film_id FROM {collected} WHERE segments > 0 AND starts_with(album_id, '{OFFICIAL_ALBUM_PREFIX}')
            GROUP BY film_id HAVING count(*) >= {MIN_ALBUM_TRACKS}
        ) ORDER BY item
    """
    return [film_id for (film_id,) in select(context.lake, query, some, {"rule": RULE_VERSION})]


def select(lake: Lake, query: str, done: Collection[str], parameters: Mapping[str, Any]) -> list[Any]:
    """Return the rows of a query, which may read the ids of finished films from the table `done`."""
    with duckdb_connection.connect(lake, duckdb_connection.SMALL_MEMORY_LIMIT) as connection:
        connection.register("done", pa.table({"film_id": pa.array(sorted(done), pa.string())}))
        return connection.execute(query, parameters).fetchall()


def with_backoff(outcome: Outcome, tries: int) -> Outcome:
    """Return an outcome that is to be retried later with its time, after so many earlier tries."""
    return replace(outcome, retry_at=later(tries)) if outcome.retry is Retry.LATER else outcome


def in_order(films: Iterable[Film], histories: Mapping[str, FilmHistory]) -> list[Film]:
    """Return films in the order of work: new ones, oldest first, then those tried before, the least tried first."""

    def key(film: Film) -> tuple[bool, int, int, str]:
        history = histories.get(film.film_id)
        is_retry = history is not None and history.was_asked
        return is_retry, history.tries if history and is_retry else 0, film.year or 0, film.film_id

    return sorted(films, key=key)


class WorkQueue:
    """The films of a run, handed out batch by batch: new ones, until retries are owed their share of the requests.

    `spent` returns what was spent today, by all workers: "requests", and of these "retry_requests". Finished films that
    are opened again are retries too, and the first: their recordings are known, so nothing has to be searched for.
    Those that are searched again are the last: they have music, and other retries have none.
    """

    def __init__(
        self,
        films: Sequence[Film],
        retries: Collection[str],
        share: float,
        spent: Callable[[], Counter[str]],
        reopened: Sequence[FilmToReopen] = (),
    ) -> None:
        self._new = deque(film for film in films if film.film_id not in retries)
        self._retries = deque(film for film in films if film.film_id in retries)
        self._reopened = deque(reopened)
        self._share = share
        self._spent = spent

    def __len__(self) -> int:
        return len(self._new) + len(self._retries) + len(self._reopened)

    def take(self, count: int) -> list[Film]:
        """Take the next films out, at most `count`: all new, or all tried before."""
        first, second = (self._retries, self._new) if self._owes_retries() else (self._new, self._retries)
        chosen = first or second
        return [chosen.popleft() for _ in range(min(count, len(chosen)))]

    def take_reopened(self, count: int) -> list[FilmToReopen]:
        """Take the next finished films out, at most `count`; none while it is the turn of the new ones."""
        is_turn = self._owes_retries() or not self._new
        if self._reopened and self._reopened[0].is_searched_again and self._retries:
            return []
        return [self._reopened.popleft() for _ in range(min(count, len(self._reopened)))] if is_turn else []

    def _owes_retries(self) -> bool:
        spent = self._spent()
        return spent["retry_requests"] < self._share * spent["requests"]
