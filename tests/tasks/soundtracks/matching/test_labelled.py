"""The rule on the labelled sets: one for development, one frozen before the rule was written (see labelled/README.md)."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tasks.films.models import AlbumListing, ListedTrack
from tasks.soundtracks.matching.film_index import FilmIndex
from tasks.soundtracks.matching.matcher import Matcher
from tasks.soundtracks.models import Candidate, Decision, Film

FOLDER = Path(__file__).parent / "labelled"
DELIVERIES = ("official_album_track", "topic_upload", "late_reissue")
OWN_VIDEOS = ("label_video", "composer_video")
DECISIONS = {"take": Decision.TAKEN, "review": Decision.REVIEW, "refuse": Decision.REJECTED}


@dataclass(frozen=True)
class Result:
    """The wanted decision about a candidate and the rule's."""

    group: str
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
    return [one for entry in _entries(half) for one in _results_of(entry)]


def _entries(half: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads((FOLDER / f"{half}.json").read_text(encoding="utf-8"))
    return entries


def _results_of(entry: dict[str, Any]) -> list[Result]:
    film, others = _film(entry["film"]), [_film(other) for other in entry.get("other_films") or ()]
    matcher = Matcher(FilmIndex([film, *others]))
    return [
        Result(
            entry["group"],
            one["kind"],
            DECISIONS[one["wanted"]],
            matcher.judge(_candidate(one["candidate"]), film).verdict.decision,
        )
        for one in entry["candidates"]
    ]


def wilson(successes: int, total: int) -> tuple[float, float, float]:
    """Return a share and its 95 % interval (Wilson 1927)."""
    z, share = 1.96, successes / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return share, middle - half, middle + half


def precision(half: str) -> float:
    taken = [one for one in results(half) if one.actual is Decision.TAKEN]
    return sum(one.wanted is Decision.TAKEN for one in taken) / len(taken)


def recall(half: str, kinds: tuple[str, ...], group: str | None = None) -> float:
    wanted = [
        one
        for one in results(half)
        if one.kind in kinds and one.wanted is Decision.TAKEN and group in (None, one.group)
    ]
    return sum(one.actual is Decision.TAKEN for one in wanted) / len(wanted)


HALVES = ("development", "frozen")


@pytest.mark.parametrize("half", HALVES)
def test_what_is_taken_is_right(half: str) -> None:
    assert precision(half) >= 0.98


@pytest.mark.parametrize("half", HALVES)
def test_official_deliveries_are_taken(half: str) -> None:
    assert recall(half, DELIVERIES) >= 0.85
    for group in ("english", "indian", "other"):
        assert recall(half, DELIVERIES, group) >= 0.75, group


@pytest.mark.parametrize("half", HALVES)
def test_videos_of_labels_and_composers_are_taken(half: str) -> None:
    assert recall(half, OWN_VIDEOS) >= 0.7


@pytest.mark.parametrize("half", HALVES)
def test_no_upload_of_a_stranger_is_taken(half: str) -> None:
    uploads = [one for one in results(half) if one.kind == "stranger_upload"]
    assert len(uploads) >= 100
    assert not any(one.actual is Decision.TAKEN for one in uploads)


def test_frozen_half_is_the_one_of_its_checksum() -> None:
    expected, name = (FOLDER / "frozen.sha256").read_text().split()
    assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == expected


def test_no_film_is_in_both_halves() -> None:
    titles = [{entry["film"]["title"] for entry in _entries(half)} for half in HALVES]
    assert not titles[0] & titles[1]


def print_table(half: str) -> None:
    """Print right, wrong and review per kind, and the bars with Wilson intervals, as in docs/benchmarks.md."""
    counts = Counter((one.kind, one.wanted, one.actual) for one in results(half))
    print(f"| kind ({half}) | wanted | taken | review | rejected |\n| --- | --- | --- | --- | --- |")
    for kind, wanted in sorted({key[:2] for key in counts}):
        shares = " | ".join(str(counts[kind, wanted, decision]) for decision in DECISIONS.values())
        print(f"| {kind} | {wanted} | {shares} |")
    taken = [one for one in results(half) if one.actual is Decision.TAKEN]
    print("precision", *(f"{x:.3f}" for x in wilson(sum(one.wanted is Decision.TAKEN for one in taken), len(taken))))
    for kinds in (DELIVERIES, OWN_VIDEOS):
        for group in (None, "english", "indian", "other"):
            wanted_ones = [
                one
                for one in results(half)
                if one.kind in kinds and one.wanted is Decision.TAKEN and group in (None, one.group)
            ]
            share = wilson(sum(one.actual is Decision.TAKEN for one in wanted_ones), len(wanted_ones))
            print("recall", kinds[0], group or "all", len(wanted_ones), *(f"{x:.3f}" for x in share))


if __name__ == "__main__":
    for each in HALVES:
        print_table(each)
