"""The bars of the matching rule on labelled recordings: one half for development, one frozen before the rule."""

from __future__ import annotations

import hashlib

import pytest

from tasks.soundtracks.candidate_recordings import Decision
from tests.labelled_recordings import (
    DELIVERIES,
    FOLDER,
    HALVES,
    INVENTED,
    OWN_VIDEOS,
    entries,
    precision,
    recall,
    results,
)


@pytest.mark.parametrize("half", HALVES)
def test_what_is_taken_is_right(half: str) -> None:
    right, taken = precision(results(half))
    assert right >= 0.98 * taken


@pytest.mark.parametrize("half", HALVES)
def test_official_deliveries_are_taken(half: str) -> None:
    for group, bar in ((None, 0.85), ("english", 0.75), ("indian", 0.75), ("other", 0.75)):
        taken, wanted = recall(results(half), DELIVERIES, group)
        assert taken >= bar * wanted, group


@pytest.mark.parametrize("half", HALVES)
def test_videos_of_labels_and_composers_are_taken(half: str) -> None:
    for group in (None, "english", "indian", "other"):
        taken, wanted = recall(results(half), OWN_VIDEOS, group)
        assert taken >= 0.7 * wanted, group


LANGUAGES = (
    "Chinese",
    "French",
    "German",
    "Italian",
    "Japanese",
    "Korean",
    "Portuguese",
    "Russian",
    "Spanish",
    "Turkish",
)


@pytest.mark.parametrize("language", LANGUAGES)
def test_videos_of_labels_are_taken_in_each_language(language: str) -> None:
    taken, wanted = recall(results(INVENTED), OWN_VIDEOS, language.replace("Chinese", "Mandarin"))
    assert wanted >= 7 and taken >= 0.8 * wanted


def test_invented_trailers_covers_namesakes_and_uploads_of_strangers_are_not_taken() -> None:
    right, taken = precision(results(INVENTED))
    assert right == taken >= 120


@pytest.mark.parametrize("half", HALVES)
def test_no_upload_of_a_stranger_is_taken(half: str) -> None:
    uploads = [one for one in results(half) if one.kind == "stranger_upload"]
    assert len(uploads) >= 100
    assert not any(one.actual is Decision.TAKEN for one in uploads)


def test_frozen_half_is_the_one_of_its_checksum() -> None:
    expected, name = (FOLDER / "frozen.sha256").read_text().split()
    assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == expected


def test_no_film_is_in_both_halves() -> None:
    titles = [{entry["film"]["title"] for entry in entries(half)} for half in HALVES]
    assert not titles[0] & titles[1]
