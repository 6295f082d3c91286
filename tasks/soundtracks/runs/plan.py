"""Which films need music now, worked out from the lake alone.

A film is done when its shard exists, whatever was recorded: one whose damaged shard a person deleted is
made again. Of the others, those are planned for which a source has something that was not tried before, or
that may be searched for again; whoever has nothing is recorded once, with the reason, and not again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from storage.coordination.leases import forget_leases
from storage.errors import ItemError, Retry
from storage.lake.lake import Lake
from storage.records.outcomes import Outcome, Stage, Status, attempts, from_error, not_due, record_new
from storage.tables import tables
from storage.tables.schemas import OUTCOMES, TRACKS
from tasks.soundtracks.download.staging import clean_staging
from tasks.soundtracks.matching.rule import RULE_VERSION
from tasks.soundtracks.matching.selection import with_decision
from tasks.soundtracks.models import Decision, Film, Judged, track_row
from tasks.soundtracks.runs.context import Supply
from tasks.soundtracks.runs.reconcile import done_films
from tasks.soundtracks.sources.base import PreassignedSource


@dataclass(frozen=True)
class Reopened:
    """A film that has a shard, and the `tracks` rows of what is to be added to it."""

    film: Film
    shard: str
    rows: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Plan:
    """The films to work on, oldest first; track items that are not to be tried; attempts made before."""

    films: list[Film]
    settled_tracks: frozenset[str]
    attempts: dict[tuple[str, str], int]
    reopened: list[Reopened] = field(default_factory=list)
    """Films that are done, to which a person's yes or a retry adds."""


def plan(lake: Lake, supply: Supply, run_id: str) -> Plan:
    """Plan a run with these sources.

    What needs no work is recorded here if that says something new: recordings that no film wants, films for
    which there is nothing, and recordings that came after their film was done.
    """
    matcher, assigned, searching = supply.matcher, supply.assigned, supply.settings.youtube
    retry_reasons = supply.settings.retry_reasons
    again = _failed_items(lake, retry_reasons)
    done = done_films(lake)
    forget_leases(lake, done)
    clean_staging(lake, done, keep_audio=supply.settings.keep_audio)
    lost = _lost_items(lake, done)
    tracks_settled = frozenset(not_due(lake, Stage.TRACK, done_films=done)) - again - lost
    films_settled = not_due(lake, Stage.SOUNDTRACK, done_films=done) - again - lost
    approved = {film_id for (film_id, _track), is_match in matcher.reviews.items() if is_match}
    wanted_again = {item.split("/")[0] for item in again}
    films, quiet = [], []
    for film in matcher.film_index.films.values():
        if film.film_id in done or (retry_reasons and film.film_id not in wanted_again):
            continue
        if film.film_id in matcher.takedowns:
            quiet.append(_taken_down(film))
            continue
        judged = [one for source in assigned for one in source.by_film.get(film.film_id, ())]
        taken = [one for one in judged if one.verdict.decision is Decision.TAKEN]
        is_due = film.film_id not in films_settled or film.film_id in approved | wanted_again
        if any(one.item not in tracks_settled for one in taken) or (searching and is_due):
            films.append(film)
        elif not taken and not searching:
            quiet.append(without_music(film, judged))
    _record_resting(lake, assigned, {film.film_id for film in films}, done, quiet, run_id)
    counted = {key: n for key, n in attempts(lake, [Stage.TRACK], done).items() if key[1] not in again}
    ordered = sorted(films, key=lambda film: (film.year or 0, film.film_id))
    return Plan(ordered, tracks_settled, counted, _reopened(lake, supply, done, again))


def _reopened(lake: Lake, supply: Supply, done: Mapping[str, str], again: frozenset[str]) -> list[Reopened]:
    """Done films of which something is wanted that their shard lacks."""
    matcher = supply.matcher
    approved = {f"{film_id}/{track_id}" for (film_id, track_id), yes in matcher.reviews.items() if yes}
    if not approved and not again:
        return []
    # What a person said yes to and then failed for good stays so.
    failed = not_due(lake, Stage.TRACK, among=approved) - again
    items = again if supply.settings.retry_reasons else again | (approved - failed)
    wanted: dict[str, list[dict[str, Any]]] = {}
    for row in _rows_of(lake, items):
        if not row["segments"] and row["film_id"] in done and row["film_id"] in matcher.film_index.films:
            wanted.setdefault(row["film_id"], []).append(row)
    return [Reopened(matcher.film_index.films[f], done[f], tuple(rows)) for f, rows in sorted(wanted.items())]


