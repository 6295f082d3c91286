"""Judge again what an older matching rule decided about finished films: which recordings are to be taken now.

Of a film that may have more recordings, those that it refused or doubted are judged from their rows, without a request.
Of an album that it refused as a whole there are no rows: it is searched for again.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

import pyarrow as pa

from storage.errors import ItemError
from storage.lake.lake import Lake
from storage.records.outcomes import REASONS, Stage, not_due
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import OUTCOMES, TRACKS
from tasks.soundtracks.candidate_recordings import Decision, Film, Judged, Verdict, track_row
from tasks.soundtracks.matching.track_selection import TRACKS_PER_FILM, order_candidates
from tasks.soundtracks.matching.verdict import RULE_VERSION
from tasks.soundtracks.runs.crash_recovery import without_run
from tasks.soundtracks.runs.open_sources import RunContext
from tasks.soundtracks.runs.retry_schedule import Row, select, track_rows
from tasks.soundtracks.sources.youtube_albums_and_search import MIN_ALBUM_TRACKS, YouTubeSource
from tasks.soundtracks.sources.youtube_albums_and_search import NAME as YOUTUBE
from tasks.soundtracks.sources.ytdlp_metadata import OFFICIAL_ALBUM_PREFIX, candidate_of_row

log = logging.getLogger(__name__)

FILMS_JUDGED_AT_ONCE = 200
"""Finished films whose rows are judged by a new rule and then written: what a killed run loses."""
OF_ONE_RUN = REASONS[Stage.TRACK] | {
    *("belongs_to_another_film", "duplicate", "enough_tracks", "failed_before", "film_already_done"),
    *("not_creative_commons", "refused", "taken_by_another_film"),
}
"""Reasons of rejections that the page of a recording does not state, so another run may decide otherwise."""


def rows_to_fetch_now(context: RunContext, done: Collection[str]) -> list[Row]:
    """Return the rows that only the present rule takes and whose recordings may be fetched now, of the chosen films."""
    settings = context.settings
    if settings.retry_reasons or settings.find_only:
        return []
    rows = _rows_to_take_now(context, done)
    waiting = not_due(context.lake, Stage.TRACK, among={f"{row['film_id']}/{row['track_id']}" for row in rows})
    due = [row for row in rows if f"{row['film_id']}/{row['track_id']}" not in waiting]
    films = [context.matcher.film_index.films[film_id] for film_id in dict.fromkeys(row["film_id"] for row in due)]
    chosen = {film.film_id for film in settings.chosen(films, context.matcher.film_index)}
    return [row for row in due if row["film_id"] in chosen]


def _rows_to_take_now(context: RunContext, done: Collection[str]) -> list[Row]:
    """Return the rows of recordings that an older rule refused or doubted and the present one takes, of finished films.

    No request is made. What the present rule does not take either is written with its version, so that it is judged
    once; what it takes keeps its row until it is fetched. Films with as many recordings as a film may have
    are left out.
    """
    lake, index, recordings = context.lake, context.matcher.film_index, Counter(context.matcher.owners.values())
    sources = [source.name for source in context.sources]
    outdated = (
        "decision <> 'taken' AND coalesce(segments, 0) = 0 AND rule_version IS DISTINCT FROM $rule "
        "AND NOT list_contains($of_one_run, reason) AND list_contains($sources, source)"
    )
    parameters = {"rule": RULE_VERSION, "of_one_run": sorted(OF_ONE_RUN), "sources": sources}
    newest = tables.latest_sql(lake, TRACKS, "film_id IN (FROM done)")
    incomplete = [film_id for film_id in done if recordings[film_id] < TRACKS_PER_FILM and film_id in index.films]
    query = f"SELECT DISTINCT film_id FROM {newest} WHERE {outdated} ORDER BY film_id"
    film_ids = [film_id for (film_id,) in select(lake, query, incomplete, parameters)]
    opened: list[Row] = []
    for start in range(0, len(film_ids), FILMS_JUDGED_AT_ONCE):
        context.progress("Judging again by the new rule", start, len(film_ids))
        query = f"FROM {newest} WHERE segments > 0 OR {outdated} ORDER BY film_id, track_id"
        some, judged_once = film_ids[start : start + FILMS_JUDGED_AT_ONCE], list[Row]()
        rows = _rows(lake, query, some, parameters)
        for film_id, of_film in groupby(rows, key=lambda row: row["film_id"]):
            now, not_now = _judge_again(context, index.films[film_id], list(of_film))
            opened += now
            judged_once += not_now
        tables.append(lake, TRACKS, judged_once, context.run_id)
    return opened


def _judge_again(context: RunContext, film: Film, rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Return the rows of one film that are to be taken now, best first, and the others with their new verdict."""
    by_track = {row["track_id"]: row for row in rows if not row["segments"]}
    searched = context.searched
    of_film = (one for source in context.assigned for one in source.by_film.get(film.film_id, ()))
    listed = {one.candidate.track_id: one for one in of_film}
    judged = [
        Judged(film.film_id, candidate_of_row(row), Verdict(Decision.TAKEN, "approved"))
        for row in rows
        if row["segments"]  # so that a second recording of the same title and length is a duplicate
    ]
    for track_id, row in by_track.items():
        if row["source"] in searched:
            judged.append(context.matcher.judge(candidate_of_row(row), film))
        elif track_id in listed:
            judged.append(listed[track_id])
    taken, judged_once = [], []
    for one in order_candidates(judged):
        stored = by_track.get(one.candidate.track_id)
        if stored is not None and one.verdict.decision is Decision.TAKEN:
            taken.append(stored)
        elif stored is not None:
            judged_once.append(_with_verdict(stored, one.verdict))
    return taken, judged_once


