"""Plain data of sources and the matching rule: a film, a candidate recording, the verdict on it, its audio file.

They are the same for a file in a folder, a video and an item of a feed, so that one rule judges them all and one
table stores them all, taken or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from tasks.films.parsing.track_lists import AlbumListing


class Decision(StrEnum):
    """The decision of the rule, or of a reviewer, about a candidate."""

    TAKEN = "taken"
    REVIEW = "review"
    """Doubtful: stored as a row and not fetched until a reviewer says yes or no."""
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Film:
    """A film as matching sees it. `title` is the page's, with any disambiguation in brackets."""

    film_id: str
    title: str
    year: int | None = None
    names: tuple[str, ...] = ()
    """Other names that the page gives: the original title, titles in other countries."""
    composers: tuple[str, ...] = ()
    song_producers: tuple[str, ...] = ()
    record_labels: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    listings: tuple[AlbumListing, ...] = ()
    """The soundtrack albums that the article, the album's article or MusicBrainz lists."""


@dataclass(frozen=True)
class Candidate:
    """One recording that a source offers. Anything that the source does not state is None."""

    source: str
    """music_folder, url_list or youtube."""
    media_id: str
    url: str
    title: str
    artist: str | None = None
    album: str | None = None
    album_id: str | None = None
    """The album that lists it: the playlist's id, "OLAK5uy_…" for one that a label delivered."""
    album_artist: str | None = None
    uploader: str | None = None
    channel_id: str | None = None
    is_verified: bool = False
    is_official_album: bool = False
    """Whether it is listed by an album that the label itself delivered."""
    description: str | None = None
    release_year: int | None = None
    duration_seconds: float | None = None
    categories: tuple[str, ...] = ()
    availability: str | None = None
    live_status: str | None = None
    is_short: bool = False
    licence: str | None = None
    query: str | None = None
    position: int | None = None
    listed_for: str | None = None
    """The film to which the user's list assigns this recording; then there is nothing to judge."""
    path: str | None = None
    """The path of a local file on this machine; never stored in the lake."""
    tool_versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def track_id(self) -> str:
        """The recording's identifier in every table."""
        return f"{self.source}:{self.media_id}"


@dataclass(frozen=True)
class Verdict:
    """The score of a candidate for one film, its parts, and the decision with its reason."""

    decision: Decision
    reason: str
    score: float | None = None
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Judged:
    """A candidate and its verdict for one film."""

    film_id: str
    candidate: Candidate
    verdict: Verdict

    @property
    def item(self) -> str:
        """The identifier of this film and recording in `outcomes`."""
        return f"{self.film_id}/{self.candidate.track_id}"


@dataclass(frozen=True)
class Recording:
    """One audio file of a film; `expected_seconds` is the length that its source states, never its own header."""

    track_id: str
    path: str
    expected_seconds: float | None = None


def with_decision(judged: Judged, decision: Decision, reason: str) -> Judged:
    """Return the same candidate and score with another decision."""
    verdict = judged.verdict
    return replace(judged, verdict=Verdict(decision, reason, verdict.score, verdict.parts))


def track_row(judged: Judged, rule_version: int) -> dict[str, Any]:
    """Return the `tracks` row of a judged candidate, before its audio is known."""
    candidate, verdict = judged.candidate, judged.verdict
    return {
        "film_id": judged.film_id,
        "track_id": candidate.track_id,
        "source": candidate.source,
        "media_id": candidate.media_id,
        "url": candidate.url,
        "title": candidate.title,
        "artist": candidate.artist,
        "album": candidate.album,
        "album_id": candidate.album_id,
        "uploader": candidate.uploader,
        "channel_id": candidate.channel_id,
        "release_year": candidate.release_year,
        "duration_seconds": candidate.duration_seconds,
        "query": candidate.query,
        "position": candidate.position,
        "score": verdict.score,
        "score_parts": dict(verdict.parts),
        "decision": str(verdict.decision),
        "reason": verdict.reason,
        "rule_version": rule_version,
        "licence": candidate.licence,
        "tool_versions": dict(candidate.tool_versions),
    }
