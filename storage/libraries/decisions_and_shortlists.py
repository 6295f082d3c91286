"""What a user has decided about found tracks: keeps and rejects per query, and shortlists with notes.

    library_queries/      what was searched for, with the poster as a thumbnail, so that it can be asked again
    library_decisions/    per query and track: keep, reject, or undecided again; which run ranked it, and where
    decision_results/     per trained run: how often what was kept ranks above what was rejected
    shortlists/           lists, each with a name of its own
    shortlist_tracks/     per list and track: a note, its usage, and the second from which it is wanted

These are tables of the lake like all others: rows are appended, and the newest of a key counts. The views of the same
names have them in SQL. A track of the data set has `dataset:VERSION` where others have their library.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from storage.errors import InputError
from storage.lake.lake import Lake
from storage.tables.duckdb_connection import connect, fetch_rows
from storage.tables.schemas import (
    DECISION_RESULTS,
    LIBRARY_DECISIONS,
    LIBRARY_QUERIES,
    SHORTLIST_TRACKS,
    SHORTLISTS,
)
from storage.tables.tables import append, latest_sql

Verdict = Literal["keep", "reject", "undecided"]
"""`undecided` withdraws an earlier decision."""
TrackKey = tuple[str, str]
"""Library and track_id."""
Row = dict[str, Any]
NOTE_CHARACTERS = 2_000

PRESENT, REMOVED = "present", "removed"
LISTED_FACTS = ("title", "artist", "album", "composer", "publisher", "licence", "isrc", "duration_seconds")
"""What a shortlist keeps of a track, for when its library is gone."""
NAME_CHARACTERS = 100


@dataclass(frozen=True)
class AskedQuery:
    """A query as a user has put it."""

    plot: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    image: bytes | None = field(default=None, repr=False)
    """The poster as a thumbnail, JPEG."""
    likes: tuple[str, ...] = ()
    """The track_ids of what it should sound like."""
    not_likes: tuple[str, ...] = ()
    like_weight: float = 0.5

    @property
    def query_id(self) -> str:
        """Return a hash of the query: who asks the same again has the same decisions."""
        weight = self.like_weight if self.likes or self.not_likes else 0
        content = [self.plot, sorted(self.tags), self.image_sha256, sorted(self.likes), sorted(self.not_likes), weight]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    @property
    def image_sha256(self) -> str | None:
        """Return the hash of the poster's thumbnail."""
        return None if self.image is None else hashlib.sha256(self.image).hexdigest()


@dataclass(frozen=True)
class Decision:
    """What a user decides about a track that a query has found."""

    query_id: str
    library: str
    track_id: str
    decision: Verdict
    model_run: str | None = None
    ranking: str | None = None
    rank: int | None = None
    score: float | None = None
    note: str | None = None


def record_query(lake: Lake, query: AskedQuery, run_id: str) -> str:
    """Commit a query that is not known yet, and return its id."""
    query_id = query.query_id
    with connect(lake) as connection:
        known = latest_sql(lake, LIBRARY_QUERIES, "query_id = $id")
        if fetch_rows(connection, f"SELECT query_id FROM {known}", id=query_id):
            return query_id
    lists = {name: list(getattr(query, name)) for name in ("plot", "tags", "likes", "not_likes")}
    row = {"query_id": query_id, "image": query.image, "image_sha256": query.image_sha256, **lists}
    append(lake, LIBRARY_QUERIES, [{**row, "like_weight": query.like_weight}], run_id)
    return query_id


def read_queries(lake: Lake) -> list[Row]:
    """Return every query that was recorded."""
    with connect(lake) as connection:
        return fetch_rows(connection, f"FROM {latest_sql(lake, LIBRARY_QUERIES)} ORDER BY query_id")


def record_decision(lake: Lake, decision: Decision, run_id: str) -> None:
    """Commit a decision; it replaces an earlier one about the same query and track."""
    if decision.decision not in get_args(Verdict):
        raise InputError(f"{decision.decision!r} is no decision; give {', '.join(get_args(Verdict))}")
    append(
        lake, LIBRARY_DECISIONS, [{**asdict(decision), "note": checked_note(decision.note, NOTE_CHARACTERS)}], run_id
    )


def read_decisions(lake: Lake, query_id: str | None = None) -> list[Row]:
    """Return the decisions that count, of one query or of all, newest first; withdrawn ones are left out."""
    wanted = "true" if query_id is None else "query_id = $query_id"
    values = {} if query_id is None else {"query_id": query_id}
    with connect(lake) as connection:
        return fetch_rows(
            connection,
            f"SELECT * EXCLUDE (run_id) FROM {latest_sql(lake, LIBRARY_DECISIONS, wanted)} "
            "WHERE decision <> 'undecided' ORDER BY recorded_at DESC, library, track_id",
            **values,
        )


def record_result(lake: Lake, result: Mapping[str, Any], run_id: str) -> None:
    """Commit what a run reaches on the decisions: a row of `decision_results`, which replaces an earlier one."""
    append(lake, DECISION_RESULTS, [result], run_id)


def checked_note(text: str | None, characters: int) -> str | None:
    """Return a text that is not too long. Raises `InputError` for one that is: nothing is cut off silently."""
    if text is not None and len(text) > characters:
        raise InputError(f"A note may have {characters:,} characters, and this one has {len(text):,}; shorten it")
    return text


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
