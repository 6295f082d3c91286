"""Plan a run: which films to collect and which finished ones to reopen, worked out from the lake alone.

A film is done when its shard exists, whatever was recorded: one whose damaged shard the user deleted is collected
again. Of the others, those are planned for which a source has something that was not tried before, or that may be
searched for again. A film for which there is nothing is recorded once, with the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from storage.coordination.held_leases import sweep_leases
from storage.errors import ItemError, Retry
from storage.lake.lake import Lake
from storage.records.outcomes import Outcome, Stage, Status, attempts, from_error, not_due, record_new
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import OUTCOMES, TRACKS
from tasks.soundtracks.download.staging import clean_staging
from tasks.soundtracks.matching.track_selection import TRACKS_PER_FILM, with_decision
from tasks.soundtracks.matching.verdict import RULE_VERSION
from tasks.soundtracks.models import Decision, Film, Judged, track_row
from tasks.soundtracks.runs.context import RunContext
from tasks.soundtracks.runs.encode import drop_orphans
from tasks.soundtracks.runs.judge_again import rows_to_take_now
from tasks.soundtracks.runs.reconcile import done_films
from tasks.soundtracks.runs.schedule import (
    FilmHistory,
    FilmToReopen,
    films_without_album,
    in_order,
    read_history,
    read_refusals,
    tracks_to_open_again,
)
from tasks.soundtracks.runs.takedown import purge
from tasks.soundtracks.sources.youtube_albums_and_search import NAME as YOUTUBE


@dataclass(frozen=True)
class Plan:
    """The films to collect, in order of work; track items not to be tried; earlier attempts by (stage, item)."""

    films: list[Film]
    tracks_not_due: frozenset[str]
    attempts: dict[tuple[str, str], int]
    reopened: list[FilmToReopen] = field(default_factory=list)
    """Finished films to which a reviewer's yes, a retry or another version of yt-dlp or the rule may add recordings."""
    histories: Mapping[str, FilmHistory] = field(default_factory=dict)
    """film_id -> what earlier runs recorded, of films that are not done."""
    refusals: Mapping[str, tuple[Decision, str]] = field(default_factory=dict)
    """Decision and reason for recordings that their page refused."""

    @property
    def retries(self) -> frozenset[str]:
        """The films that were tried before."""
        return frozenset(film_id for film_id, history in self.histories.items() if history.was_asked)


@dataclass(frozen=True)
class _History:
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


def plan(context: RunContext) -> Plan:
    """Plan a run with the sources of `context`, and tidy up what crashed runs left behind, also of what was taken down.

    Outcomes of what needs no work are recorded here where they are new: recordings that match no film, films for
    which there is nothing, and recordings that came after their film was done.
    """
    lake = context.lake
    sweep_leases(lake)
    purge(lake, context.run_id)
    drop_orphans(lake)
    done = done_films(lake)
    clean_staging(lake, done, keep_audio=context.settings.keep_audio)
    history = _read_history(context, done)
    films, skipped = _choose_films(context, history)
    _record_unplanned(context, {film.film_id for film in films}, done, skipped)
    opened = history.retried | history.opened
    counted = {key: n for key, n in attempts(lake, [Stage.TRACK], done).items() if key[1] not in opened}
    reopened, refusals = _choose_reopened(context, history), read_refusals(lake, done)
    return Plan(films, history.tracks_not_due, counted, reopened, history.films, refusals)


def _read_history(context: RunContext, done: Mapping[str, str]) -> _History:
    lake, tool_version = context.lake, context.tool_version
    retried = _failed_items(lake, context.settings.retry_reasons)
    untried = retried | _items_of_deleted_shards(lake, done)
    opened = tracks_to_open_again(lake, tool_version)
    films = read_history(lake, done, context.searched, context.search_version)
    waiting = frozenset(film_id for film_id, history in films.items() if history.is_waiting)
    tracks_not_due = frozenset(not_due(lake, Stage.TRACK, done_films=done)) - untried - opened
    return _History(done, retried, opened, films, waiting - untried, tracks_not_due)


def _choose_films(context: RunContext, history: _History) -> tuple[list[Film], list[Outcome]]:
    """Return the films to collect, in order of work, and the outcomes of films for which there is nothing to do."""
    matcher, is_searching = context.matcher, context.is_searching
    approved_films = {film_id for (film_id, _track_id), is_match in matcher.reviews.items() if is_match}
    retried_films = {item.split("/")[0] for item in history.retried}
    films, skipped = [], []
    for film in matcher.film_index.films.values():
        if film.film_id in history.done or (context.settings.retry_reasons and film.film_id not in retried_films):
            continue
        if film.film_id in matcher.takedowns:
            skipped.append(taken_down(film))
            continue
        candidates = [judged for source in context.assigned for judged in source.by_film.get(film.film_id, ())]
        taken = [judged for judged in candidates if judged.verdict.decision is Decision.TAKEN]
        may_search = film.film_id not in history.films_not_due or film.film_id in approved_films | retried_films
        if any(judged.item not in history.tracks_not_due for judged in taken) or (is_searching and may_search):
            films.append(film)
        elif not taken and not is_searching and _says_something_new(context, history.films.get(film.film_id)):
            skipped.append(nothing_taken(film.film_id, candidates))
    return in_order(films, history.films), skipped


def _says_something_new(context: RunContext, history: FilmHistory | None) -> bool:
    """Return whether this run asks all sources that the newest outcome rests on; else that one says more."""
    return history is None or history.sources <= {source.name for source in context.sources}


