"""Re-encodings of one recording are found by fingerprint, and nothing else is."""

import numpy as np
import pytest

from tasks.curation.curate import curate
from tasks.curation.settings import CurationSettings

DEFAULT = CurationSettings()
WORDS = 200
SECONDS = 100.0


def music(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 2**32, WORDS, dtype=np.uint32)


def re_encoded(words: np.ndarray, share_of_bits: float) -> np.ndarray:
    flipped = np.random.default_rng(99).random((len(words), 32)) < share_of_bits
    return words ^ (flipped << np.arange(32, dtype=np.uint64)).sum(axis=1).astype(np.uint32)


@pytest.fixture
def rule_of(small_lake, exclusions):
    """Give each film's first recording a fingerprint; tell by which rule the last one's is excluded."""

    def find(*fingerprints: np.ndarray, seconds: float = SECONDS) -> str | None:
        for number, words in enumerate(fingerprints):
            row = small_lake.tracks[f"wiki-{number:02d}", f"folder:{number}-0"]
            row.update(fingerprint=words.astype("<u4").tobytes(), decoded_seconds=seconds)
        lake = small_lake.committed()
        last = len(fingerprints) - 1
        out = exclusions(lake, curate(lake, DEFAULT, "run", charts=False).version)
        return out.get(("track", f"wiki-{last:02d}/folder:{last}-0"), (None,))[0]

    return find


def test_a_re_encoding_under_another_film_is_a_duplicate(rule_of):
    assert rule_of(music(1), re_encoded(music(1), 0.05)) == "same_sound"


def test_other_music_is_no_duplicate(rule_of):
    assert rule_of(music(1), music(2), music(3)) is None


def test_one_shared_moment_makes_no_duplicate(rule_of):
    other = music(2)
    other[::10] = music(1)[::10]
    assert rule_of(music(1), other) is None


def test_a_part_cut_from_the_start_of_a_recording_is_a_duplicate(rule_of):
    assert rule_of(music(1), re_encoded(music(1), 0.02)[:90]) == "same_sound"


def test_silence_is_not_alike(rule_of):
    quiet, other = np.zeros(WORDS, np.uint32), np.zeros(WORDS, np.uint32)
    quiet[:20], other[:20] = music(1)[:20], music(2)[:20]
    assert rule_of(quiet, other) is None


def test_recordings_too_short_to_compare_are_left_alone(rule_of):
    assert rule_of(music(1)[:19], re_encoded(music(1), 0.01)[:19], seconds=4.0) is None


def test_sameness_is_carried_on_from_copy_to_copy(rule_of, small_lake):
    # Film 2 has the bytes of film 1, and film 1 the sound of film 0.
    small_lake.tracks["wiki-01", "folder:1-0"]["audio_sha256"] = "the same"
    small_lake.tracks["wiki-02", "folder:2-0"]["audio_sha256"] = "the same"
    assert rule_of(music(1), re_encoded(music(1), 0.05), music(7)) == "same_sound"
