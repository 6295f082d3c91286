"""Verdicts on candidates as YouTube and music folders offer them: taken, left for review or rejected, with a reason."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.soundtracks.candidate_recordings import Candidate, Decision, Film
from tasks.soundtracks.matching.film_index import FilmIndex
from tasks.soundtracks.matching.scoring import WEIGHTS
from tasks.soundtracks.matching.track_selection import judge_for_all_films, most_promising, order_candidates
from tasks.soundtracks.matching.verdict import judge

FILMS = [
    ("Inception", 2010),
    ("Rocky (film)", 1976),
    ("Rocky II", 1979),
    ("The Dark Knight", 2008),
    ("Alien (film)", 1979),
    ("Dune (1984 film)", 1984),
    ("Dune (2021 film)", 2021),
    ("Up (2009 film)", 2009),
    ("It (2017 film)", 2017),
    ("Her (2013 film)", 2013),
    ("The Lord of the Rings: The Fellowship of the Ring", 2001),
    ("Jaws (film)", 1975),
    ("Guardians of the Galaxy (film)", 2014),
    ("Blade Runner", 1982),
    ("Wonder Woman (2017 film)", 2017),
    ("Spider-Man (2002 film)", 2002),
    ("Romeo + Juliet", 1996),
    ("E.T. the Extra-Terrestrial", 1982),
    ("The Interview", 2014),
    ("Amélie", 2001),
    ("Star Trek (2009 film)", 2009),
    ("A Star Is Born (2018 film)", 2018),
    ("1917 (2019 film)", 2019),
    ("Kill Bill: Volume 1", 2003),
    ("Kill Bill: Volume 2", 2004),
    ("Mission: Impossible (film)", 1996),
    ("The Social Network", 2010),
    ("Lady and the Tramp", 1955),
]
YEARS = dict(FILMS)


def film(title: str) -> Film:
    return Film(f"enwiki-{sorted(YEARS).index(title)}", title, YEARS[title])


FILM_INDEX = FilmIndex(film(title) for title, _ in FILMS)
TOPIC: dict[str, Any] = {"uploader": "Hans Zimmer - Topic", "artist": "Hans Zimmer"}
FAN: dict[str, Any] = {"uploader": "moviefan99"}


def video(title: str, *, seconds: float | None = 200.0, **more: Any) -> Candidate:
    return Candidate("youtube", "abcdefghijk", "https://example.invalid/", title, duration_seconds=seconds, **more)


def verdict(candidate: Candidate, title: str) -> tuple[str, str]:
    judged = judge(candidate, film(title), FILM_INDEX.rivals(film(title), candidate))
    return str(judged.decision), judged.reason


TAKEN = [
    ("Inception", video("Time", album="Inception (Music from the Motion Picture)", release_year=2010, **TOPIC)),
    ("Inception", video("Hans Zimmer - Inception Soundtrack - Time", **TOPIC)),
    ("Inception", video("Dream", album="Inception: Original Motion Picture Soundtrack", **TOPIC)),
    ("Rocky (film)", video("Gonna Fly Now", album="Rocky - Original Motion Picture Score", release_year=1976, **TOPIC)),
    (
        "Dune (2021 film)",
        video("Paul's Dream", album="Dune (Original Motion Picture Soundtrack)", release_year=2021, **TOPIC),
    ),
    ("Dune (1984 film)", video("Prologue", album="Dune (Original Soundtrack Recording)", release_year=1984, **TOPIC)),
    (
        "Up (2009 film)",
        video("Married Life", album="Up (Original Motion Picture Soundtrack)", release_year=2009, **TOPIC),
    ),
    (
        "Spider-Man (2002 film)",
        video("Main Titles", album="Spiderman (Original Motion Picture Score)", release_year=2002, **TOPIC),
    ),
    ("Romeo + Juliet", video("Lovefool", album="Romeo & Juliet Soundtrack", release_year=1996, **TOPIC)),
    (
        "E.T. the Extra-Terrestrial",
        video("Flying", album="ET The Extra-Terrestrial: Music from the Motion Picture", **TOPIC),
    ),
    (
        "Jaws (film)",
        video("Main Title", album="Jaws (Anniversary Collector's Edition Soundtrack)", release_year=2000, **TOPIC),
    ),
    ("Jaws (film)", video("Main Title", album="Jaws (2015 Remaster) [Soundtrack]", release_year=2015, **TOPIC)),
    ("Amélie", video("Comptine d'un autre été", album="Amelie (Bande originale du film)", release_year=2001, **TOPIC)),
    ("The Interview", video("Opening Scene", album="The Interview (Original Motion Picture Soundtrack)", **TOPIC)),
    (
        "1917 (2019 film)",
        video("The Night Window", album="1917 (Original Motion Picture Soundtrack)", release_year=2019, **TOPIC),
    ),
    (
        "Kill Bill: Volume 1",
        video("Bang Bang", album="Kill Bill Vol. 1 Original Soundtrack", release_year=2003, **TOPIC),
    ),
    (
        "Kill Bill: Volume 2",
        video("Malagueña", album="Kill Bill Vol. 2 Original Soundtrack", release_year=2004, **TOPIC),
    ),
    ("Jaws (film)", video("01 Main Title", album="Jaws 01 Soundtrack", **TOPIC)),
    (
        "The Lord of the Rings: The Fellowship of the Ring",
        video("The Bridge", album="Lord of the Rings: Fellowship of the Ring (Original Soundtrack)", **TOPIC),
    ),
    (
        "The Social Network",
        video("Hand Covers Bruise", album="The Social Network (Soundtrack from the Motion Picture)", **TOPIC),
    ),
]


@pytest.mark.parametrize(("title", "candidate"), TAKEN, ids=lambda value: getattr(value, "album", value))
def test_official_soundtrack_is_taken(title: str, candidate: Candidate) -> None:
    assert verdict(candidate, title) == ("taken", "matched")


UPLOADS = [
    ("Inception", video("Hans Zimmer - Inception Soundtrack - Time", uploader="Hans Zimmer", artist="Hans Zimmer")),
    ("Inception", video("Inception Soundtrack - Time", uploader="WaterTower Music")),
    ("The Dark Knight", video("The Dark Knight Theme - Violin", uploader="A Violinist", is_verified=True)),
    ("Romeo + Juliet", video("Lovefool", album="Romeo & Juliet Soundtrack", release_year=1996, **FAN)),
]


@pytest.mark.parametrize(("title", "candidate"), UPLOADS, ids=lambda v: getattr(v, "title", v))
def test_upload_that_no_label_delivered_is_left_for_review(title: str, candidate: Candidate) -> None:
    assert verdict(candidate, title) == ("review", "not_delivered")


@pytest.mark.parametrize(
    "evidence",
    [
        {"uploader": "Hans Zimmer - Topic"},
        {"is_official_album": True, "album": "Inception (Soundtrack)"},
        {"description": "Provided to YouTube by WaterTower Music"},
    ],
    ids=str,
)
def test_upload_that_a_label_delivered_is_taken(evidence: dict[str, Any]) -> None:
    assert verdict(video("Inception Soundtrack - Time", **evidence), "Inception") == ("taken", "matched")


@pytest.mark.parametrize("source", ["music_folder", "url_list"])
def test_own_files_and_listed_urls_need_no_delivery_by_a_label(source: str) -> None:
    facts = {"album": "Inception (Soundtrack)", "release_year": 2010, "duration_seconds": 200.0}
    assert verdict(Candidate(source, "m", "u", "Time", **facts), "Inception") == ("taken", "matched")


def test_listed_video_is_taken_whoever_uploaded_it() -> None:
    assert verdict(video("Anything", listed_for="Inception", **FAN), "Inception") == ("taken", "listed")


REJECTED = [
    ("Rocky (film)", video("Redemption", album="Rocky II (Original Soundtrack)", **TOPIC), "sequel"),
    ("Rocky (film)", video("Burning Heart", album="Rocky 4 Soundtrack", **TOPIC), "sequel"),
    ("Dune (2021 film)", video("Beginnings", album="Dune: Part Two (Original Soundtrack)", **TOPIC), "sequel"),
    (
        "Guardians of the Galaxy (film)",
        video("Mr. Blue Sky", album="Guardians of the Galaxy Vol. 2 Soundtrack", **TOPIC),
        "sequel",
    ),
    ("Blade Runner", video("Mesa", album="Blade Runner 2049 (Original Soundtrack)", **TOPIC), "sequel"),
    ("Wonder Woman (2017 film)", video("Themyscira", album="Wonder Woman 1984 (Soundtrack)", **TOPIC), "sequel"),
    ("Rocky (film)", video("Overture", album="Rocky Balboa (Original Soundtrack)", **TOPIC), "longer_title"),
    ("The Dark Knight", video("Why Do We Fall", album="The Dark Knight Rises (Soundtrack)", **TOPIC), "longer_title"),
    ("Alien (film)", video("The Covenant", album="Alien: Covenant (Original Soundtrack)", **TOPIC), "longer_title"),
    (
        "Mission: Impossible (film)",
        video("Stairs", album="Mission: Impossible - Fallout (Music from the Motion Picture)", **TOPIC),
        "longer_title",
    ),
    (
        "Dune (2021 film)",
        video("Prologue", album="Dune (Original Soundtrack)", release_year=1984, **TOPIC),
        "belongs_to_another_film",
    ),
    ("Inception", video("Inception Official Trailer Music", **TOPIC), "unwanted_trailer"),
    ("Inception", video("Inception Soundtrack - Time (Piano Cover)", **FAN), "unwanted_piano_cover"),
    ("Inception", video("Inception Full Soundtrack", seconds=880, **FAN), "unwanted_full_soundtrack"),
    ("Inception", video("Inception soundtrack 10 hours", **FAN), "unwanted_10_hours"),
    ("Inception", video("Time (Inception soundtrack) slowed + reverb", **FAN), "unwanted_slowed"),
    ("Inception", video("Inception Ending Scene - Soundtrack", **FAN), "unwanted_scene"),
    ("Inception", video("Hans Zimmer Live in Prague - Inception soundtrack", **FAN), "unwanted_live_in"),
    ("Inception", video("Inception soundtrack", live_status="is_live", **TOPIC), "live"),
    ("Inception", video("Inception soundtrack", availability="subscriber_only", **TOPIC), "not_public"),
    ("Inception", video("Inception soundtrack", categories=("Gaming",), **FAN), "not_music"),
    ("Inception", video("Inception soundtrack", seconds=12, **TOPIC), "too_short"),
    ("Inception", video("Inception soundtrack", seconds=7200, **TOPIC), "too_long"),
    ("Inception", video("Inception: The Video Game Soundtrack", **FAN), "other_medium"),
    (
        "The Lord of the Rings: The Fellowship of the Ring",
        video("Edge of Night", album="The Lord of the Rings: The Return of the King Soundtrack", **TOPIC),
        "other_album",
    ),
]


@pytest.mark.parametrize(("title", "candidate", "reason"), REJECTED, ids=lambda v: getattr(v, "title", v))
def test_other_recordings_are_rejected_with_a_reason(title: str, candidate: Candidate, reason: str) -> None:
    decision, actual_reason = verdict(candidate, title)
    assert decision == "rejected"
    assert actual_reason == reason or (reason == "longer_title" and actual_reason in ("longer_title", "other_album"))


NOT_TAKEN = [
    ("Up (2009 film)", video("Wake Me Up Soundtrack", **FAN)),
    ("It (2017 film)", video("Let It Go soundtrack", uploader="DisneyMusicVEVO")),
    ("Her (2013 film)", video("She Loves Her (movie soundtrack)", **FAN)),
    ("Up (2009 film)", video("Up soundtrack", **FAN)),
    ("Jaws (film)", video("Quint's Tale", album="Jaws (Soundtrack)", release_year=1960, **TOPIC)),
    ("A Star Is Born (2018 film)", video("Evergreen", album="A Star Is Born (Soundtrack)", release_year=1976, **TOPIC)),
    ("Dune (1984 film)", video("Dreams", album="Dune (Original Motion Picture Soundtrack)", **TOPIC)),
    ("Inception", video("Inception", uploader="Some Band - Topic", artist="Some Band", album="Beginnings")),
    ("Star Trek (2009 film)", video("Main Theme", album="Star Trek: First Contact (Soundtrack)", **TOPIC)),
    ("Inception", video("My favourite songs", **FAN)),
]


@pytest.mark.parametrize(("title", "candidate"), NOT_TAKEN, ids=lambda v: getattr(v, "title", v))
def test_doubtful_candidate_is_not_taken(title: str, candidate: Candidate) -> None:
    assert verdict(candidate, title)[0] != "taken"


def test_parts_add_up_to_the_score() -> None:
    judged = judge(TAKEN[0][1], film("Inception"))
    parts = {"names_film": 1, "official": 1, "people": 0.5, "soundtrack_words": 1, "year": 1, "duration": 1}
    assert judged.parts == parts
    assert judged.score == pytest.approx(sum(WEIGHTS[name] * value for name, value in parts.items()))


def test_recording_is_taken_for_one_film_only() -> None:
    candidate = video("Dreams", album="Dune (Original Soundtrack)", release_year=2021, **TOPIC)
    taken = [j.film_id for j in judge_for_all_films(candidate, FILM_INDEX) if j.verdict.decision is Decision.TAKEN]
    assert taken == [film("Dune (2021 film)").film_id]


def test_two_films_of_one_title_are_left_for_review_without_a_year() -> None:
    candidate = video("Dreams", album="Dune (Original Soundtrack)", **TOPIC)
    judged = most_promising(judge_for_all_films(candidate, FILM_INDEX))
    assert {(str(j.verdict.decision), j.verdict.reason) for j in judged} == {("review", "same_title")}
    assert len(judged) == 2


def test_tracks_are_ordered_by_album_position_and_duplicates_rejected() -> None:
    album = {"album": "Inception (Original Soundtrack)", "release_year": 2010, **TOPIC}
    tracks = [
        Candidate("youtube", f"{n:011d}", "u", f"Track {n}", duration_seconds=100.0 + n, position=n, **album)
        for n in range(12, 0, -1)
    ]
    duplicate = Candidate("youtube", "duplicate00", "u", "Track 3", duration_seconds=104.0, position=40, **album)
    judged = [j for c in [*tracks, duplicate] for j in judge_for_all_films(c, FILM_INDEX)]
    ordered = order_candidates(judged)
    taken = [j.candidate.position for j in ordered if j.verdict.decision is Decision.TAKEN]
    assert taken == list(range(1, 13))
    assert [j.candidate.media_id for j in ordered if j.verdict.reason == "duplicate"] == ["duplicate00"]


def test_short_recording_of_a_music_folder_is_taken() -> None:
    clip = Candidate(
        "music_folder",
        "aa",
        "a.opus",
        "Dream",
        album="Inception (Original Motion Picture Soundtrack)",
        artist="X",
        release_year=2010,
        duration_seconds=24.0,
    )
    assert verdict(clip, "Inception") == ("taken", "matched")


def test_exactly_named_film_is_taken_before_a_longer_title_that_is_partly_named() -> None:
    film_index = FilmIndex([Film("a-1", "Casimir and the Red Rope", 2017), Film("a-2", "The Red Rope", 2021)])
    album = Candidate("music_folder", "m", "u", "Opening", album="The Red Rope (Soundtrack)", release_year=2021)
    decisions = {one.film_id: one.verdict.decision for one in judge_for_all_films(album, film_index)}
    assert decisions["a-2"] is Decision.TAKEN
    assert decisions["a-1"] is not Decision.TAKEN