def nothing_taken(film_id: str, candidates: Collection[Judged], *, was_searched: bool = False) -> Outcome:
    """Return the outcome of a film of whose candidates none was taken: it awaits a review, or nothing matched.

    A search that lists nothing at all is a reason of its own: it may be the site's layout.
    """
    if any(judged.verdict.decision is Decision.REVIEW for judged in candidates):
        message = "Its candidates are doubtful; say yes or no with needledrop review"
        error = ItemError("awaiting_review", message, Retry.LATER)
    elif was_searched and not candidates:
        message = "No source lists anything at all for this film; it is asked for again, sooner with another yt-dlp"
        error = ItemError("nothing_found", message, Retry.LATER)
    else:
        error = ItemError("no_match", "No source has music that matches; add some or wait for more", Retry.LATER)
    return from_error(Stage.SOUNDTRACK, film_id, error, Status.SKIPPED)


def taken_down(film: Film) -> Outcome:
    """Return the outcome of a film that is on the takedown list."""
    error = ItemError("taken_down", "The film is on the takedown list")
    return from_error(Stage.SOUNDTRACK, film.film_id, error, Status.SKIPPED)


def _choose_reopened(context: RunContext, history: _History) -> list[FilmToReopen]:
    """Return the done films whose shards lack a recording that was approved, or is to be tried again.

    That is what the user names by reason and, while a film may have more, what another version of yt-dlp gave up, or
    of the rule did not take.
    """
    lake, matcher = context.lake, context.matcher
    approved = {f"{film_id}/{track_id}" for (film_id, track_id), is_match in matcher.reviews.items() if is_match}
    opened: frozenset[str] = frozenset()
    items = history.retried
    if not context.settings.retry_reasons:
        opened = frozenset(item for item in history.opened if item.split("/")[0] in history.done)
        items = items | opened | (approved - not_due(lake, Stage.TRACK, among=approved))
    sources, tracks_of = {source.name for source in context.sources}, Counter(matcher.owners.values())
    missing: dict[str, dict[str, dict[str, Any]]] = {}
    for row in track_rows(lake, items) if items else ():
        film_id = row["film_id"]
        is_asked_for = f"{film_id}/{row['track_id']}" in (items - opened) | approved
        if not is_asked_for and (row["source"] not in sources or tracks_of[film_id] >= TRACKS_PER_FILM):
            continue
        if not row["segments"] and film_id in history.done and film_id in matcher.film_index.films:
            missing.setdefault(film_id, {})[row["track_id"]] = row
    for row in _taken_by_new_rule(context, history):
        missing.setdefault(row["film_id"], {}).setdefault(row["track_id"], row)
    searched = _to_search_again(context, history)
    reopened = [
        FilmToReopen(
            matcher.film_index.films[film_id],
            history.done[film_id],
            tuple(missing.get(film_id, {}).values()),
            is_searched_again=film_id in searched,
        )
        for film_id in sorted(missing.keys() | searched)
    ]
    return sorted(reopened, key=lambda film: film.is_searched_again)


def _to_search_again(context: RunContext, history: _History) -> frozenset[str]:
    """Return the finished films whose albums are searched for again by the present rule, of the chosen ones."""
    settings, index = context.settings, context.matcher.film_index
    if (
        settings.retry_reasons
        or settings.find_only
        or settings.creative_commons_only
        or YOUTUBE not in context.searched
    ):
        return frozenset()
    films = [index.films[film_id] for film_id in films_without_album(context, history.done)]
    return frozenset(film.film_id for film in settings.chosen(films, index))


def _taken_by_new_rule(context: RunContext, history: _History) -> list[dict[str, Any]]:
    """Return the rows that only the present rule takes and whose recordings may be fetched now, of the chosen films."""
    settings = context.settings
    if settings.retry_reasons or settings.find_only:
        return []
    rows = rows_to_take_now(context, history.done)
    waiting = not_due(context.lake, Stage.TRACK, among={f"{row['film_id']}/{row['track_id']}" for row in rows})
    due = [row for row in rows if f"{row['film_id']}/{row['track_id']}" not in waiting]
    films = [context.matcher.film_index.films[film_id] for film_id in dict.fromkeys(row["film_id"] for row in due)]
    chosen = {film.film_id for film in settings.chosen(films, context.matcher.film_index)}
    return [row for row in due if row["film_id"] in chosen]


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


def _record_unplanned(
    context: RunContext, planned: Collection[str], done: Collection[str], skipped: Sequence[Outcome]
) -> None:
    """Write outcomes and rows for recordings and films that are not worked on, where they say something new."""
    unmatched = [
        from_error(Stage.TRACK, candidate.track_id, error, Status.SKIPPED)
        for source in context.assigned
        for candidate, error in source.unmatched
    ]
    record_new(context.lake, context.decided([*skipped, *unmatched]), context.run_id)
    unplanned = [
        judged
        for source in context.assigned
        for film_id in sorted(source.by_film)
        for judged in source.by_film[film_id]
        if film_id not in planned
    ]
    stored_rows = {
        (row["film_id"], row["track_id"]): row
        for row in track_rows(context.lake, (judged.item for judged in unplanned))
    }
    rows = []
    for judged in unplanned:
        is_done = judged.film_id in done
        stored = stored_rows.get((judged.film_id, judged.candidate.track_id))
        if stored is None or _is_new_verdict(judged, stored, is_done):
            is_late = is_done and judged.verdict.decision is Decision.TAKEN
            shown = with_decision(judged, Decision.REJECTED, "film_already_done") if is_late else judged
            rows.append(track_row(shown, RULE_VERSION))
    tables.append(context.lake, TRACKS, rows, context.run_id)


def _is_new_verdict(judged: Judged, stored_row: dict[str, object], is_done: bool) -> bool:
    """Return whether the verdict differs from the stored row, which stays for a done film and a failed attempt."""
    if is_done or stored_row["segments"] or judged.verdict.decision is Decision.TAKEN:
        return False
    return stored_row["reason"] != judged.verdict.reason
