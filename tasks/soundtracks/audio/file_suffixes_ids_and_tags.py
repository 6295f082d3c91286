"""Recognise audio files by their suffix, identify them by their content, and read their tags.

A file is identified by its content (size, first and last bytes), so moving it changes nothing.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError

# fmt: off
AUDIO_SUFFIXES = frozenset(
    {
        ".aac", ".ac3", ".aif", ".aiff", ".alac", ".ape", ".au", ".caf", ".flac", ".m4a", ".m4b", ".mka", ".mp1",
        ".mp2", ".mp3", ".mp4", ".mpc", ".oga", ".ogg", ".opus", ".ra", ".tta", ".wav", ".weba", ".webm", ".wma",
        ".wv",
    }
)
# fmt: on
"""Files with other suffixes in a folder (booklets, covers, cue sheets) are ignored."""
SAMPLED_BYTES = 1 << 16
TAG_ERRORS = (FFmpegError, OSError, ValueError, LookupError, ArithmeticError)


@dataclass(frozen=True)
class Tags:
    """The tags of a file; any may be missing."""

    title: str | None = None
    artist: str | None = None
    album: str | None = None
    album_artist: str | None = None
    year: int | None = None
    licence: str | None = None
    track_number: int | None = None
    duration_seconds: float | None = None
    composer: str | None = None
    publisher: str | None = None
    isrc: str | None = None


def content_id(path: Path) -> str:
    """Return an id of a file's content: a hash of its size and its first and last 64 KiB, read in microseconds."""
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        digest = hashlib.blake2b(f"{size_bytes}:".encode() + file.read(SAMPLED_BYTES), digest_size=12)
        file.seek(max(SAMPLED_BYTES, size_bytes - SAMPLED_BYTES))
        digest.update(file.read(SAMPLED_BYTES))
    return digest.hexdigest()


def read_tags(path: Path) -> Tags:
    """Return title, artist, album, year, licence and length as the container states them (Ogg: as the stream does)."""
    with av.open(str(path.absolute()), metadata_errors="replace", options={"protocol_whitelist": "file"}) as container:
        tags: dict[str, Any] = {}
        for holder in (*container.streams, container):
            tags.update({key.lower(): value.strip() for key, value in holder.metadata.items() if value.strip()})
        seconds = container.duration / av.time_base if container.duration and container.duration > 0 else None
    date = re.search(r"\b(1[89]\d\d|20\d\d)\b", " ".join(tags.get(k, "") for k in ("date", "year", "creation_time")))
    number = re.match(r"\d{1,6}(?!\d)", tags.get("track", ""))  # what is longer numbers no track
    return Tags(
        title=tags.get("title"),
        artist=tags.get("artist") or tags.get("album_artist"),
        album=tags.get("album"),
        album_artist=tags.get("album_artist") or tags.get("albumartist"),
        year=int(date.group()) if date else None,
        licence=tags.get("license") or tags.get("licence") or tags.get("copyright"),
        track_number=int(number.group()) if number else None,
        duration_seconds=seconds,
        composer=tags.get("composer"),
        publisher=tags.get("publisher") or tags.get("label") or tags.get("organization"),
        isrc=tags.get("isrc") or tags.get("tsrc"),
    )