def _with_verdict(row: Row, verdict: Verdict) -> Row:
    """Return a row with the present rule's verdict.

    One that is left for review stays so: a row lacks what its page states, so it cannot show why to reject it.
    """
    row = {name: value for name, value in without_run(row).items() if name != "recorded_at"}
    row["rule_version"] = RULE_VERSION
    if row["decision"] == Decision.REVIEW and verdict.decision is Decision.REJECTED:
        return row
    facts = {"score": verdict.score, "score_parts": dict(verdict.parts)}
    return {**row, **facts, "decision": str(verdict.decision), "reason": verdict.reason}


def _rows(lake: Lake, query: str, film_ids: Iterable[str], parameters: Mapping[str, Any]) -> list[Row]:
    with duckdb_connection.connect(lake) as connection:
        connection.register("done", pa.table({"film_id": pa.array(sorted(film_ids), pa.string())}))
        found: list[Row] = connection.sql(query, params=dict(parameters)).to_arrow_table().to_pylist()
    return found


def films_to_search_again(context: RunContext, done: Collection[str]) -> frozenset[str]:
    """Return the finished films whose albums are searched for again by the present rule, of the chosen ones."""
    settings, index = context.settings, context.matcher.film_index
    if (
        settings.retry_reasons
        or settings.find_only
        or settings.creative_commons_only
        or YOUTUBE not in context.searched
    ):
        return frozenset()
    films = [index.films[film_id] for film_id in _films_without_album(context, done)]
    return frozenset(film.film_id for film in settings.chosen(films, index))


def _films_without_album(context: RunContext, done: Collection[str]) -> list[str]:
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


def search_again(
    context: RunContext, film: Film, present: Mapping[str, Row], known: Collection[str]
) -> list[Judged] | None:
    """Return what the present rule takes of the film's albums, best first, and write rows of what it does not take.

    None when the albums could not be asked for; then the next run asks.
    """
    source = next(source for source in context.sources if isinstance(source, YouTubeSource))
    try:
        found = source.find_albums(film)
    except ItemError as error:
        log.warning("The albums of %s are not searched for again in this run: %s", film.film_id, error)
        return None
    items = {one.item for one in found}
    stored = {row["track_id"] for row in track_rows(context.lake, items)}
    waiting = not_due(context.lake, Stage.TRACK, among=items)
    approved = Verdict(Decision.TAKEN, "approved")
    collected = [Judged(film.film_id, candidate_of_row(row), approved) for row in present.values()]
    new = [
        one
        for one in order_candidates([*collected, *found])  # a second recording of the same is a duplicate
        if one.candidate.track_id not in {*present, *known}
    ]
    taken = [one for one in new if one.verdict.decision is Decision.TAKEN and one.item not in waiting]
    rows = [
        track_row(one, RULE_VERSION)
        for one in new
        if one.verdict.decision is not Decision.TAKEN and one.candidate.track_id not in stored
    ]
    tables.append(context.lake, TRACKS, rows, context.run_id)
    return taken


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
