"""Make candidates from metadata: yt-dlp's of lists, feeds and pages, and rows of the lake."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from typing import Any

from tasks.soundtracks.candidate_recordings import Candidate
from tasks.soundtracks.matching.label_channels_and_descriptions import released_year
from tasks.soundtracks.matching.normalise import plain

OFFICIAL_ALBUM_PREFIX = "OLAK5uy_"
"""Prefix of the playlists that YouTube makes from a label's delivery."""
_TOPIC = re.compile(r"\s+-\s+Topic$")
_ALBUM_PREFIX = re.compile(r"^Album\s+-\s+")
_HIDDEN = re.compile(r"\[(Private|Deleted) video\]")
"""The title that a list gives to a video that nobody may see."""
_STORED = (
    *("source", "media_id", "url", "title", "artist", "album", "album_id", "uploader", "channel_id", "release_year"),
    *("duration_seconds", "licence", "query", "position"),
)
"""Columns of `tracks` that are fields of a candidate."""


def candidate_of_row(row: Mapping[str, Any]) -> Candidate:
    """Return the candidate of a row of `tracks`, without what only its page states: description, categories.

    The row has no artist of the album either. The recording's own stand in for it, so that an album of somebody else
    is not taken for one without an artist.
    """
    official = is_official(row["album_id"])
    facts = {name: row[name] for name in _STORED}
    return Candidate(**facts, is_official_album=official, album_artist=row["artist"] if official else None)


def candidate_from_entry(entry: Mapping[str, Any], source: str, query: str, position: int) -> Candidate:
    """Return the candidate of a search result or of an album's track, whose own page was not read yet."""
    hidden = _HIDDEN.fullmatch(str(entry.get("title") or ""))
    availability = hidden.group(1).lower() if hidden else None
    listed = Candidate(source, str(entry["id"]), canonical_url(entry), "", availability=availability)
    return from_info(replace(listed, query=query, position=position), entry)


def from_info(candidate: Candidate, info: Mapping[str, Any]) -> Candidate:
    """Return the candidate updated with yt-dlp's metadata; fields that `info` lacks are kept."""
    uploader = info.get("uploader") or info.get("channel") or candidate.uploader
    artists = info.get("artists") or ([info["artist"]] if info.get("artist") else [])
    topic_artist = _TOPIC.sub("", uploader) if uploader and _TOPIC.search(uploader) else None
    return replace(
        candidate,
        title=info.get("track") or info.get("title") or candidate.title,
        artist=", ".join(artists) or candidate.artist or topic_artist,
        album=info.get("album") or candidate.album,
        uploader=uploader,
        channel_id=info.get("channel_id") or candidate.channel_id,
        is_verified=bool(info.get("channel_is_verified") or candidate.is_verified),
        description=info.get("description") or candidate.description,
        release_year=_release_year(info) or candidate.release_year,
        duration_seconds=info.get("duration") or candidate.duration_seconds,
        categories=tuple(info.get("categories") or candidate.categories),
        availability=info.get("availability") or candidate.availability,
        live_status=info.get("live_status") or candidate.live_status,
        is_short=candidate.is_short or info.get("media_type") == "short" or "/shorts/" in str(info.get("url") or ""),
        licence=info.get("license") or candidate.licence,
        tool_versions={**candidate.tool_versions, **_tool_versions(info)},
    )


def is_creative_commons(licence: str | None) -> bool:
    """Return whether a licence is stated and allows reuse: Creative Commons or public domain."""
    return bool(re.search(r"creative commons|\bcc[ -]?(?:by|0|zero)\b|public domain", plain(licence)))


def album_title(title: str | None) -> str:
    """Return a playlist's title without the prefix "Album - " of the site."""
    return _ALBUM_PREFIX.sub("", title or "").strip()


def canonical_url(entry: Mapping[str, Any]) -> str:
    """Return the public URL of a recording, never a signed one."""
    if str(entry.get("ie_key") or entry.get("extractor_key") or "").lower() in ("youtube", ""):
        return f"https://www.youtube.com/watch?v={entry['id']}"
    return str(entry.get("webpage_url") or entry.get("original_url") or entry.get("url") or "")


def _release_year(info: Mapping[str, Any]) -> int | None:
    if info.get("release_year"):
        return int(info["release_year"])
    date = str(info.get("release_date") or "")
    if date[:4].isdigit():
        return int(date[:4])
    return released_year(str(info.get("description") or ""))


def _tool_versions(info: Mapping[str, Any]) -> dict[str, str]:
    facts = {"yt-dlp": version("yt-dlp"), "extractor": info.get("extractor"), "format": info.get("format_id")}
    return {name: str(value) for name, value in facts.items() if value}


def is_official(playlist_id: str | None) -> bool:
    """Return whether a playlist is an album that a label delivered."""
    return bool(playlist_id and playlist_id.startswith(OFFICIAL_ALBUM_PREFIX))
