"""A recording is kept under one film only: the earliest of those whose tracks have the same bytes, upload or sound."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from tests.lakes import SmallLake
    from tests.tasks.curation.conftest import Selection

Select = Callable[..., "Selection"]
Words = np.ndarray
WORDS = 200
SECONDS = 100.0


def test_a_recording_of_two_films_is_kept_under_the_earlier_one(small_lake: SmallLake, select: Select) -> None:
    small_lake.tracks["wiki-09", "folder:9-0"]["audio_sha256"] = "the same"
    small_lake.tracks["wiki-02", "folder:2-1"]["audio_sha256"] = "the same"
    exclusions = select(small_lake.committed()).exclusions
    assert exclusions["track", "wiki-09/folder:9-0"] == ("same_audio", "wiki-02/folder:2-1")
    assert ("track", "wiki-02/folder:2-1") not in exclusions


def test_an_upload_taken_for_two_films_is_kept_under_one(small_lake: SmallLake, select: Select) -> None:
    small_lake.add_track("wiki-09", "folder:2-0", 6)
    track_ids = [track.split("/")[1] for track in select(small_lake.committed()).tracks]
    assert len(track_ids) == len(set(track_ids))


def test_a_film_whose_recordings_are_all_duplicates_is_excluded(small_lake: SmallLake, select: Select) -> None:
    for index in range(2):
        sound = small_lake.tracks["wiki-02", f"folder:2-{index}"]["audio_sha256"]
        small_lake.tracks["wiki-09", f"folder:9-{index}"]["audio_sha256"] = sound
    exclusions = select(small_lake.committed()).exclusions
    assert exclusions["film", "wiki-09"][0] == "only_duplicates"
    assert exclusions["track", "wiki-09/folder:9-0"][0] in ("same_audio", "film_excluded")


def test_a_recording_is_kept_under_the_later_film_if_the_earlier_is_excluded(
    small_lake: SmallLake, select: Select
) -> None:
    small_lake.films["wiki-02"]["tags"] = ["Lone films"]
    small_lake.tracks["wiki-02", "folder:2-1"]["audio_sha256"] = "the same"
    small_lake.tracks["wiki-09", "folder:9-0"]["audio_sha256"] = "the same"
    assert "wiki-09/folder:9-0" in select(small_lake.committed()).tracks


def music(seed: int) -> Words:
    """Return the fingerprint of some recording."""
    return np.random.default_rng(seed).integers(1, 2**32, WORDS, dtype=np.uint32)


def re_encoded(words: Words, share_of_bits: float) -> Words:
    """Return a fingerprint in which this share of the bits is flipped."""
    flipped = np.random.default_rng(99).random((len(words), 32)) < share_of_bits
    return words ^ (flipped << np.arange(32, dtype=np.uint64)).sum(axis=1).astype(np.uint32)


RuleOf = Callable[..., str | None]


@pytest.fixture
def rule_of(small_lake: SmallLake, select: Select) -> RuleOf:
    """Return a function that fingerprints each film's first recording and returns the rule that excludes the last."""

    def find(*fingerprints: Words, seconds: float = SECONDS) -> str | None:
        for number, words in enumerate(fingerprints):
            row = small_lake.tracks[f"wiki-{number:02d}", f"folder:{number}-0"]
            row.update(fingerprint=words.astype("<u4").tobytes(), decoded_seconds=seconds)
        last = len(fingerprints) - 1
        exclusions = select(small_lake.committed()).exclusions
        return exclusions.get(("track", f"wiki-{last:02d}/folder:{last}-0"), (None,))[0]

    return find


def test_a_re_encoding_under_another_film_is_a_duplicate(rule_of: RuleOf) -> None:
    assert rule_of(music(1), re_encoded(music(1), 0.05)) == "same_sound"


def test_other_music_is_no_duplicate(rule_of: RuleOf) -> None:
    assert rule_of(music(1), music(2), music(3)) is None


def test_a_few_equal_words_make_no_duplicate(rule_of: RuleOf) -> None:
    other = music(2)
    other[::10] = music(1)[::10]
    assert rule_of(music(1), other) is None


def test_a_recording_cut_off_at_its_end_is_a_duplicate(rule_of: RuleOf) -> None:
    assert rule_of(music(1), re_encoded(music(1), 0.02)[:90]) == "same_sound"


def test_silence_makes_no_duplicate(rule_of: RuleOf) -> None:
    quiet, other = np.zeros(WORDS, np.uint32), np.zeros(WORDS, np.uint32)
    quiet[:20], other[:20] = music(1)[:20], music(2)[:20]
    assert rule_of(quiet, other) is None


def test_recordings_too_short_to_compare_are_no_duplicates(rule_of: RuleOf) -> None:
    assert rule_of(music(1)[:19], re_encoded(music(1), 0.01)[:19], seconds=4.0) is None


def test_being_a_duplicate_is_transitive(rule_of: RuleOf, small_lake: SmallLake) -> None:
    # Film 2 has the bytes of film 1, and film 1 the sound of film 0.
    small_lake.tracks["wiki-01", "folder:1-0"]["audio_sha256"] = "the same"
    small_lake.tracks["wiki-02", "folder:2-0"]["audio_sha256"] = "the same"
    assert rule_of(music(1), re_encoded(music(1), 0.05), music(7)) == "same_sound"
