"""Mels equal those of librosa; segments, silence, clipping and short tracks follow the settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest

from storage.errors import ItemError
from storage.mels.reader import decibels
from storage.mels.settings_and_shard_format import MelSettings
from tasks.soundtracks.audio.decode import Samples
from tasks.soundtracks.audio.melspectrogram import filter_bank, melspectrogram_db, segment_mels

Music = Callable[..., Samples]

SETTINGS = MelSettings()
SEGMENT = SETTINGS.segment_samples


HTK = MelSettings(mel_scale="htk")
LIKE_TORCHAUDIO = {"htk": True, "norm": None}


def librosa_mels(samples: Samples, **filters: Any) -> np.ndarray:
    power = librosa.feature.melspectrogram(
        y=samples.astype(np.float64), sr=22_050, n_fft=1024, hop_length=220, n_mels=128, pad_mode="reflect", **filters
    )
    return np.asarray(librosa.power_to_db(power, top_db=None))


@pytest.mark.parametrize("seed", range(3))
def test_decibels_equal_those_of_librosa(music: Music, seed: int) -> None:
    samples = music(10, seed=seed)[0, :SEGMENT]
    ours, theirs = melspectrogram_db(samples, SETTINGS), librosa_mels(samples)
    assert ours.shape == (128, 995)
    assert np.abs(ours - theirs)[theirs > -60].max() < 0.005


def test_decibels_of_real_music_equal_those_of_librosa(real_audio: Path) -> None:
    samples, _ = librosa.load(next(real_audio.glob("music/**/*Vibe_Ace*.ogg")), sr=22_050)
    ours, theirs = melspectrogram_db(samples[:SEGMENT], SETTINGS), librosa_mels(samples[:SEGMENT])
    assert np.abs(ours - theirs)[theirs > -60].max() < 0.05


@pytest.mark.parametrize(("settings", "filters"), [(SETTINGS, {}), (HTK, LIKE_TORCHAUDIO)])
def test_filter_bank_equals_that_of_librosa(settings: MelSettings, filters: dict[str, Any]) -> None:
    theirs = librosa.filters.mel(sr=22_050, n_fft=1024, n_mels=128, **filters)
    assert np.abs(filter_bank(settings).toarray() - theirs).max() < 1e-6


def test_decibels_on_the_htk_scale_equal_those_of_librosa(music: Music) -> None:
    samples = music(10)[0, :SEGMENT]
    ours, theirs = melspectrogram_db(samples, HTK), librosa_mels(samples, **LIKE_TORCHAUDIO)
    assert np.abs(ours - theirs)[theirs > -60].max() < 0.005
    assert np.abs(ours - melspectrogram_db(samples, SETTINGS)).max() > 5  # another scale
    mels = segment_mels([samples], HTK, "a")
    assert np.isfinite(decibels(mels.stored, mels.ref_db, HTK)).all()


def test_quantisation_error_is_below_a_sixth_of_a_decibel(music: Music) -> None:
    samples = music(10)[0, :SEGMENT]
    mels = segment_mels([samples], SETTINGS, "a")
    exact = np.maximum(melspectrogram_db(samples, SETTINGS), mels.ref_db[0] - 80)
    assert np.abs(decibels(mels.stored, mels.ref_db, SETTINGS)[0] - exact).max() < 0.158


def test_float16_keeps_the_decibels(music: Music) -> None:
    settings = MelSettings(encoding="float16")
    samples = music(10)[0, :SEGMENT]
    mels = segment_mels([samples], settings, "a")
    assert mels.stored.dtype == np.float16
    assert np.abs(decibels(mels.stored, mels.ref_db, settings)[0] - melspectrogram_db(samples, settings)).max() < 0.04


def test_blocks_of_any_length_give_the_same_segments(music: Music) -> None:
    samples = music(25)[0]
    at_once = segment_mels([samples], SETTINGS, "a")
    in_blocks = segment_mels(np.array_split(samples, 37), SETTINGS, "a")
    assert len(at_once) == 2
    assert np.array_equal(at_once.stored, in_blocks.stored)


def test_short_track_is_padded_or_refused(music: Music) -> None:
    samples = music(4)[0]
    mels = segment_mels([samples], MelSettings(short_tracks="pad"), "a")
    assert mels.padded_seconds[0] == pytest.approx(SETTINGS.segment_seconds - 4)
    with pytest.raises(ItemError) as caught:
        segment_mels([samples], MelSettings(short_tracks="refuse"), "a")
    assert caught.value.reason == "too_short"


def test_silence_and_clipping_are_reported(music: Music) -> None:
    loud = np.clip(music(10)[0, :SEGMENT] * 50, -1, 1)
    mels = segment_mels([np.zeros(SEGMENT, np.float32), loud], SETTINGS, "a")
    assert mels.silent.tolist() == [True, False]
    assert mels.clipped_fraction[0] == 0
    assert mels.clipped_fraction[1] > 0.1
    assert np.isfinite(mels.ref_db).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
def test_sample_that_is_not_audio_has_a_reason(music: Music, bad: float) -> None:
    samples = music(10)[0, :SEGMENT]
    samples[100] = bad
    with pytest.raises(ItemError) as caught:
        segment_mels([samples], SETTINGS, "a")
    assert caught.value.reason == "undecodable"
