"""Mels are librosa's; segments, silence, clipping and short tracks are as the settings say."""

import librosa
import numpy as np
import pytest

from storage.errors import ItemError
from storage.mels.settings import MelSettings, decibels
from tasks.soundtracks.audio.decode import AudioFile
from tasks.soundtracks.audio.fingerprint import fingerprint, similarity
from tasks.soundtracks.audio.melspectrogram import _filter_bank, melspectrogram_db, segment_mels

SETTINGS = MelSettings()
SEGMENT = SETTINGS.segment_samples


def librosa_mels(samples):
    power = librosa.feature.melspectrogram(
        y=samples.astype(np.float64), sr=22_050, n_fft=1024, hop_length=220, n_mels=128, pad_mode="reflect"
    )
    return librosa.power_to_db(power, top_db=None)


@pytest.mark.parametrize("seed", range(3))
def test_decibels_are_those_of_librosa(music, seed):
    samples = music(10, seed=seed)[0, :SEGMENT]
    ours, theirs = melspectrogram_db(samples, SETTINGS), librosa_mels(samples)
    assert ours.shape == (128, 995)
    assert np.abs(ours - theirs)[theirs > -60].max() < 0.005


def test_real_music_has_the_decibels_of_librosa(real_audio):
    samples, _ = librosa.load(next(real_audio.glob("music/**/*Vibe_Ace*.ogg")), sr=22_050)
    ours, theirs = melspectrogram_db(samples[:SEGMENT], SETTINGS), librosa_mels(samples[:SEGMENT])
    assert np.abs(ours - theirs)[theirs > -60].max() < 0.05


def test_the_filter_bank_is_that_of_librosa():
    theirs = librosa.filters.mel(sr=22_050, n_fft=1024, n_mels=128)
    assert np.abs(_filter_bank(SETTINGS).toarray() - theirs).max() < 1e-7


def test_stored_steps_are_within_a_sixth_of_a_decibel(music):
    samples = music(10)[0, :SEGMENT]
    mels = segment_mels([samples], SETTINGS, "a")
    exact = np.maximum(melspectrogram_db(samples, SETTINGS), mels.ref_db[0] - 80)
    assert np.abs(decibels(mels.stored, mels.ref_db, SETTINGS)[0] - exact).max() < 0.158


def test_float16_keeps_the_decibels(music):
    settings = MelSettings(encoding="float16")
    samples = music(10)[0, :SEGMENT]
    mels = segment_mels([samples], settings, "a")
    assert mels.stored.dtype == np.float16
    assert np.abs(decibels(mels.stored, mels.ref_db, settings)[0] - melspectrogram_db(samples, settings)).max() < 0.04


def test_blocks_of_any_length_give_the_same_segments(music):
    samples = music(25)[0]
    whole = segment_mels([samples], SETTINGS, "a")
    pieces = segment_mels(np.array_split(samples, 37), SETTINGS, "a")
    assert len(whole) == 2
    assert np.array_equal(whole.stored, pieces.stored)


def test_a_short_track_is_padded_or_refused(music):
    samples = music(4)[0]
    mels = segment_mels([samples], MelSettings(short_tracks="pad"), "a")
    assert mels.padded_seconds[0] == pytest.approx(SETTINGS.segment_seconds - 4)
    with pytest.raises(ItemError) as caught:
        segment_mels([samples], MelSettings(short_tracks="refuse"), "a")
    assert caught.value.reason == "too_short"


def test_silence_and_clipping_are_noted(music):
    loud = np.clip(music(10)[0, :SEGMENT] * 50, -1, 1)
    mels = segment_mels([np.zeros(SEGMENT, np.float32), loud], SETTINGS, "a")
    assert mels.silent.tolist() == [True, False]
    assert mels.clipped_fraction[0] == 0
    assert mels.clipped_fraction[1] > 0.1
    assert np.isfinite(mels.ref_db).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
def test_a_sample_that_is_no_number_is_a_reason(music, bad):
    samples = music(10)[0, :SEGMENT]
    samples[100] = bad
    with pytest.raises(ItemError) as caught:
        segment_mels([samples], SETTINGS, "a")
    assert caught.value.reason == "undecodable"


def test_a_fingerprint_survives_other_encodings_and_a_shift(write_audio, music):
    samples = music(30, 48_000)
    encoded = {
        name: segment_mels(AudioFile(write_audio(name, samples, 48_000, codec), 22_050).blocks(), SETTINGS, name)
        for name, codec in [("a.wav", "pcm_s16le"), ("a.mp3", "libmp3lame"), ("a.webm", "libopus")]
    }
    wav, mp3, webm = (fingerprint(mels) for mels in encoded.values())
    other = fingerprint(segment_mels([music(30, seed=9)[0]], SETTINGS, "b"))
    assert min(similarity(wav, mp3), similarity(wav, webm)) > 0.6
    assert similarity(wav, other) < 0.3
    assert similarity(wav, wav[40:]) == 1.0


def test_silence_has_no_fingerprint():
    assert fingerprint(segment_mels([np.zeros(SEGMENT * 2, np.float32)], SETTINGS, "a")) == b""
    assert similarity(b"", b"") == 0.0
