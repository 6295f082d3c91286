"""A label's album that may be the film's: its tracks await a review, and nothing is fetched before a yes."""

from __future__ import annotations

from typing import Any

import pytest

from storage.lake.lake import Lake
from storage.records.review_answers_and_agreement import find_album, record_new_rows, record_review
from storage.tables import tables
from storage.tables.schemas import ALBUM_REVIEWS, TRACKS

pytestmark = pytest.mark.integration
TWO_OF_A_TITLE = [("Night Ferry (1950 film)", 1950), ("Night Ferry (2015 film)", 2015)]


def decisions(lake: Lake) -> dict[tuple[str, str], tuple[str, str]]:
    """(film_id, media_id) to decision and reason."""
    rows = tables.latest(lake, TRACKS).to_pylist()
    return {(row["film_id"], row["media_id"]): (row["decision"], row["reason"]) for row in rows}


def test_an_album_that_fits_two_films_of_one_title_awaits_a_review(
    lake: Lake, world: Any, add_films: Any, collect: Any
) -> None:
    ids = world.add_film("Night Ferry", 2015, 12)
    world.music_albums[0]["year"] = None
    world.save()
    _older, newer = add_films(lake, TWO_OF_A_TITLE)
    collect()
    assert {decisions(lake)[newer, one] for one in ids[:9]} == {("review", "same_title")}
    assert not world.media_requests()
    record_review(lake, newer, f"youtube:{ids[0]}", is_match=True, note="", run_id="test")
    collect()
    assert set(world.media_requests()) == {ids[0]}
    assert decisions(lake)[newer, ids[0]] == ("taken", "approved")


def test_an_album_that_numbers_its_film_as_an_episode_awaits_a_review(
    lake: Lake, world: Any, add_films: Any, collect: Any
) -> None:
    ids = world.add_film("Night Ferry", 2015, 2)
    world.music_albums[0]["title"] = "Night Ferry: Episode IV - The Crossing (Original Motion Picture Soundtrack)"
    world.save()
    (film_id,) = add_films(lake, [("Night Ferry", 2015)])
    collect()
    assert {decisions(lake)[film_id, one] for one in ids} == {("review", "other_name")}


def test_a_yes_to_an_album_takes_its_tracks_and_those_that_are_found_later(
    lake: Lake, world: Any, add_films: Any, collect: Any
) -> None:
    ids = world.add_film("Night Ferry", 2015, 4)
    playlist, on_music = world.albums[0], world.music_albums[0]
    world.albums[0] = (*playlist[:3], ids[:3], *playlist[4:])
    world.music_albums[0] = {**on_music, "year": None, "tracks": on_music["tracks"][:3]}
    world.save()
    _older, newer = add_films(lake, TWO_OF_A_TITLE)
    collect()
    assert {decisions(lake)[newer, one][0] for one in ids[:3]} == {"review"}
    [album] = {row["album"] for row in tables.latest(lake, TRACKS).to_pylist() if row["film_id"] == newer}
    answer = {"film_id": newer, "rater": "", "is_match": True, "note": "", **(find_album(lake, newer, album) or {})}
    record_new_rows(lake, ALBUM_REVIEWS, [answer], "test")
    world.albums[0], world.music_albums[0] = playlist, {**on_music, "year": None}
    world.save()
    collect()
    assert {decisions(lake)[newer, one] for one in ids} == {("taken", "approved")}
