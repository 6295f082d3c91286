"""Albums under a name that is not the page's title are left for review if they may be the film's."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from storage.lake.lake import open_lake
from storage.tables import tables
from storage.tables.schemas import FILMS
from storage.tables.tables import create_tables
from tasks.soundtracks.candidate_recordings import Candidate, Decision, Film
from tasks.soundtracks.matching.film_index import FilmIndex, read_film_index
from tasks.soundtracks.matching.track_selection import judge_for_all_films, most_promising
from tasks.soundtracks.matching.verdict import judge


def delivered(album: str, year: int) -> Candidate:
    """Return a track of an album that a label delivered."""
    facts = {"album": album, "release_year": year, "uploader": "Somebody - Topic", "artist": "Somebody"}
    return Candidate("youtube", "abcdefghijk", "u", "Main Title", duration_seconds=200.0, **facts)  # type: ignore[arg-type]


OTHER_NAMES = [
    (("Star Wars (film)", 1977), "Star Wars: Episode IV – A New Hope (Original Motion Picture Soundtrack)", 1977),
    (("Star Wars (film)", 1977), "Star Wars Episode IV: A New Hope (Original Motion Picture Soundtrack)", 2018),
    (("Star Wars (film)", 1977), "Star Wars: A New Hope (Original Motion Picture Soundtrack)", 1977),
    (("Star Wars: The Force Awakens", 2015), "Star Wars: Episode VII - The Force Awakens (Soundtrack)", 2015),
    (("Birdman (film)", 2014), "Birdman or (The Unexpected Virtue of Ignorance) [Soundtrack]", 2014),
    (("Dr. Strangelove", 1964), "Dr. Strangelove or: How I Learned to Stop Worrying (Soundtrack)", 1964),
    (("Léon: The Professional", 1994), "Léon (Bande originale du film)", 1994),
    (("Léon: The Professional", 1994), "The Professional (Original Motion Picture Soundtrack)", 1994),
    (("Terminator 2: Judgment Day", 1991), "Terminator 2 (Original Soundtrack)", 1991),
    (("The Raid 2", 2014), "The Raid 2: Berandal (Original Motion Picture Soundtrack)", 2014),
    (
        ("Harry Potter and the Philosopher's Stone (film)", 2001),
        "Harry Potter and the Sorcerer's Stone (Original Motion Picture Soundtrack)",
        2001,
    ),
]


@pytest.mark.parametrize(("named", "album", "year"), OTHER_NAMES, ids=str)
def test_album_under_another_name_of_the_film_is_left_for_review(named: tuple[str, int], album: str, year: int) -> None:
    verdict = judge(delivered(album, year), Film("f-1", *named))
    assert (str(verdict.decision), verdict.reason) == ("review", "other_name")


OTHER_FILMS = [
    (("Star Wars (film)", 1977), "Star Wars: Episode V - The Empire Strikes Back (Soundtrack)", 1980),
    (("Kill Bill: Volume 1", 2003), "Kill Bill Vol. 2 Original Soundtrack", 2004),
    (("Back to the Future Part II", 1989), "Back to the Future Part III (Original Soundtrack)", 1990),
    (("The Matrix Reloaded", 2003), "The Matrix Revolutions (Original Soundtrack)", 2003),
    (("Dune (2021 film)", 2021), "Dune: Part Two (Original Motion Picture Soundtrack)", 2021),
    (("X-Men (film)", 2000), "X2: X-Men United (Soundtrack)", 2003),
    (("Black Panther (film)", 2018), "Black (Original Soundtrack)", 2018),
]


@pytest.mark.parametrize(("named", "album", "year"), OTHER_FILMS, ids=str)
def test_album_of_another_film_of_a_series_is_rejected(named: tuple[str, int], album: str, year: int) -> None:
    assert judge(delivered(album, year), Film("f-1", *named)).decision is Decision.REJECTED


def test_album_with_the_exact_title_of_another_film_is_rejected() -> None:
    candidate = delivered("The Professional (Original Motion Picture Soundtrack)", 1994)
    verdict = judge(candidate, Film("f-1", "Léon: The Professional", 1994), [Film("f-2", "The Professional", 1994)])
    assert verdict.decision is Decision.REJECTED


FOREIGN_FILM = Film("f-1", "Life Is Beautiful", 1997, ("La vita è bella",))


@pytest.mark.parametrize(
    ("album", "year", "expected"),
    [
        ("La vita è bella (Colonna sonora originale)", 1997, ("taken", "matched")),
        ("La Vita E Bella (Original Motion Picture Soundtrack)", 1998, ("taken", "matched")),
        ("La vita è bella (Colonna sonora originale)", 2011, ("review", "other_name")),
        ("Life Is Beautiful (Original Motion Picture Soundtrack)", 1997, ("taken", "matched")),
        ("La vita è bella 2 (Colonna sonora originale)", 1999, ("rejected", "other_album")),
        ("La vita è bella (Colonna sonora)", 1943, ("rejected", "other_album")),
        ("La vita agra (Colonna sonora originale)", 1997, ("rejected", "other_album")),
    ],
)
def test_album_under_an_original_title_is_taken_from_the_films_year(
    album: str, year: int, expected: tuple[str, str]
) -> None:
    verdict = judge(delivered(album, year), FOREIGN_FILM)
    assert (str(verdict.decision), verdict.reason) == expected


def test_unofficial_upload_under_an_original_title_is_rejected() -> None:
    fan = Candidate("youtube", "x", "u", "La vita è bella soundtrack", uploader="A Fan", duration_seconds=200.0)
    assert judge(fan, FOREIGN_FILM).decision is Decision.REJECTED


def test_album_belongs_to_the_film_with_the_exact_title_rather_than_an_original_title() -> None:
    namesake = Film("f-2", "La vita è bella", 1997)
    candidate = delivered("La vita è bella (Colonna sonora originale)", 1997)
    judged = most_promising(judge_for_all_films(candidate, FilmIndex([FOREIGN_FILM, namesake])))
    assert [(one.film_id, str(one.verdict.decision)) for one in judged] == [("f-2", "taken")]


def test_film_is_found_by_its_original_title() -> None:
    candidate = delivered("La vita è bella (Colonna sonora originale)", 1997)
    [judged] = judge_for_all_films(candidate, FilmIndex([FOREIGN_FILM, Film("f-3", "Life", 2017)]))
    assert (judged.film_id, judged.verdict.reason) == ("f-1", "matched")


def test_films_of_a_lake_without_a_names_column_are_read(tmp_path: Path) -> None:
    lake = open_lake(str(tmp_path / "lake"))
    older = FILMS.schema.remove(FILMS.schema.get_field_index("names"))
    before = {"film_id": "f-1", "title": "Life Is Beautiful", "year": 1997, "state": "present"}
    lake.write_table(pa.Table.from_pylist([before], schema=older), "films/part-000000001-abcd.parquet")
    create_tables(lake)
    tables.append(lake, FILMS, [{**before, "film_id": "f-2", "names": ["La vita è bella"]}], "test")
    assert [film.names for film in read_film_index(lake).films.values()] == [(), ("La vita è bella",)]


def test_digit_inside_a_word_matches_the_letter() -> None:
    candidate = delivered("Se7en (Original Motion Picture Score)", 1995)
    assert judge(candidate, Film("f-1", "Seven (1995 film)", 1995)).decision is Decision.TAKEN
