"""A shortlist to hand over: a CSV list, a page to print, and a cue sheet. No absolute path, and no formula."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from needledrop.cues.cue_files import BYTE_ORDER, USAGE, sheet_csv
from needledrop.studio.api_responses import Listed, Shortlist
from storage.lake.lake import Lake
from storage.libraries.decisions_and_shortlists import LISTED_FACTS, find_shortlist, shortlist_tracks
from storage.libraries.library import library_names

COLUMNS = (
    "title", "artist", "album", "composer", "publisher", "licence", "isrc", "year", "duration_seconds", "tempo_bpm",
    "loudness_lufs", "from_second", "usage", "note", "library", "file", "url", "track_id", "gone",
)  # fmt: skip
CUE_COLUMNS = (
    "in", "out", "title", "composer", "publisher", "isrc", "usage", "licence", "recording_in", "recording_out",
)  # fmt: skip
"""`in` and `out` are times of the film, which a shortlist does not know: they are left to be filled in."""

Facts = Callable[[str, Sequence[str]], Mapping[str, Mapping[str, Any]]]
"""Returns what is known of tracks, by id, given their library and ids."""
Hidden = Callable[[Collection[str]], frozenset[str]]
"""Returns what was taken down, also of the libraries and data sets of these names."""


def read_shortlist(lake: Lake, shortlist_id: str, hidden: Hidden, facts: Facts) -> Shortlist:
    """Return a shortlist with what is known of its tracks now; those that were taken down are left out.

    A track that is gone is one of them, with what was known of it then.
    """
    shortlist = find_shortlist(lake, shortlist_id)
    listed = shortlist_tracks(lake, shortlist_id)
    taken_down = hidden({row["library"] for row in listed})
    rows = [row for row in listed if row["track_id"] not in taken_down]
    known = {
        name: facts(name, [row["track_id"] for row in rows if row["library"] == name])
        for name in {row["library"] for row in rows}
    }
    there = library_names(lake)
    tracks = [_listed(row, known[row["library"]].get(row["track_id"]), there) for row in rows]
    return Shortlist(shortlist_id=shortlist_id, name=shortlist["name"], note=shortlist["note"] or "", tracks=tracks)


def _listed(row: Mapping[str, Any], facts: Mapping[str, Any] | None, libraries: Sequence[str]) -> Listed:
    noted: dict[str, Any] = {name: row[name] or "" for name in ("note", "usage")}
    noted["from_second"] = row["from_second"] or 0.0
    if facts is not None:
        return Listed(**facts, **noted)
    kept: dict[str, Any] = {name: row[name] for name in ("track_id", "library", *LISTED_FACTS)}
    kept["title"] = row["title"] or row["track_id"]
    return Listed(**kept, **noted, is_playable=False, gone=_why_gone(row["library"], libraries))


def _why_gone(library: str, libraries: Sequence[str]) -> str:
    if library in libraries:
        return f"Gone: the library {library} does not hold it any more"
    return f"Gone: {library} was removed"


def as_csv(shortlist: Shortlist) -> str:
    """Return a shortlist as a list for a spreadsheet."""
    return BYTE_ORDER + sheet_csv([_rounded(track.model_dump()) for track in shortlist.tracks], COLUMNS)


def as_cue_sheet(shortlist: Shortlist) -> str:
    """Return a shortlist with the columns of a cue sheet, and where in the recording each cue begins and could end."""
    rows = [
        {
            **track.model_dump(),
            "recording_in": as_timestamp(track.from_second),
            "recording_out": _end_of(track),
            "usage": track.usage or USAGE,
        }
        for track in shortlist.tracks
    ]
    return BYTE_ORDER + sheet_csv(rows, CUE_COLUMNS)


def _end_of(track: Listed) -> str | None:
    return None if track.duration_seconds is None else as_timestamp(max(track.duration_seconds, track.from_second))


def _rounded(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row whose numbers have three digits after the point."""
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in row.items()}


def as_timestamp(seconds: float) -> str:
    """Return a place in a recording as hours, minutes and seconds: 00:01:30.250."""
    milliseconds = round(1000 * seconds)
    minutes, left = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{left // 1000:02}.{left % 1000:03}"


def file_name(shortlist: Shortlist, ending: str) -> str:
    """Return a name for a downloaded file, in ASCII letters that every system takes."""
    plain = re.sub(r"[^A-Za-z0-9]+", "-", shortlist.name).strip("-").lower()
    return f"{plain or 'shortlist'}{ending}"
