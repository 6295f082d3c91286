"""Recordings that a label delivered to YouTube: how they are known, and what their descriptions name.

YouTube generates the description, a paragraph each: "Provided to YouTube by LABEL", "TRACK · ARTIST · ARTIST", ALBUM,
"℗ YEAR OWNER", "Released on: DATE", credits.
"""

from __future__ import annotations

import re
from dataclasses import replace

from tasks.soundtracks.matching.channels import same_owner
from tasks.soundtracks.matching.normalise import plain
from tasks.soundtracks.models import Candidate

DELIVERED = "provided to youtube by"
"""First words of the description of a recording that a label delivered."""
TOPIC = re.compile(r"\s+-\s+topic$")
"""End of the name of a channel that YouTube makes of an artist's deliveries."""
_RELEASED = re.compile(r"(?m)^Released on:\s*(\d{4})|^℗\s*(\d{4})")


def is_delivered(candidate: Candidate) -> bool:
    """Return whether a label delivered this recording to YouTube.

    Anybody can copy the description of a delivery, so that counts only on a channel of its own artists.
    """
    if candidate.is_official_album or TOPIC.search(plain(candidate.uploader)):
        return True
    lines = _lines(candidate.description)
    if not lines or not plain(lines[0]).startswith(DELIVERED):
        return False
    artists = lines[1].split(" · ")[1:] if len(lines) > 1 else []
    return candidate.uploader is None or any(same_owner(candidate.uploader, artist) for artist in artists)


def _lines(text: str | None) -> list[str]:
    return [line.strip() for line in (text or "").splitlines() if line.strip()]


def with_delivery_notes(candidate: Candidate) -> Candidate:
    """Return the candidate with the album, artists and year that a delivery's description names."""
    lines = _lines(candidate.description)
    if len(lines) < 3 or not plain(lines[0]).startswith(DELIVERED) or not is_delivered(candidate):
        return candidate
    _track, *artists = (part.strip() for part in lines[1].split(" · "))
    is_album = not re.match(r"[℗©]|released on:|auto-generated", plain(lines[2]))
    album = candidate.album or (lines[2] if is_album else None)
    released = _RELEASED.search(candidate.description or "")
    year = candidate.release_year or (int(released[1] or released[2]) if released else None)
    return replace(candidate, album=album, artist=candidate.artist or ", ".join(artists) or None, release_year=year)
