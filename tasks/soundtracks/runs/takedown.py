"""Take down a film, a recording or a channel: list it as taken down, and delete what was collected of it.

A recording's rows in its film's shard are blanked in place, so that the other rows keep their numbers and data-set
versions stay readable; a film's shard is deleted. Audio embeddings, kept audio, staged downloads and embeddings of
models are deleted too. All this happens under the film's lease; a run that holds it reads the list again before it
commits, and deletes what it made itself.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from storage.coordination.leases import OnWait, describe_holder, leased, warn
from storage.errors import InputError, ItemError
from storage.lake.lake import Lake
from storage.mels.reader import read_tracks
from storage.mels.settings_and_shard_format import done_films
from storage.records import outcomes
from storage.records.outcomes import Stage, Status, from_error
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import FILMS, TRACKS
from storage.takedown_list_and_erasure import (
    blank_embeddings,
    blank_track,
    drop_embeddings,
    read_takedowns,
    record_takedown,
)
from tasks.soundtracks.download.downloader_and_staging import kept_audio, staging_folder

REASON = "taken_down"


@dataclass
class Removed:
    """How much was removed, and film_id -> holder of the films that a living worker holds."""

    films: int = 0
    tracks: int = 0
    held: dict[str, str] = field(default_factory=dict)

    def add(self, other: Removed) -> None:
        """Count what was removed of further films."""
        self.films += other.films
        self.tracks += other.tracks


def take_down(lake: Lake, item: str, because: str, run_id: str, on_wait: OnWait = warn) -> Removed:
    """Put an item on the takedown list and delete what was collected of it.

    The item is a film_id ("enwiki-123"), a track_id ("youtube:abc") or a channel ("channel:UC…"). The list
    comes first: if this is interrupted, nothing new is collected, and the same call finishes the deletion.
    Raises `InputError` for anything else.
    """
    is_film = item in set(tables.latest(lake, FILMS, ["film_id"])["film_id"].to_pylist())
    if not is_film and ":" not in item:
        raise InputError(f"{item!r} is no film id of the lake, no track id (youtube:ID) and no channel:ID")
    record_takedown(lake, item, because, run_id)
    films = {row["film_id"] for row in _rows(lake, [item])} | ({item} if is_film else set())
    return _purge_leased(lake, [item], films, run_id, on_wait, because)


def purge(lake: Lake, run_id: str) -> Removed:
    """Delete what is stored of anything on the list: what a run that died, or an older version, committed after it."""
    items = read_takedowns(lake)
    if not items:
        return Removed()
    rows = _rows(lake, items)
    films = (items & set(done_films(lake))) | {row["film_id"] for row in rows if _is_stored(lake, row)}
    return _purge_leased(lake, items, films | _staged_films(lake, items), run_id, warn)


def _is_stored(lake: Lake, row: dict[str, Any]) -> bool:
    """Return whether mels or audio of a taken-down recording are in the lake or on this machine."""
    if row["segments"] or _staged(lake, row).exists() or kept_audio(lake, row["film_id"], row["media_id"]):
        return True
    return bool(row["shard"]) and lake.exists(row["shard"]) and row["track_id"] in _carried(lake, row["shard"])


def _carried(lake: Lake, shard: str) -> set[str]:
    """Return the recordings of which a shard holds mels."""
    return {row["track_id"] for row in read_tracks(lake, shard) if row.get("segments")}


def _staged_films(lake: Lake, items: Collection[str]) -> set[str]:
    return {item for item in items if ":" not in item and staging_folder(lake, item).exists()}


def _purge_leased(
    lake: Lake, items: Collection[str], films: Collection[str], run_id: str, on_wait: OnWait, because: str = ""
) -> Removed:
    """Purge films one after another under their leases; those of living workers are left to them."""
    removed = Removed()
    for film_id in sorted(films):
        with leased(lake, film_id, on_wait=on_wait) as lease:
            if lease is None:
                removed.held[film_id] = describe_holder(lake, film_id)
            else:
                removed.add(purge_films(lake, items, [film_id], run_id, because))
    if done := set(films) - set(removed.held):
        tracks = {row["track_id"] for row in _rows(lake, items) if row["film_id"] in done}
        blank_embeddings(lake, tracks | (done & set(items)))
    return removed


def purge_films(lake: Lake, items: Collection[str], films: Collection[str], run_id: str, because: str = "") -> Removed:
    """Delete what is stored of taken-down items in these films, whose leases the caller holds."""
    concerned = set(films)
    rows = [row for row in _rows(lake, items) if row["film_id"] in concerned] if items else []
    listed = concerned & set(items)
    for row in rows:
        shard = row["shard"]
        if row["film_id"] not in listed:
            drop_embeddings(lake, row["film_id"], [row["track_id"]])
        if row["film_id"] not in listed and shard and lake.exists(shard) and row["track_id"] in _carried(lake, shard):
            blank_track(lake, shard, row["track_id"])
        shutil.rmtree(_staged(lake, row), ignore_errors=True)
        for name in kept_audio(lake, row["film_id"], row["media_id"]):
            lake.remove(name)
    shards = done_films(lake) if listed else {}
    for film_id in sorted(listed):
        shutil.rmtree(staging_folder(lake, film_id), ignore_errors=True)
        drop_embeddings(lake, film_id)
        if film_id in shards:
            lake.remove(shards[film_id])
    collected = [row for row in rows if row["segments"]]
    _record(lake, listed, [row for row in rows if row["segments"] or row["reason"] != REASON], because, run_id)
    return Removed(len({row["film_id"] for row in collected}), len(collected))


def _rows(lake: Lake, items: Collection[str]) -> list[dict[str, Any]]:
    """Return the newest rows of the recordings that these items concern, by themselves, their film or their channel."""
    query = (
        f"FROM {tables.latest_sql(lake, TRACKS)} "
        "WHERE list_has_any($items, [film_id, track_id, 'channel:' || channel_id]) ORDER BY film_id, track_id"
    )
    with duckdb_connection.connect(lake) as connection:
        return duckdb_connection.fetch_rows(connection, query, items=sorted(items))


def _staged(lake: Lake, row: dict[str, Any]) -> Path:
    return staging_folder(lake, row["film_id"]) / str(row["media_id"])


def _record(lake: Lake, films: Collection[str], rows: list[dict[str, Any]], because: str, run_id: str) -> None:
    """Write a newest row for each recording without anything computed from its audio, and its outcome."""
    removed = {"decision": "rejected", "reason": REASON, "segments": None, "first_row": None, "fingerprint": None}
    tables.append(lake, TRACKS, [{**_writable(row), **removed} for row in rows], run_id)
    error = ItemError(REASON, because or "On the takedown list")
    new_outcomes = [
        from_error(Stage.TRACK, f"{row['film_id']}/{row['track_id']}", error, Status.SKIPPED)
        for row in rows
        if row["segments"]
    ]
    outcomes.record(lake, new_outcomes, run_id)
    outcomes.record_new(lake, [from_error(Stage.SOUNDTRACK, film, error, Status.SKIPPED) for film in films], run_id)


def _writable(row: dict[str, Any]) -> dict[str, Any]:
    maps = ("score_parts", "tool_versions")
    values = {key: value for key, value in row.items() if key not in ("run_id", "recorded_at")}
    return {**values, **{name: dict(values[name] or {}) for name in maps}}
