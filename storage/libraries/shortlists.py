"""Shortlists of tracks, each with a name of its own, and with notes.

shortlists/           lists by name
shortlist_tracks/     per list and track: a note, its usage, and the second from which it is wanted
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from storage.errors import InputError
from storage.lake.lake import Lake
from storage.libraries.decisions import NOTE_CHARACTERS, Row, TrackKey, checked_note
from storage.tables.duckdb_connection import connect, fetch_rows
from storage.tables.schemas import (
    SHORTLIST_TRACKS,
    SHORTLISTS,
)
from storage.tables.tables import append, latest_sql

PRESENT, REMOVED = "present", "removed"
LISTED_FACTS = ("title", "artist", "album", "composer", "publisher", "licence", "isrc", "duration_seconds")
"""What a shortlist keeps of a track, for when its library is gone."""
NAME_CHARACTERS = 100


def make_shortlist(lake: Lake, name: str, run_id: str, note: str = "") -> Row:
    """Commit a new shortlist and return it. Raises `InputError` for a name that is empty or taken."""
    shortlist = {"shortlist_id": secrets.token_hex(8), "name": _checked_name(lake, name), "state": PRESENT}
    shortlist["note"] = checked_note(note, NOTE_CHARACTERS) or ""
    append(lake, SHORTLISTS, [shortlist], run_id)
    return shortlist


def change_shortlist(lake: Lake, shortlist_id: str, run_id: str, changes: Mapping[str, str]) -> Row:
    """Commit another name, note or state of a shortlist. Raises `InputError` where there is none of this id."""
    shortlist = find_shortlist(lake, shortlist_id)
    kept = {name: shortlist[name] for name in ("shortlist_id", "name", "note", "state")}
    changed = {**kept, **changes, "note": checked_note(changes.get("note", kept["note"]), NOTE_CHARACTERS) or ""}
    if changed["name"] != shortlist["name"]:
        changed["name"] = _checked_name(lake, changed["name"])
    append(lake, SHORTLISTS, [changed], run_id)
    return changed


def read_shortlists(lake: Lake) -> list[Row]:
    """Return the shortlists by name, each with the number of its tracks."""
    with connect(lake) as connection:
        return fetch_rows(
            connection,
            "SELECT shortlist_id, name, note, count(track_id) AS tracks FROM "
            f"(FROM {latest_sql(lake, SHORTLISTS)} WHERE state = $present) LEFT JOIN (SELECT shortlist_id, track_id "
            f"FROM {latest_sql(lake, SHORTLIST_TRACKS)} WHERE state = $present) USING (shortlist_id) "
            "GROUP BY shortlist_id, name, note ORDER BY name COLLATE NOCASE, shortlist_id",
            present=PRESENT,
        )


def find_shortlist(lake: Lake, shortlist_id: str) -> Row:
    """Return a shortlist. Raises `InputError` where there is none of this id, or it was removed."""
    with connect(lake) as connection:
        found = fetch_rows(
            connection,
            f"FROM {latest_sql(lake, SHORTLISTS, 'shortlist_id = $id')} WHERE state = $present",
            id=shortlist_id,
            present=PRESENT,
        )
    if not found:
        raise InputError("There is no such shortlist; it may have been removed: load the page again")
    return found[0]


def put_track(lake: Lake, shortlist_id: str, track: TrackKey, run_id: str, changes: Mapping[str, Any]) -> Row:
    """Add a track to a shortlist, or change what is noted of one that is on it; what is not given stays."""
    find_shortlist(lake, shortlist_id)
    library, track_id = track
    before = next((row for row in shortlist_tracks(lake, shortlist_id) if _key(row) == track), None)
    kept = {name: value for name, value in (before or {}).items() if name not in ("run_id", "recorded_at")}
    new = {"shortlist_id": shortlist_id, "library": library, "track_id": track_id, "added_at": datetime.now(UTC)}
    row = {**new, **kept, **changes, "state": PRESENT}
    row["note"] = checked_note(row.get("note"), NOTE_CHARACTERS) or ""
    append(lake, SHORTLIST_TRACKS, [row], run_id)
    return row


def remove_track(lake: Lake, shortlist_id: str, track: TrackKey, run_id: str) -> None:
    """Take a track off a shortlist. Raises `InputError` where it is not on it."""
    before = next((row for row in shortlist_tracks(lake, shortlist_id) if _key(row) == track), None)
    if before is None:
        raise InputError("This track is not on the shortlist; load the page again")
    kept = {name: value for name, value in before.items() if name not in ("run_id", "recorded_at")}
    append(lake, SHORTLIST_TRACKS, [{**kept, "state": REMOVED}], run_id)


def shortlist_tracks(lake: Lake, shortlist_id: str) -> list[Row]:
    """Return the tracks of a shortlist, in the order in which they were added."""
    with connect(lake) as connection:
        return fetch_rows(
            connection,
            f"FROM {latest_sql(lake, SHORTLIST_TRACKS, 'shortlist_id = $id')} WHERE state = $present "
            "ORDER BY added_at, library, track_id",
            id=shortlist_id,
            present=PRESENT,
        )


def is_listed(lake: Lake, shortlist_id: str, track: TrackKey) -> bool:
    """Return whether a track is on a shortlist."""
    return any(_key(row) == track for row in shortlist_tracks(lake, shortlist_id))


def _key(row: Mapping[str, Any]) -> TrackKey:
    return str(row["library"]), str(row["track_id"])


def _checked_name(lake: Lake, name: str) -> str:
    """Return a shortlist's name on one line. Raises `InputError` for one that is empty, too long or taken."""
    text = " ".join(name.split())
    if not text or len(text) > NAME_CHARACTERS:
        raise InputError(f"A shortlist needs a name of 1 to {NAME_CHARACTERS} characters; give it another")
    if any(text.casefold() == one["name"].casefold() for one in read_shortlists(lake)):
        raise InputError(f"There is a shortlist {text!r} already; choose it, or give another name")
    return text
