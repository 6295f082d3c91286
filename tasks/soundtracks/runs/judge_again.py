"""Judge recordings again that an older matching rule refused or doubted: which are to be taken now.

Of a finished film that may have more recordings, they are judged from their rows, without a request.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

import pyarrow as pa

from storage.lake.lake import Lake
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import TRACKS
from tasks.soundtracks.matching.track_selection import TRACKS_PER_FILM, order_candidates
from tasks.soundtracks.matching.verdict import RULE_VERSION
from tasks.soundtracks.models import Decision, Film, Judged, Verdict
from tasks.soundtracks.runs.context import RunContext
from tasks.soundtracks.runs.reconcile import without_run
from tasks.soundtracks.runs.schedule import OF_ONE_RUN, Row, select
from tasks.soundtracks.sources.yt_dlp_metadata import candidate_of_row

FILMS_JUDGED_AT_ONCE = 200
"""Finished films whose rows are judged by a new rule and then written: what a killed run loses."""


def rows_to_take_now(context: RunContext, done: Collection[str]) -> list[Row]:
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
