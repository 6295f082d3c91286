"""Recover from crashes: rows that were kept from being written, and what is left over in the lake and on the disk.

A film's shard is its commit. Its rows and outcomes are written just after it; when a crash came between, the shard
still carries them, and the next run writes them to the tables. Embeddings without a shard and downloads without use
are deleted.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import pyarrow as pa

from storage.audio_embeddings import film_of, list_embeddings
from storage.coordination.leases import warn
from storage.coordination.list_and_free_leases import leased_items
from storage.lake.lake import Lake
from storage.mels.reader import read_tracks
from storage.mels.settings_and_shard_format import done_films
from storage.records import outcomes
from storage.records.outcomes import REASONS, Outcome, Stage, Status, ok
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import OUTCOMES, TRACKS
from storage.takedown_list_and_erasure import drop_embeddings
from tasks.soundtracks.download.downloader_and_staging import pending_folder, release_staged, staging_folder


def recover(lake: Lake, run_id: str) -> int:
    """Write the rows and outcomes of films whose shard exists and whose rows or outcome do not; return how many.

    A crash just after the shard leaves it so, and so does a damaged part of a table that the user deleted.
    """
    done = done_films(lake)
    incomplete = _incomplete_films(lake, done)
    # A living worker that has a film leased is about to write its rows itself.
    of_living_workers = leased_items(lake, incomplete, on_wait=warn)
    film_ids = [film_id for film_id in incomplete if film_id not in of_living_workers]
    for film_id in film_ids:
        rows = read_tracks(lake, done[film_id])
        tables.append(lake, TRACKS, [without_run(row) for row in rows], run_id)
        track_outcomes = [outcome for row in rows if (outcome := _outcome_of_row(row))]
        audio_seconds = sum(row.get("decoded_seconds") or 0.0 for row in rows)
        film_outcome = ok(Stage.SOUNDTRACK, film_id, audio_seconds=audio_seconds)
        decided_by = max((row["rule_version"] for row in rows if row.get("rule_version")), default=None)
        outcomes.record(lake, [*track_outcomes, replace(film_outcome, rule_version=decided_by)], run_id)
    return len(film_ids)


def _incomplete_films(lake: Lake, done: dict[str, str]) -> list[str]:
    """Return the done films that lack their outcome or all rows of recordings in a shard."""
    with duckdb_connection.connect(lake, duckdb_connection.SMALL_MEMORY_LIMIT) as connection:
        connection.register("done", pa.table({"film_id": pa.array(sorted(done), pa.string())}))
        newest_outcomes = tables.latest_sql(lake, OUTCOMES, "stage = 'soundtrack'")
        query = (
            f"FROM done EXCEPT (SELECT item FROM {newest_outcomes} WHERE status = 'ok' "
            f"INTERSECT SELECT film_id FROM {tables.latest_sql(lake, TRACKS)} WHERE shard IS NOT NULL) ORDER BY film_id"
        )
        return [film_id for (film_id,) in connection.execute(query).fetchall()]


def _outcome_of_row(row: dict[str, Any]) -> Outcome | None:
    """Return the outcome of a recording by its row in a shard; None for one that was never tried."""
    item = f"{row['film_id']}/{row['track_id']}"
    if row.get("segments"):
        return ok(Stage.TRACK, item, audio_seconds=row.get("decoded_seconds"))
    if row.get("reason") in REASONS[Stage.TRACK]:
        return Outcome(Stage.TRACK, item, Status.FAILED, row["reason"], message="Recovered from the film's shard")
    return None


def without_run(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of a shard without the run that made it, to be written by the present run."""
    return {name: value for name, value in row.items() if name != "run_id"}


def drop_orphans(lake: Lake) -> None:
    """Delete embeddings of films that have no shard: a crash came between the two, or the shard was deleted."""
    encoded = {film_of(path) for path in list_embeddings(lake)}
    orphans = encoded - done_films(lake).keys() if encoded else set()
    orphans -= leased_items(lake, orphans)
    for film_id in orphans - done_films(lake).keys() if orphans else ():  # committed by another worker meanwhile
        drop_embeddings(lake, film_id)


def clean_staging(lake: Lake, done: Collection[str], *, keep_audio: bool) -> None:
    """Delete what a crash left: the downloads of films that are `done`, and the decoded audio of all others."""
    staging = staging_folder(lake)
    left = {folder.name for folder in staging.iterdir()} if staging.is_dir() else set()
    decoded = {film_id for film_id in left if pending_folder(lake, film_id).exists()}
    left = decoded | (left & set(done))
    for film_id in left - leased_items(lake, left):  # leased: another process is adding recordings
        shutil.rmtree(pending_folder(lake, film_id), ignore_errors=True)
        if film_id in done:
            release_staged(lake, film_id, keep_audio=keep_audio)
