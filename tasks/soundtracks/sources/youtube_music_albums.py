"""Read albums and their tracks from the answers of YouTube Music."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from tasks.soundtracks.models import Candidate
from tasks.soundtracks.sources.metadata import is_official

log = logging.getLogger(__name__)
_LENGTH = re.compile(r"(?:\d+:)?\d{1,2}:\d\d")


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
