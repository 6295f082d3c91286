"""Names of official albums and of videos on the composer's channel: the film's own, or another recording by its people.

All are by the film's composer and of its year, so that the name alone decides.
"""

from __future__ import annotations

from typing import Any

import pytest

from tasks.films.parsing.track_lists import AlbumListing, ListedTrack
from tasks.soundtracks.candidate_recordings import Candidate, Film
from tasks.soundtracks.matching.film_index import FilmIndex
from tasks.soundtracks.matching.track_selection import Matcher

FILM = Film("w-1", "Harbour Lights", 2011, composers=("Marta Ek",))
BRIDGE = Film("w-2", "The Iron Bridge", 2009, composers=("Marta Ek",))
OST = "(Original Motion Picture Soundtrack)"


def decision(candidate: Candidate, film: Film = FILM, *others: Film) -> tuple[str, str]:
    verdict = Matcher(FilmIndex([film, *others])).judge(candidate, film).verdict
    return str(verdict.decision), verdict.reason


def album(name: str, year: int = 2011, track: str = "") -> Candidate:
    facts: dict[str, Any] = {"artist": "Marta Ek", "album_artist": "Marta Ek", "release_year": year}
    return Candidate("youtube", "MPREb_x", "u", track or name, album=name, is_official_album=True, **facts)


@pytest.mark.parametrize(
    "name",
    [
        "Harbour Lights (Soundtrack from the HBO® Series)",
        "Harbour Lights (Music from the Limited Series)",
        "Harbour Lights (Music from the Original TV Show)",
        "Harbour Lights (Original Docuseries Soundtrack)",
        "Harbour Lights, Season One (Original Soundtrack)",
        "Harbour Lights (Music from the Second Season)",
        "Harbour Lights (Staffel 1) [Original Soundtrack]",
        "Harbour Lights: Saison 2 (Bande originale de la série)",
        "Harbour Lights (Banda Sonora de la Serie)",
        "Harbour Lights (Trilha Sonora da Novela)",
        "Harbour Lights: The Game (Original Soundtrack)",
        "Harbour Lights (Music from the Stage Play)",
        "Harbour Lights (Original Musical Cast)",
        "Harbour Lights (Music from the Original Audio Drama)",
        "Harbour Lights (Hörspiel)",
        "Harbour Lights (Livre audio)",
    ],
)
def test_album_of_a_series_a_game_a_play_or_a_book_is_not_the_films(name: str) -> None:
    assert decision(album(name)) == ("rejected", "other_medium")


@pytest.mark.parametrize(
    "name",
    [
        "Harbour Lights: The Complete Score",
        "Harbour Lights (Music from the Harbour Film Series)",
        "Harbour Lights: Music from the Film Series Soundtrack",
        "Harbour Lights (Original Film Cast)",
        "Harbour Lights (Complete Original Score)",
        "Harbour Lights (Original Documentary Soundtrack)",
        "Harbour Lights (Music from the Documentary)",
        "Harbour Lights (Original Score / Blue Quay LP to CD Series)",
        "Harbour Lights (Original Motion Picture Soundtrack / International Version)",
        "Harbour Lights (Music for the Ada Lind Film)",
        "Harbour Lights (Hudba z filmu)",
        "Harbour Lights (Director's Cut) [Original Soundtrack]",
        "Harbour Lights [Remasterisé en 2011]",
        "Harbour Lights (Original Motion Picture Soundtrack) [Explicit Version]",
        "Harbour Lights (Festival Edition)",
        "Harbour Lights (Disc 1)",
    ],
)
def test_edition_of_the_films_album_is_taken(name: str) -> None:
    assert decision(album(name)) == ("taken", "matched")


@pytest.mark.parametrize("words", ["Reworked", "Piano Reworks", "String Quartet Version", "TV Size", "Music Box"])
def test_album_with_unknown_words_in_brackets_is_left_for_review_unless_it_is_listed(words: str) -> None:
    name = f"Harbour Lights ({words})"
    assert decision(album(name)) == ("review", "other_edition")
    film = Film("w-1", "Harbour Lights", 2011, composers=("Marta Ek",), listings=(AlbumListing(name),))
    assert decision(album(name), film) == ("taken", "matched")


