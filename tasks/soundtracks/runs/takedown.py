"""Take down a film, a recording or a channel: list it as taken down, and delete what was collected of it.

A recording's rows in its film's shard are blanked in place, so that the other rows keep their numbers and data-set
versions stay readable; a film's shard is deleted. Kept audio and staged downloads are deleted too.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import Any

from storage.errors import InputError, ItemError
from storage.lake.lake import Lake
from storage.mels.writer import blank_track
from storage.records import outcomes
from storage.records.outcomes import Stage, Status, from_error
from storage.records.takedown_list import record_takedown
from storage.tables import tables
from storage.tables.schemas import FILMS, TRACKS
from tasks.soundtracks.download.staging import staging_folder
from tasks.soundtracks.runs.reconcile import done_films


@dataclass(frozen=True)
class Removed:
    """How much was removed."""

    films: int = 0
    tracks: int = 0


def take_down(lake: Lake, item: str, because: str, run_id: str) -> Removed:
    """Put an item on the takedown list and delete what was collected of it.

    The item is a film_id ("enwiki-123"), a track_id ("youtube:abc") or a channel ("channel:UC…"). The list
    comes first: if this is interrupted, nothing new is collected, and the same call finishes the deletion.
    Raises `InputError` for anything else.
    """
    is_film = item in set(tables.latest(lake, FILMS, ["film_id"])["film_id"].to_pylist())
    if not is_film and ":" not in item:
        raise InputError(f"{item!r} is no film id of the lake, no track id (youtube:ID) and no channel:ID")
    record_takedown(lake, item, because, run_id)
    rows = [row for row in tables.latest(lake, TRACKS).to_pylist() if _concerns(row, item)]
    if is_film:
        shards = done_films(lake)
        if item in shards:
            lake.remove(shards[item])
    else:
        for row in rows:
            if row["segments"] and lake.exists(row["shard"]):
                blank_track(lake, row["shard"], row["track_id"])
    for row in rows:
        _remove_audio(lake, row)
    _record(lake, item, is_film, rows, because, run_id)
    collected = [row for row in rows if row["segments"]]
    return Removed(len({row["film_id"] for row in collected}), len(collected))


def _concerns(row: dict[str, Any], item: str) -> bool:
    return item in (row["film_id"], row["track_id"], f"channel:{row['channel_id']}")


def _remove_audio(lake: Lake, row: dict[str, Any]) -> None:
    shutil.rmtree(staging_folder(lake, row["film_id"]) / row["media_id"], ignore_errors=True)
    for name in lake.list("audio", row["film_id"]):
        if name.rsplit("/", 1)[1].startswith(row["media_id"].lstrip("-_")):
            lake.remove(name)


def _record(lake: Lake, item: str, is_film: bool, rows: list[dict[str, Any]], because: str, run_id: str) -> None:
    """Write a newest row for each recording without anything computed from its audio, and its outcome."""
    removed = {"decision": "rejected", "reason": "taken_down", "segments": None, "first_row": None, "fingerprint": None}
    tables.append(lake, TRACKS, [{**_writable(row), **removed} for row in rows], run_id)
    error = ItemError("taken_down", because or "On the takedown list")
    new_outcomes = [
        from_error(Stage.TRACK, f"{row['film_id']}/{row['track_id']}", error, Status.SKIPPED)
        for row in rows
        if row["segments"]
    ]
    if is_film:
        new_outcomes.append(from_error(Stage.SOUNDTRACK, item, error, Status.SKIPPED))
    outcomes.record(lake, new_outcomes, run_id)


def _writable(row: dict[str, Any]) -> dict[str, Any]:
    maps = ("score_parts", "tool_versions")
    values = {key: value for key, value in row.items() if key not in ("run_id", "recorded_at")}
    return {**values, **{name: dict(values[name] or {}) for name in maps}}
