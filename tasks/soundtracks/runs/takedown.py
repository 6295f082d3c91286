"""Taking down: what was kept of a film, a recording or a channel goes, and stays gone.

A recording's rows in its film's shard are blanked in place, so that the other rows keep their numbers and
data-set versions stay readable; a film's shard is deleted whole. Kept audio and staged downloads go too.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import Any

from storage.errors import InputError, ItemError
from storage.lake.lake import Lake
from storage.mels.rewrite import blank_track
from storage.records import outcomes
from storage.records.outcomes import Stage, Status, from_error
from storage.records.takedown_list import record_takedown
from storage.tables import tables
from storage.tables.schemas import FILMS, TRACKS
from tasks.soundtracks.download.staging import staging_folder
from tasks.soundtracks.runs.reconcile import done_films


@dataclass(frozen=True)
class Purged:
    """How much was removed."""

    films: int = 0
    tracks: int = 0


def take_down(lake: Lake, item: str, because: str, run_id: str) -> Purged:
    """Put an item on the takedown list and remove what was kept of it.

    The item is a film_id ("enwiki-123"), a track_id ("youtube:abc") or a channel ("channel:UC…"). The list
    comes first: if this is interrupted, nothing new is collected, and the same call finishes the purge.
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
    held = [row for row in rows if row["segments"]]
    return Purged(len({row["film_id"] for row in held}), len(held))


def _concerns(row: dict[str, Any], item: str) -> bool:
    return item in (row["film_id"], row["track_id"], f"channel:{row['channel_id']}")


def _remove_audio(lake: Lake, row: dict[str, Any]) -> None:
    shutil.rmtree(staging_folder(lake, row["film_id"]) / row["media_id"], ignore_errors=True)
    for name in lake.list("audio", row["film_id"]):
        if name.rsplit("/", 1)[1].startswith(row["media_id"].lstrip("-_")):
            lake.remove(name)


def _record(lake: Lake, item: str, is_film: bool, rows: list[dict[str, Any]], because: str, run_id: str) -> None:
    """The newest row of each recording says that it is gone, without what was heard of it."""
    gone = {"decision": "rejected", "reason": "taken_down", "segments": None, "first_row": None, "fingerprint": None}
    tables.append(lake, TRACKS, [{**_writable(row), **gone} for row in rows], run_id)
    error = ItemError("taken_down", because or "Somebody asked for it")
    ended = [
        from_error(Stage.TRACK, f"{row['film_id']}/{row['track_id']}", error, Status.SKIPPED)
        for row in rows
        if row["segments"]
    ]
    if is_film:
        ended.append(from_error(Stage.SOUNDTRACK, item, error, Status.SKIPPED))
    outcomes.record(lake, ended, run_id)


def _writable(row: dict[str, Any]) -> dict[str, Any]:
    maps = ("score_parts", "tool_versions")
    kept = {key: value for key, value in row.items() if key not in ("run_id", "recorded_at")}
    return {**kept, **{name: dict(kept[name] or {}) for name in maps}}