@pytest.mark.parametrize("others", [(), (BRIDGE,)], ids=["alone", "with the other film"])
@pytest.mark.parametrize(
    "name", [f"Harbour Lights / The Iron Bridge {OST}", f"The Iron Bridge {OST} | Harbour Lights {OST}"]
)
def test_album_of_two_films_is_left_for_review(name: str, others: tuple[Film, ...]) -> None:
    assert decision(album(name), FILM, *others) == ("review", "other_films_too")


def test_album_under_two_names_of_one_film_is_taken() -> None:
    film = Film("w-1", "Harbour Lights", 2011, names=("Luci del porto",), composers=("Marta Ek",))
    assert decision(album("Harbour Lights / Luci del porto (Colonna sonora originale)"), film)[0] == "taken"


@pytest.mark.parametrize(("year", "expected"), [(2011, "taken"), (2012, "review")])
def test_subtitle_of_the_next_year_may_be_that_of_a_sequel_by_the_same_people(year: int, expected: str) -> None:
    assert decision(album(f"Harbour Lights: Resurrection {OST}", year))[0] == expected


def test_second_volume_is_taken_if_the_article_lists_it() -> None:
    second = album(f"Harbour Lights, Vol. 2 {OST}", track="The Long Pier")
    assert decision(second) == ("rejected", "sequel")
    listing = AlbumListing("Harbour Lights (Volume 2)", ("Marta Ek",), tracks=(ListedTrack("The Long Pier", 305.0),))
    film = Film("w-1", "Harbour Lights", 2011, composers=("Marta Ek",), listings=(listing,))
    assert decision(second, film)[0] == "taken"
    assert decision(second, film, Film("w-2", "Harbour Lights 2", 2012, composers=("Marta Ek",)))[0] != "taken"


@pytest.mark.parametrize(("listed", "expected"), [("Harbour Lights: Songs of Winter", "taken"), ("Other", "review")])
def test_listed_album_needs_no_word_for_soundtrack(listed: str, expected: str) -> None:
    facts: dict[str, Any] = {"artist": "Various Artists", "album_artist": "Various Artists", "release_year": 2011}
    name = "Harbour Lights: Songs of Winter"
    songs = Candidate("youtube", "MPREb_x", "u", name, album=name, is_official_album=True, **facts)
    film = Film(
        "w-1",
        "Harbour Lights",
        2011,
        composers=("Marta Ek",),
        listings=(AlbumListing(listed, tracks=(ListedTrack("Ash", 1.0),)),),
    )
    assert decision(songs, film)[0] == expected


@pytest.mark.parametrize("name", ["Música inspirada en la película", "Inspirée du film", "Inspiriert von dem Film"])
def test_album_that_a_film_inspired_is_rejected_in_other_languages(name: str) -> None:
    assert decision(album(f"Harbour Lights ({name})")) == ("rejected", "inspired_by")


@pytest.mark.parametrize(
    "title",
    [
        "Harbour Lights - Recording Session",
        "Harbour Lights | Making the Music",
        "Harbour Lights - Composer Diary",
        "Harbour Lights Soundtrack - Coming Soon",
        "Harbour Lights (Album Sampler)",
        "Harbour Lights - Main Theme (Demo)",
        "Harbour Lights - Rehearsal",
    ],
)
def test_what_the_composer_shows_of_the_work_is_not_the_recording(title: str) -> None:
    own: dict[str, Any] = {"uploader": "Marta Ek", "is_verified": True, "duration_seconds": 150.0}
    assert decision(Candidate("youtube", "abcdefghijk", "u", title, **own))[0] == "rejected"
    track = title.rsplit(" - ", maxsplit=1)[-1]
    assert decision(album(f"Harbour Lights {OST}", track=track)) == ("taken", "matched")
