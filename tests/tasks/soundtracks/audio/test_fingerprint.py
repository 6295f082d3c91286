"""Copies of a recording are the same sound wherever they begin; other music, silence and drones are not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import soxr

from needledrop.demo.films import Film, invent_films
from needledrop.demo.music.score import compose
from needledrop.demo.music.synthesis import perform
from storage.mels.settings_and_shard_format import MelSettings
from tasks.soundtracks.audio.decode import AudioFile, Samples
from tasks.soundtracks.audio.fingerprint import (
    MAGIC,
    TIME_BITS,
    Fingerprint,
    decode,
    fingerprint,
    is_same_sound,
    stored_words,
)
from tasks.soundtracks.audio.melspectrogram import segment_mels

SETTINGS = MelSettings()
RATE = 22_050
FRAME = 220
WriteAudio = Callable[..., str]


def printed(samples: Samples, settings: MelSettings = SETTINGS) -> Fingerprint:
    known = decode(fingerprint(segment_mels([samples.astype(np.float32)], settings, "a"), settings))
    assert known is not None
    return known


@pytest.fixture(scope="module")
def films() -> Sequence[Film]:
    return invent_films(5, 1)


@pytest.fixture(scope="module")
def theme(films: Sequence[Film]) -> Samples:
    """Half a minute of music, mono at 22.05 kHz."""
    return perform(compose(films[0], 1, 30.0), RATE).mean(axis=0)


def lead_in(samples: Samples, seconds: float) -> Samples:
    return np.concatenate([np.zeros(round(seconds * RATE), np.float32), samples])


def shared_words(one: Fingerprint, other: Fingerprint, shift: float) -> int:
    """Return how many words both have, the given frames apart."""
    places = {int(word >> np.uint64(TIME_BITS)): int(word % (1 << TIME_BITS)) for word in one.words}
    pairs = [(int(word >> np.uint64(TIME_BITS)), int(word % (1 << TIME_BITS))) for word in other.words]
    return sum(abs(place - places[word] - shift) <= 3 for word, place in pairs if word in places)


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.0537, 0.25, 1.0, 3.333, 9.92, 10.0])
def test_a_lead_in_of_any_length_leaves_the_same_sound(theme: Samples, seconds: float) -> None:
    one, other, shift = printed(theme), printed(lead_in(theme, seconds)), seconds * RATE / FRAME
    assert shared_words(one, other, shift) >= 50
    assert is_same_sound(one, other, shift)
    assert is_same_sound(other, one, -shift)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp3", "libmp3lame"), ("a.webm", "libopus"), ("a.m4a", "aac"), ("a.flac", "flac")]
)
def test_a_re_encoding_with_a_lead_in_a_cut_and_another_level_is_the_same_sound(
    write_audio: WriteAudio, theme: Samples, name: str, codec: str
) -> None:
    changed = soxr.resample(lead_in(theme * 10 ** (-3 / 20), 1.37)[: 26 * RATE], RATE, 48_000)[None]
    encoded = AudioFile(write_audio(name, changed, 48_000, codec), RATE)
    one, other = printed(theme), printed(np.concatenate(list(encoded.blocks())))
    assert shared_words(one, other, 1.37 * RATE / FRAME) >= 5
    assert is_same_sound(one, other, 1.37 * RATE / FRAME)


def test_mels_of_both_encodings_give_nearly_the_same_fingerprint(theme: Samples) -> None:
    one, other = printed(theme), printed(theme, MelSettings(encoding="float16"))
    assert shared_words(one, other, 0) >= len(one.words) / 2
    assert is_same_sound(one, other, 0)


def test_no_offset_makes_another_theme_on_the_same_instruments_the_same_sound(
    films: Sequence[Film], theme: Samples
) -> None:
    one, other = printed(theme), printed(perform(compose(films[0], 2, 30.0), RATE).mean(axis=0))
    assert not any(is_same_sound(one, other, shift) for shift in range(-1500, 1500, 5))


def test_another_melody_over_the_same_accompaniment_is_another_sound(films: Sequence[Film], theme: Samples) -> None:
    score = compose(films[0], 1, 30.0)
    notes = tuple(replace(note, midi=note.midi + 3) if note.gain == 0.55 else note for note in score.notes)
    varied = perform(replace(score, notes=notes), RATE).mean(axis=0)
    assert not any(is_same_sound(printed(theme), printed(varied), shift) for shift in (-1, 0, 1))


def test_a_recording_that_shares_only_its_end_is_another_sound(theme: Samples, films: Sequence[Film]) -> None:
    other = perform(compose(films[3], 1, 30.0), RATE).mean(axis=0)
    joined = np.concatenate([other, theme[: 12 * RATE]])
    assert not is_same_sound(printed(theme), printed(joined), 30 * RATE / FRAME)


def test_a_recording_of_one_segment_is_the_same_sound_as_its_copy(theme: Samples) -> None:
    one = printed(theme[: SETTINGS.segment_samples])
    assert is_same_sound(one, one, 0)


def test_silence_has_no_fingerprint() -> None:
    assert (
        fingerprint(segment_mels([np.zeros(SETTINGS.segment_samples * 2, np.float32)], SETTINGS, "a"), SETTINGS) == b""
    )


@pytest.mark.parametrize("level", [0.2, 0.002])
def test_drones_and_quiet_hiss_are_no_sound_that_another_could_be(level: float) -> None:
    time = np.arange(30 * RATE) / RATE
    drone = sum(np.sin(2 * np.pi * 55 * n * time) / n for n in range(1, 12)).astype(np.float32) * level
    assert not is_same_sound(printed(drone), printed(lead_in(drone, 0.3)), 0.3 * RATE / FRAME)


def test_a_fingerprint_of_another_version_or_cut_short_is_not_read(theme: Samples) -> None:
    stored = fingerprint(segment_mels([theme], SETTINGS, "a"), SETTINGS)
    assert decode(MAGIC + b"\x63" + stored[4:]) is None
    assert decode(b"\0" * 236) is None  # as versions of Needledrop before had them
    assert decode(stored[:-3]) is None
    assert len(stored_words(stored[:100])) == 0


def test_four_minutes_take_about_thirty_three_kilobytes(theme: Samples) -> None:
    stored = fingerprint(segment_mels([np.tile(theme, 8)], SETTINGS, "a"), SETTINGS)
    assert 25_000 < len(stored) < 33_500


@pytest.mark.parametrize(("name", "codec"), [("a.mp3", "libmp3lame"), ("a.webm", "libopus")])
def test_a_copy_of_quiet_music_in_loud_rain_is_the_same_sound(
    write_audio: WriteAudio, theme: Samples, name: str, codec: str
) -> None:
    rng = np.random.default_rng(0)
    noisy = 0.3 * theme + rng.normal(0, 0.05, len(theme)).astype(np.float32)
    encoded = AudioFile(write_audio(name, soxr.resample(noisy, RATE, 48_000)[None], 48_000, codec), RATE)
    one, other = printed(noisy), printed(np.concatenate(list(encoded.blocks())))
    assert shared_words(one, other, 0) >= 5
    assert is_same_sound(one, other, 0)


@pytest.mark.parametrize(
    ("seed", "film", "first", "second"),
    [(7, 20, 1, 2), (7, 20, 1, 3), (7, 39, 1, 2), (7, 27, 1, 2), (22, 97, 1, 2), (24, 57, 2, 3), (24, 107, 1, 3)],
)
def test_a_theme_over_the_same_chords_and_nearly_the_same_melody_is_another_sound(
    seed: int, film: int, first: int, second: int
) -> None:
    chosen = invent_films(seed, 12)[film]
    one, other = (printed(perform(compose(chosen, n, 24.0), RATE).mean(axis=0)) for n in (first, second))
    assert not any(is_same_sound(one, other, shift) for shift in (-2, 0, 2))


@pytest.mark.parametrize(
    ("seed", "film", "first", "second", "shift"),
    [(24, 129, 1, 3, 722.65), (22, 36, 2, 3, -19.94), (22, 29, 1, 2, -717.6)],
)
def test_a_theme_with_other_notes_in_a_few_bars_only_is_another_sound(
    seed: int, film: int, first: int, second: int, shift: float
) -> None:
    chosen = invent_films(seed, 12)[film]
    one, other = (printed(perform(compose(chosen, n, 24.0), RATE).mean(axis=0)) for n in (first, second))
    assert not is_same_sound(one, other, shift)
