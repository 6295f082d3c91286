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
from storage.records.outcomes import FETCH_REASONS, REASONS, Outcome, Stage, later
from storage.tables import tables
from storage.tables.schemas import OUTCOMES, TRACKS
from tasks.soundtracks.matching.rule import RULE_VERSION
from tasks.soundtracks.models import Decision, Film

_OF_ONE_RUN = REASONS[Stage.TRACK] | {
    *("belongs_to_another_film", "duplicate", "enough_tracks", "failed_before", "film_already_done"),
    *("not_creative_commons", "refused", "taken_by_another_film"),
}
"""Reasons of rejections that the page of a recording does not state, so another run may decide otherwise."""


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
                AND (retry = 'never' OR retry = 'later' AND retry_at > $now), position) AS is_waiting,
            count(*) FILTER (retry = 'later' AND rule_version = $rule AND {asked}) AS tries,
            arg_max(coalesce(sources, []), position) AS sources
        FROM attempts GROUP BY item
    """
    parameters = {"searched": list(searched), "rule": RULE_VERSION, "tool": tool_version, "now": datetime.now(UTC)}
    return {
        item: FilmHistory(was_asked, bool(is_waiting), tries, frozenset(sources))
        for item, was_asked, is_waiting, tries, sources in _select(lake, query, done, parameters)
    }


def tracks_to_open_again(lake: Lake, done: Collection[str], tool_version: str | None) -> frozenset[str]:
    """Return the recordings of undone films that were given up under another version of yt-dlp."""
    if tool_version is None:
        return frozenset()
    keys = f"stage = '{Stage.TRACK}' AND split_part(item, '/', 1) NOT IN (FROM done)"
    query = f"""
        SELECT item FROM {tables.latest_sql(lake, OUTCOMES, keys)} WHERE status = 'failed' AND retry = 'never'
            AND list_contains($reasons, reason) AND tool_version IS DISTINCT FROM $tool
    """
    parameters = {"reasons": sorted(FETCH_REASONS), "tool": tool_version}
    return frozenset(item for (item,) in _select(lake, query, done, parameters))


def read_refusals(lake: Lake, done: Collection[str]) -> dict[str, tuple[Decision, str]]:
    """Return the decision and reason for recordings of undone films that the present rule did not take.

    One that its list's metadata would take was decided by its page, which need not be opened again.
    """
    query = f"""
        SELECT film_id || '/' || track_id, decision, reason
        FROM {tables.latest_sql(lake, TRACKS, "film_id NOT IN (FROM done)")}
        WHERE decision <> 'taken' AND rule_version = $rule AND NOT list_contains($of_one_run, reason)
    """
    parameters = {"rule": RULE_VERSION, "of_one_run": sorted(_OF_ONE_RUN)}
    return {item: (Decision(decision), reason) for item, decision, reason in _select(lake, query, done, parameters)}


def _select(lake: Lake, query: str, done: Collection[str], parameters: Mapping[str, Any]) -> list[Any]:
    with tables.connect(lake, tables.SMALL_MEMORY_LIMIT) as connection:
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

    `spent` returns what was spent today, by all workers: "requests", and of these "retry_requests".
    """

    def __init__(
        self, films: Sequence[Film], retries: Collection[str], share: float, spent: Callable[[], Counter[str]]
    ) -> None:
        self._new = deque(film for film in films if film.film_id not in retries)
        self._retries = deque(film for film in films if film.film_id in retries)
        self._share = share
        self._spent = spent

    def __len__(self) -> int:
        return len(self._new) + len(self._retries)

    def take(self, count: int) -> list[Film]:
        """Take the next films out, at most `count`: all new, or all tried before."""
        spent = self._spent()
        owes_retries = spent["retry_requests"] < self._share * spent["requests"]
        first, second = (self._retries, self._new) if owes_retries else (self._new, self._retries)
        chosen = first or second
        return [chosen.popleft() for _ in range(min(count, len(chosen)))]
