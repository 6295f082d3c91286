"""One answer per pair, from reviews, raters and albums; albums' answers also cover what is found later."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from storage.lake.lake import Lake
from storage.records.review_answers_and_agreement import (
    album_answer,
    answered_pairs,
    find_album,
    read_reviews,
    record_new_rows,
    record_review,
    refused_pairs,
)
from storage.tables.schemas import ALBUM_REVIEWS, RATINGS

if TYPE_CHECKING:
    from tests.lakes import SmallLake

ALBUM = "OLAK5uy_one"


@pytest.fixture
def lake(small_lake: SmallLake) -> Lake:
    """Return a lake where film 3 has a recording of an album with an id, one of its name only, and one of neither."""
    small_lake.add_track("wiki-03", "folder:3-2")
    small_lake.tracks["wiki-03", "folder:3-0"] |= {"album": "Night  Ferry OST", "album_id": ALBUM}
    small_lake.tracks["wiki-03", "folder:3-1"] |= {"album": "night ferry ost", "decision": "review"}
    return small_lake.committed()


def answer_album(lake: Lake, album: str, *, is_match: bool, rater: str = "") -> None:
    found = find_album(lake, "wiki-03", album)
    assert found is not None
    row = {"film_id": "wiki-03", "rater": rater, "is_match": is_match, "note": "", **found}
    record_new_rows(lake, ALBUM_REVIEWS, [row], "command")


def rate(lake: Lake, rater: str, answer: str) -> None:
    row = {"film_id": "wiki-03", "track_id": "folder:3-0", "rater": rater, "answer": answer, "note": ""}
    record_new_rows(lake, RATINGS, [row], "command")


def answer_of(lake: Lake, track_id: str) -> bool | None:
    return read_reviews(lake).get(("wiki-03", track_id))


def test_the_answers_of_an_album_count_for_its_recordings_and_rows_without_its_id(lake: Lake) -> None:
    answer_album(lake, ALBUM, is_match=True)
    assert [answer_of(lake, f"folder:3-{n}") for n in range(3)] == [True, True, None]


def test_the_answer_of_an_album_covers_recordings_found_later(lake: Lake) -> None:
    answer_album(lake, ALBUM, is_match=False)
    reviews = read_reviews(lake)
    assert album_answer(reviews, "wiki-03", ALBUM, "Renamed") is False
    assert album_answer(reviews, "wiki-03", None, "NIGHT FERRY OST") is False
    assert album_answer(reviews, "wiki-03", "OLAK5uy_cover", "Night Ferry OST") is None
    assert album_answer(reviews, "wiki-04", ALBUM, "Night Ferry OST") is None


def test_an_answer_to_one_recording_goes_before_that_to_its_album(lake: Lake) -> None:
    answer_album(lake, ALBUM, is_match=True)
    record_review(lake, "wiki-03", "folder:3-0", is_match=False, note="a trailer", run_id="command")
    assert (answer_of(lake, "folder:3-0"), answer_of(lake, "folder:3-1")) == (False, True)
    assert refused_pairs(lake) == {"wiki-03/folder:3-0"} and answered_pairs(lake).num_rows >= 2


def test_a_yes_to_an_album_does_not_lift_what_the_rule_rejects(small_lake: SmallLake) -> None:
    row = small_lake.tracks["wiki-03", "folder:3-0"]
    row |= {"album": "Night Ferry OST", "decision": "rejected", "reason": "enough_tracks"}
    lake = small_lake.committed()
    answer_album(lake, "Night Ferry OST", is_match=True)
    assert answer_of(lake, "folder:3-0") is None


def test_the_answer_of_the_command_to_an_album_goes_before_the_raters(lake: Lake) -> None:
    answer_album(lake, ALBUM, is_match=False, rater="anna")
    assert answer_of(lake, "folder:3-0") is False
    answer_album(lake, ALBUM, is_match=True)
    assert answer_of(lake, "folder:3-0") is True


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (["yes", "yes"], True),
        (["yes", "unsure"], True),
        (["yes", "no"], False),
        (["no", "unsure"], False),
        (["unsure"], None),
    ],
)
def test_the_answers_of_raters_become_one(lake: Lake, answers: list[str], expected: bool | None) -> None:
    for number, answer in enumerate(answers):
        rate(lake, f"rater{number}", answer)
    assert answer_of(lake, "folder:3-0") is expected


def test_a_later_answer_replaces_the_earlier_one_of_the_same_person(lake: Lake) -> None:
    rate(lake, "anna", "no")
    rate(lake, "anna", "yes")
    assert answer_of(lake, "folder:3-0") is True


def test_an_album_that_the_film_does_not_have_is_not_found(lake: Lake) -> None:
    assert find_album(lake, "wiki-03", "Another") is None
    assert find_album(lake, "wiki-04", ALBUM) is None
    assert find_album(lake, "wiki-03", "") is None
