"""Loudness, tempo, energy and brightness are what librosa and the standard say; the hash follows the samples alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest

from storage.mels.settings_and_shard_format import MelSettings
from tasks.soundtracks.audio.decode import AudioFile
from tasks.soundtracks.audio.descriptors import Listener, describe
from tasks.soundtracks.audio.melspectrogram import segment_mels

Write = Callable[..., str]
SETTINGS = MelSettings(short_tracks="pad")


def heard(path: str | Path) -> dict[str, Any]:
    listener = Listener()
    audio = AudioFile(str(path), SETTINGS.sample_rate_hz, on_frame=listener.hear)
    mels = segment_mels(listener.through(audio.blocks()), SETTINGS, "x")
    return listener.facts() | describe(mels, SETTINGS)


@pytest.mark.parametrize(("peak_db", "lufs"), [(-23.0, -23.0), (-33.0, -33.0)])
def test_a_stereo_tone_of_1_khz_has_the_loudness_that_the_standard_states(
    write_audio: Write, peak_db: float, lufs: float
) -> None:
    # EBU Tech 3341, test signals 1 and 2: a 1 kHz sine in both channels at -23 and -33 dBFS.
    tone = 10 ** (peak_db / 20) * np.sin(2 * np.pi * 1000 * np.arange(20 * 48_000) / 48_000)
    path = write_audio("a.wav", np.stack([tone, tone]), rate=48_000, layout="stereo")
    assert heard(path)["loudness_lufs"] == pytest.approx(lufs, abs=0.1)


def test_silence_has_no_loudness_no_tempo_and_no_brightness(write_audio: Write) -> None:
    found = heard(write_audio("a.wav", np.zeros((1, 12 * 22_050))))
    assert (found["loudness_lufs"], found["tempo_bpm"], found["brightness_hz"]) == (None, None, None)
    assert found["silent_share"] == 1


def test_energy_is_the_mean_square_of_each_second(write_audio: Write) -> None:
    steps = np.repeat([0.5, 0.05, 0.5, 0.05, 0.5, 0.05, 0.5, 0.05, 0.5, 0.05], 22_050)
    tone = steps * np.sin(2 * np.pi * 440 * np.arange(len(steps)) / 22_050)
    energy = heard(write_audio("a.wav", tone[None]))["energy_db"]
    assert energy[:9:2] == pytest.approx([20 * np.log10(0.5 / np.sqrt(2))] * 5, abs=0.3)
    assert energy[1:9:2] == pytest.approx([20 * np.log10(0.05 / np.sqrt(2))] * 4, abs=3)  # a frame reaches over an edge


def test_a_lake_of_the_htk_scale_describes_a_track_alike(write_audio: Write) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 12 * 22_050).astype(np.float32)
    slaney, htk = (
        describe(segment_mels([noise], settings, "x"), settings)
        for settings in (MelSettings(), MelSettings(mel_scale="htk"))
    )
    assert htk["energy_db"] == pytest.approx(slaney["energy_db"], abs=0.3)
    assert htk["brightness_hz"] == pytest.approx(slaney["brightness_hz"], rel=0.1)


def test_a_click_every_half_second_is_120_beats_per_minute(write_audio: Write) -> None:
    samples = librosa.clicks(times=np.arange(0, 30, 0.5), sr=22_050, length=30 * 22_050)
    assert heard(write_audio("a.wav", samples[None]))["tempo_bpm"] == pytest.approx(120, abs=2)


def test_brightness_is_near_the_centroid_of_librosa(real_audio: Path) -> None:
    path = next(real_audio.glob("music/**/*Vibe_Ace*.ogg"))
    samples, rate = librosa.load(path, sr=22_050)
    expected = librosa.feature.spectral_centroid(y=samples, sr=rate, n_fft=1024, hop_length=220).mean()
    assert heard(path)["brightness_hz"] == pytest.approx(expected, rel=0.2)


def test_new_tags_change_the_file_and_not_its_hash(tmp_path: Path, write_clip: Callable[..., Path]) -> None:
    one, other = write_clip(tmp_path / "a.opus", title="A"), write_clip(tmp_path / "b.opus", title="Another title")
    assert one.read_bytes() != other.read_bytes()
    assert heard(one)["audio_id"] == heard(other)["audio_id"]
    assert heard(one)["audio_id"] != heard(write_clip(tmp_path / "c.opus", hertz=221))["audio_id"]


def test_a_truncated_copy_is_another_recording(tmp_path: Path, write_clip: Callable[..., Path]) -> None:
    whole = write_clip(tmp_path / "a.opus", seconds=15)
    cut = Path(shutil.copy(whole, tmp_path / "b.opus"))
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.9)])
    assert heard(whole)["audio_id"] != heard(cut)["audio_id"]
