"""Make candidates from metadata: yt-dlp's of lists, feeds and pages, and ytmusicapi's of albums and their tracks."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from typing import Any

from tasks.soundtracks.matching.normalise import plain
from tasks.soundtracks.models import Candidate

log = logging.getLogger(__name__)

OFFICIAL_ALBUM_PREFIX = "OLAK5uy_"
"""Prefix of the playlists that YouTube makes from a label's delivery."""
_LENGTH = re.compile(r"(?:\d+:)?\d{1,2}:\d\d")
_TOPIC = re.compile(r"\s+-\s+Topic$")
_ALBUM_PREFIX = re.compile(r"^Album\s+-\s+")
_HIDDEN = re.compile(r"\[(Private|Deleted) video\]")
"""The title that a list gives to a video that nobody may see."""
_RELEASED = re.compile(r"^(?:Released on:|℗)\s*(\d{4})", re.MULTILINE)


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
    release_line = _RELEASED.search(str(info.get("description") or ""))
    return int(release_line.group(1)) if release_line else None


def _tool_versions(info: Mapping[str, Any]) -> dict[str, str]:
    facts = {"yt-dlp": version("yt-dlp"), "extractor": info.get("extractor"), "format": info.get("format_id")}
    return {name: str(value) for name, value in facts.items() if value}


def is_official(playlist_id: str | None) -> bool:
    """Return whether a playlist is an album that a label delivered."""
    return bool(playlist_id and playlist_id.startswith(OFFICIAL_ALBUM_PREFIX))


def music_album(found: Mapping[str, Any], query: str, position: int) -> Candidate:
    """Return an album of a search of YouTube Music; `media_id` is the id of the album's page."""
    playlist_id = _text(found, "playlistId")
    title = _text(found, "title") or ""
    artists, channel_id = _artists(found.get("artists"))
    return Candidate(
        "youtube",
        str(found["browseId"]),
        _playlist_url(playlist_id),
        title,
        artist=artists,
        album=title,
        album_id=playlist_id,
        album_artist=artists,
        channel_id=channel_id,
        is_official_album=is_official(playlist_id),
        release_year=_year(found),
        query=query,
        position=position,
        tool_versions={"ytmusicapi": version("ytmusicapi")},
    )


def music_tracks(page: Mapping[str, Any], album: Candidate, first_position: int) -> list[Candidate]:
    """Return the tracks of an album's page on YouTube Music. What the page leaves out is known from the search.

    A track without a video has a made-up id, so that it has a row with its reason too.
    """
    playlist_id = _text(page, "audioPlaylistId") or album.album_id
    title = _text(page, "title") or album.title
    album_artist = _artists(page.get("artists"))[0] or album.album_artist
    tracks = [one for one in page.get("tracks") or () if isinstance(one, Mapping)]
    _report_missing(page, title, len(tracks))
    candidates = []
    for number, track in enumerate(tracks):
        media_id = _text(track, "videoId")
        is_playable = media_id is not None and track.get("isAvailable") is not False
        media_id = media_id or f"{playlist_id or album.media_id}/{number + 1}"
        artists, channel_id = _artists(track.get("artists"))
        candidates.append(
            Candidate(
                "youtube",
                media_id,
                f"https://www.youtube.com/watch?v={media_id}" if is_playable else _playlist_url(playlist_id),
                _text(track, "title") or "",
                artist=artists or album_artist,
                album=title,
                album_id=playlist_id,
                album_artist=album_artist,
                channel_id=channel_id,
                is_official_album=is_official(playlist_id),
                release_year=_year(page) or album.release_year,
                duration_seconds=_seconds(track),
                availability=None if is_playable else "unavailable",
                query=album.query,
                position=first_position + number,
                tool_versions={"ytmusicapi": version("ytmusicapi")},
            )
        )
    return candidates


def _report_missing(page: Mapping[str, Any], title: str, listed: int) -> None:
    stated = page.get("trackCount")
    if not listed:
        log.warning("The album %r has a page on YouTube Music, but no tracks", title)
    elif isinstance(stated, int) and stated > listed:
        log.warning("The album %r states %d tracks, but its page lists %d", title, stated, listed)


def _artists(listed: Any) -> tuple[str | None, str | None]:
    """Return the names of artists, and the channel if there is one artist and it has one."""
    artists = [one for one in listed or () if isinstance(one, Mapping) and _text(one, "name")]
    channel_id = _text(artists[0], "id") if len(artists) == 1 else None
    return ", ".join(str(one["name"]).strip() for one in artists) or None, channel_id


def _text(values: Mapping[str, Any], name: str) -> str | None:
    value = values.get(name)
    return value.strip() or None if isinstance(value, str) else None


def _year(values: Mapping[str, Any]) -> int | None:
    year = _text(values, "year") or ""
    return int(year) if re.fullmatch(r"(?:18|19|20|21)\d\d", year) else None


def _seconds(track: Mapping[str, Any]) -> float | None:
    """Return a track's length, or None for one that is not written as a length ("3:5")."""
    seconds = track.get("duration_seconds")
    is_length = _LENGTH.fullmatch(_text(track, "duration") or "")
    return float(seconds) if is_length and isinstance(seconds, int) and seconds > 0 else None


def _playlist_url(playlist_id: str | None) -> str:
    return f"https://music.youtube.com/playlist?list={playlist_id}" if playlist_id else "https://music.youtube.com"
