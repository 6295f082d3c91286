"""Fingerprints of re-encodings are the same sound; those of other music and of silence are not."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest
from numpy.typing import NDArray

from storage.mels.settings import MelSettings
from tasks.soundtracks.audio.decode import AudioFile, Samples
from tasks.soundtracks.audio.fingerprint import WORD_SECONDS, WORDS_PER_SEGMENT, fingerprint, is_same_sound
from tasks.soundtracks.audio.melspectrogram import segment_mels

SETTINGS = MelSettings()
Music = Callable[..., Samples]


def words(blocks: Iterable[Samples]) -> NDArray[np.uint32]:
    return np.frombuffer(fingerprint(segment_mels(blocks, SETTINGS, "a")), "<u4")


@pytest.mark.parametrize(("name", "codec"), [("a.wav", "pcm_s16le"), ("a.mp3", "libmp3lame"), ("a.webm", "libopus")])
def test_re_encoding_is_the_same_sound(write_audio: Callable[..., str], music: Music, name: str, codec: str) -> None:
    encoded = AudioFile(write_audio(name, music(30, 48_000), 48_000, codec), SETTINGS.sample_rate_hz)
    original = AudioFile(write_audio("original.wav", music(30, 48_000), 48_000), SETTINGS.sample_rate_hz)
    assert is_same_sound(words(original.blocks()), words(encoded.blocks()))


def test_other_music_is_another_sound(music: Music) -> None:
    assert not is_same_sound(words([music(30)[0]]), words([music(30, seed=9)[0]]))


def test_beginning_of_a_recording_is_the_same_sound(music: Music) -> None:
    recording = words([music(30)[0]])
    assert is_same_sound(recording, recording[:40])
    assert not is_same_sound(recording, recording[:10])  # too short to compare


def test_silence_has_no_fingerprint_and_is_no_sound() -> None:
    assert fingerprint(segment_mels([np.zeros(SETTINGS.segment_samples * 2, np.float32)], SETTINGS, "a")) == b""
    assert not is_same_sound(np.zeros(0, np.uint32), np.zeros(0, np.uint32))


def test_words_have_the_length_that_curation_counts_with() -> None:
    assert pytest.approx(SETTINGS.segment_seconds / WORDS_PER_SEGMENT, abs=0.0005) == WORD_SECONDS