def _rows_of(lake: Lake, items: Iterable[str]) -> list[dict[str, Any]]:
    """The newest `tracks` rows of some FILM_ID/TRACK_ID items, ordered by film and track."""
    pairs = [item.split("/", 1) for item in sorted(items) if "/" in item]
    keys = pa.table({name: pa.array([pair[n] for pair in pairs], pa.string()) for n, name in enumerate(TRACKS.key)})
    with tables.connect(lake) as connection:
        connection.register("wanted", keys)
        newest = tables.latest_sql(lake, TRACKS, "(film_id, track_id) IN (FROM wanted)")
        found = connection.sql(f"FROM {newest} ORDER BY film_id, track_id")
        rows: list[dict[str, Any]] = found.to_arrow_table().to_pylist()
    return rows


def _failed_items(lake: Lake, reasons: Collection[str]) -> frozenset[str]:
    """The items whose newest outcome has one of these reasons."""
    if not reasons:
        return frozenset()
    with tables.connect(lake) as connection:
        newest = tables.latest_sql(lake, OUTCOMES, "stage IN ('track', 'soundtrack')")
        query = f"SELECT item FROM {newest} WHERE status <> 'ok' AND list_contains(?, reason)"
        return frozenset(item for (item,) in connection.execute(query, [sorted(reasons)]).fetchall())


def _lost_items(lake: Lake, done: Collection[str]) -> frozenset[str]:
    """Films and recordings that ended well but have no shard any more."""
    with tables.connect(lake, tables.SMALL_MEMORY_LIMIT) as connection:
        connection.register("done", pa.table({"film_id": pa.array(sorted(done), pa.string())}))
        keys = "stage IN ('track', 'soundtrack') AND split_part(item, '/', 1) NOT IN (FROM done)"
        query = f"SELECT item FROM {tables.latest_sql(lake, OUTCOMES, keys)} WHERE status = 'ok'"
        return frozenset(item for (item,) in connection.execute(query).fetchall())


def without_music(film: Film, judged: Iterable[Judged]) -> Outcome:
    """Why nothing was taken for a film."""
    if any(one.verdict.decision is Decision.REVIEW for one in judged):
        error = ItemError("awaiting_review", "A person must say yes or no: run needledrop review", Retry.LATER)
    else:
        error = ItemError("no_match", "No source has music that matches; add some or wait for more", Retry.LATER)
    return from_error(Stage.SOUNDTRACK, film.film_id, error, Status.SKIPPED)


def _taken_down(film: Film) -> Outcome:
    error = ItemError("taken_down", "Somebody asked to leave this film out")
    return from_error(Stage.SOUNDTRACK, film.film_id, error, Status.SKIPPED)


def _record_resting(
    lake: Lake,
    assigned: Sequence[PreassignedSource],
    working: Collection[str],
    done: Collection[str],
    quiet: Sequence[Outcome],
    run_id: str,
) -> None:
    """Outcomes and rows for what is not worked on now, as far as they say something new."""
    unmatched = [
        from_error(Stage.TRACK, candidate.track_id, error, Status.SKIPPED)
        for source in assigned
        for candidate, error in source.unmatched
    ]
    record_new(lake, [*quiet, *unmatched], run_id)
    rows = []
    every = [one for source in assigned for film_id in sorted(source.by_film) for one in source.by_film[film_id]]
    resting = [judged for judged in every if judged.film_id not in working]
    known = {(r["film_id"], r["track_id"]): r for r in _rows_of(lake, (judged.item for judged in resting))}
    for judged in resting:
        row = known.get((judged.film_id, judged.candidate.track_id))
        if row is not None and not _says_more(judged, row, judged.film_id in done):
            continue
        is_late = judged.verdict.decision is Decision.TAKEN and judged.film_id in done
        rows.append(
            track_row(
                with_decision(judged, Decision.REJECTED, "film_already_done") if is_late else judged, RULE_VERSION
            )
        )
    tables.append(lake, TRACKS, rows, run_id)


def _says_more(judged: Judged, row: dict[str, object], is_done: bool) -> bool:
    """Whether the verdict changed since the row was written; a done film's rows stand, and so does a failed attempt."""
    if is_done or row["segments"] or judged.verdict.decision is Decision.TAKEN:
        return False
    return row["reason"] != judged.verdict.reason
