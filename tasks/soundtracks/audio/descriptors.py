"""Describe how a recording sounds: loudness, tempo, energy over time, brightness, silence, and a hash of its samples.

Loudness is heard while the recording is decoded, with all of its channels, by FFmpeg's meter of EBU R 128. Everything
else is read from the mels, which are there anyway. Whether somebody sings is left out: no measure of mels alone that
is cheap tells a voice from a violin.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from av.filter import Graph
from numpy.typing import NDArray

from storage.mels.reader import TrackMels, decibels
from storage.mels.settings_and_shard_format import MelSettings
from tasks.soundtracks.audio.fingerprint import SampleHash
from tasks.soundtracks.audio.melspectrogram import band_corners_hz

Samples = NDArray[np.float32]

GATE_LUFS = -70.0
"""EBU R 128 counts nothing below; the meter states it for silence."""
TEMPO_SECONDS = 90.0
"""The middle of a recording is heard for its tempo: more would take memory in proportion to its length."""


class Listener:
    """Measures a recording's loudness and hashes its samples while it is decoded."""

    def __init__(self) -> None:
        self._format: tuple[int, str, str] | None = None
        self._graph: Graph | None = None
        self._measured: Any = None
        self._is_mixed = False
        self._hash = SampleHash()

    def hear(self, frame: Any) -> None:
        """Measure a decoded frame of all channels."""
        found = (frame.sample_rate, frame.format.name, frame.layout.name)
        if self._graph is None:
            self._format, self._graph = found, _loudness_meter(frame)
        if found != self._format:
            self._is_mixed = True  # one meter measures one format
            return
        self._graph.push(frame)
        while True:
            try:
                self._measured = self._graph.pull()
            except (BlockingIOError, EOFError):
                return

    def through(self, blocks: Iterable[Samples]) -> Iterator[Samples]:
        """Yield the blocks of mono samples and hash them."""
        for block in blocks:
            self._hash.update(block)
            yield block

    def facts(self) -> dict[str, Any]:
        """Return `audio_id`, `loudness_lufs` and `loudness_range_lu`; None for what could not be measured."""
        found = {} if self._measured is None or self._is_mixed else self._measured.metadata
        loudness = float(found.get("lavfi.r128.I", "nan"))
        is_measured = loudness > GATE_LUFS
        return {
            "audio_id": self._hash.hexdigest(),
            "loudness_lufs": loudness if is_measured else None,
            "loudness_range_lu": float(found["lavfi.r128.LRA"]) if is_measured else None,
        }


def _loudness_meter(frame: Any) -> Graph:
    """Return FFmpeg's `ebur128` between a source of this frame's format and a sink."""
    graph = Graph()
    source = graph.add_abuffer(
        sample_rate=frame.sample_rate, format=frame.format.name, layout=frame.layout.name, time_base=frame.time_base
    )
    meter, sink = graph.add("ebur128", "metadata=1:framelog=quiet"), graph.add("abuffersink")
    source.link_to(meter)
    meter.link_to(sink)
    graph.configure()
    return graph


def describe(mels: TrackMels, settings: MelSettings) -> dict[str, Any]:
    """Return `tempo_bpm`, `energy_db` (one value per second), `brightness_hz` and `silent_share` of a recording.

    Energy is the mean square in dB relative to full scale (of the window's frames, by Parseval's theorem). Brightness
    is the mean over frames of the spectral centroid, weighted by magnitude as `librosa.feature.spectral_centroid` is.
    One segment at a time, so that a recording of hours needs no more memory.
    """
    centre_hz, width_hz = _bands(settings)
    frames = round(settings.segment_samples / settings.hop_samples)
    energy, onsets, centroids = [], [], []
    for number in range(len(mels)):
        own = slice(number, number + 1)
        levels = decibels(mels.stored[own], mels.ref_db[own], settings)[0, :, :frames]
        if settings.mel_norm != "slaney":  # filters of unit height: make them of unit area
            levels = levels - 10 * np.log10(width_hz)[:, None]
        magnitude = np.exp(levels * np.float32(np.log(10) / 20))
        weights = magnitude * width_hz[:, None]  # the filters have unit area: undo it
        energy.append((magnitude * weights).sum(axis=0))
        centroids.append(centre_hz @ weights / weights.sum(axis=0))
        onsets.append(np.maximum(np.diff(levels, axis=1, prepend=levels[:, :1]), 0).mean(axis=0))
    return {
        "tempo_bpm": _tempo(np.concatenate(onsets), settings),
        "energy_db": _per_second(np.concatenate(energy), settings),
        "brightness_hz": None if mels.silent.all() else float(np.concatenate(centroids).mean()),
        "silent_share": float(mels.silent.mean()),
    }


def _per_second(energy: NDArray[np.float32], settings: MelSettings) -> list[float]:
    """Return the mean square of each second in dB relative to full scale, to a tenth."""
    per_second = settings.sample_rate_hz / settings.hop_samples  # 100.2 frames: rounded, a minute would last 59.9 s
    starts = np.round(np.arange(0, len(energy), per_second)).astype(np.int64)
    starts = starts[starts < len(energy)]
    means = np.add.reduceat(energy, starts) / np.diff(np.r_[starts, len(energy)])
    window_energy = 3 / 8 * settings.n_fft  # of the Hann window
    mean_squares = 2 * means / (settings.n_fft * window_energy)  # one half of the spectrum
    return [round(float(level), 1) for level in 10 * np.log10(mean_squares + settings.power_floor)]


def _tempo(onsets: NDArray[np.float32], settings: MelSettings) -> float | None:
    """Return the tempo of the middle of a recording in beats per minute; None for a sound without onsets."""
    from librosa.feature import tempo  # noqa: PLC0415  # importing librosa takes seconds, and collecting needs none

    most = round(TEMPO_SECONDS * settings.sample_rate_hz / settings.hop_samples)
    first = max(0, (len(onsets) - most) // 2)
    heard = onsets[first : first + most]
    if not heard.any():
        return None
    found = tempo(onset_envelope=heard, sr=settings.sample_rate_hz, hop_length=settings.hop_samples)
    return float(found[0])


@lru_cache(maxsize=2)
def _bands(settings: MelSettings) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the centre and the width of every mel band in Hz."""
    corners = band_corners_hz(settings).astype(np.float32)
    return corners[1:-1], (corners[2:] - corners[:-2]) / np.float32(2)
