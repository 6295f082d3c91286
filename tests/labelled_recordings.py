"""The labelled recordings of tests/tasks/soundtracks/matching/labelled, and how the matching rule does on them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tasks.films.parsing.track_lists import AlbumListing, ListedTrack
from tasks.soundtracks.candidate_recordings import Candidate, Decision, Film
from tasks.soundtracks.matching.film_index import FilmIndex
from tasks.soundtracks.matching.track_selection import Matcher

FOLDER = Path(__file__).parent / "tasks" / "soundtracks" / "matching" / "labelled"
HALVES = ("development", "frozen")
INVENTED = "invented"
"""Films and labels that do not exist, in the forms in which labels of many countries write."""
DELIVERIES = ("official_album_track", "topic_upload", "late_reissue")
OWN_VIDEOS = ("label_video", "composer_video")
DECISIONS = {"take": Decision.TAKEN, "review": Decision.REVIEW, "refuse": Decision.REJECTED}


@dataclass(frozen=True)
class Result:
    """The wanted decision about a candidate and the rule's."""

    group: str
    language: str
    kind: str
    wanted: Decision
    actual: Decision


def _film(facts: dict[str, Any]) -> Film:
    names = ("names", "composers", "song_producers", "record_labels", "languages")
    evidence = {name: tuple(facts.get(name) or ()) for name in names}
    listings = tuple(_listing(one) for one in facts.get("listings") or ())
    return Film(facts["film_id"], facts["title"], facts.get("year"), **evidence, listings=listings)


def _listing(facts: dict[str, Any]) -> AlbumListing:
    tracks = tuple(ListedTrack(track["title"], track.get("seconds")) for track in facts.get("tracks") or ())
    artists = tuple(facts.get("artists") or ())
    return AlbumListing(facts["title"], artists, facts.get("record_label"), facts.get("release_date"), tracks)


def _candidate(facts: dict[str, Any]) -> Candidate:
    return Candidate(**{**facts, "categories": tuple(facts.get("categories") or ())})


@cache
def results(half: str) -> list[Result]:
    """Return the rule's decision about every candidate of a half or set, each among the other films of its lake."""
    return [one for entry in entries(half) for one in _results_of(entry)]


def entries(half: str) -> list[dict[str, Any]]:
    """Return the films of a half with their candidates, as written."""
    films: list[dict[str, Any]] = json.loads((FOLDER / f"{half}.json").read_text(encoding="utf-8"))
    return films


def _results_of(entry: dict[str, Any]) -> list[Result]:
    film, others = _film(entry["film"]), [_film(other) for other in entry.get("other_films") or ()]
    matcher = Matcher(FilmIndex([film, *others]))
    return [
        Result(
            entry["group"],
            entry["film"]["languages"][0],
            one["kind"],
            DECISIONS[one["wanted"]],
            matcher.judge(_candidate(one["candidate"]), film).verdict.decision,
        )
        for one in entry["candidates"]
    ]


def precision(judged: list[Result]) -> tuple[int, int]:
    """Return how many of what the rule takes are wanted, and how many it takes."""
    taken = [one for one in judged if one.actual is Decision.TAKEN]
    return sum(one.wanted is Decision.TAKEN for one in taken), len(taken)


def recall(judged: list[Result], kinds: tuple[str, ...], films: str | None = None) -> tuple[int, int]:
    """Return how many wanted recordings of these kinds the rule takes, and how many there are.

    `films` is a group or a language of films.
    """
    wanted = [
        one
        for one in judged
        if one.kind in kinds and one.wanted is Decision.TAKEN and films in (None, one.group, one.language)
    ]
    return sum(one.actual is Decision.TAKEN for one in wanted), len(wanted)
