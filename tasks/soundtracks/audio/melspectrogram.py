"""Cut mono samples into segments and compute their mel-spectrograms, in decibels and as stored in a shard.

librosa defines what is correct: `feature.melspectrogram` (Slaney scale and norm, or htk=True and norm=None; power 2)
and `power_to_db` (ref 1, amin 1e-10, no top_db) of each segment separately, padded by reflection. librosa transforms in
float64 and multiplies by a dense filter bank; `stft.py` computes in float32 and stays within 0.002 dB of it above
-60 dB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from storage.errors import ItemError
from storage.mels.reader import TrackMels
from storage.mels.settings_and_shard_format import MelSettings
from tasks.soundtracks.audio.stft import LANES, mel_power

Samples = NDArray[np.float32]

SILENT_PEAK = 10 ** (-60 / 20)
"""A segment that never exceeds -60 dB of full scale is silence with dither or hum."""
CLIPPED_LEVEL = 0.99
"""A clipped peak is within a hundredth of full scale after resampling."""
MAX_PEAK = 1e4
"""80 dB above full scale: larger samples are not audio."""


def segment_mels(blocks: Iterable[Samples], settings: MelSettings, name: str) -> TrackMels:
    """Return the mels of all segments of a recording, given as blocks of mono samples in order.

    A partial last segment is dropped. A recording shorter than one segment is padded with silence or refused, as
    `settings.short_tracks` says. Raises `ItemError`: too_short, undecodable.
    """
    mels = _MelBuffer(settings, name)
    segment, filled, total = np.empty(settings.segment_samples, np.float32), 0, 0
    for block in blocks:
        start = 0
        while start < len(block):
            count = min(len(block) - start, len(segment) - filled)
            segment[filled : filled + count] = block[start : start + count]
            filled, start, total = filled + count, start + count, total + count
            if filled == len(segment):
                mels.add(segment, padded_samples=0)
                filled = 0
    if total < settings.segment_samples:
        if settings.short_tracks == "refuse" or not total:
            raise ItemError("too_short", f"{name} lasts {total / settings.sample_rate_hz:.2f} s, less than one segment")
        segment[filled:] = 0
        mels.add(segment, padded_samples=len(segment) - filled)
    return mels.track()


class _MelBuffer:
    """The mels of the segments so far, as they will be stored."""

    def __init__(self, settings: MelSettings, name: str) -> None:
        self.settings = settings
        self.name = name
        self.stored: list[NDArray[np.uint8] | NDArray[np.float16]] = []
        self.rows: list[tuple[float, float, float, float]] = []  # ref_db, peak, clipped_fraction, padded_seconds

    def add(self, segment: Samples, padded_samples: int) -> None:
        peak = float(max(segment.max(), -segment.min()))
        if not peak <= MAX_PEAK:  # also true of NaN
            raise ItemError("undecodable", f"{self.name} holds samples that are not audio ({peak:g} of full scale)")
        mel = melspectrogram_db(segment, self.settings)
        ref_db = float(mel.max())
        self.stored.append(quantise(mel, ref_db, self.settings))
        clipped = np.count_nonzero(np.abs(segment) >= CLIPPED_LEVEL) / len(segment) if peak >= CLIPPED_LEVEL else 0.0
        self.rows.append((ref_db, peak, clipped, padded_samples / self.settings.sample_rate_hz))

    def track(self) -> TrackMels:
        ref_db, peak, clipped, padded = np.array(self.rows, np.float32).reshape(-1, 4).T.copy()
        return TrackMels(np.stack(self.stored), ref_db, peak, peak < SILENT_PEAK, clipped, padded)


def melspectrogram_db(segment: Samples, settings: MelSettings) -> NDArray[np.float32]:
    """Return the power mel-spectrogram of one segment in decibels, shape (bands, frames)."""
    bank = filter_bank(settings)
    mel = np.empty(settings.shape, np.float32)
    mel_power(_padded(segment, settings), settings.hop_samples, bank.indptr, bank.indices, bank.data, mel)
    np.maximum(mel, np.float32(settings.power_floor), out=mel)
    np.log10(mel, out=mel)
    np.multiply(mel, np.float32(10), out=mel)
    return mel


def _padded(segment: Samples, settings: MelSettings) -> Samples:
    """Return the segment padded by reflection, half a frame at each end, and by zeros for the last lanes."""
    half, length = settings.n_fft // 2, len(segment)
    padded = np.zeros(length + 2 * half + LANES * settings.hop_samples, np.float32)
    padded[half : half + length] = segment
    padded[:half] = segment[half:0:-1]
    padded[half + length : length + 2 * half] = segment[-2 : -half - 2 : -1]
    return padded


def quantise(mel: NDArray[np.float32], ref_db: float, settings: MelSettings) -> NDArray[np.uint8] | NDArray[np.float16]:
    """Return decibels as stored: 255 steps over the span below `ref_db` (error: half a step at most), or float16."""
    if settings.encoding == "float16":
        return mel.astype(np.float16)
    steps = mel - np.float32(ref_db - settings.span_db)
    steps *= np.float32(255 / settings.span_db)
    steps += np.float32(0.5)
    np.maximum(steps, 0, out=steps)
    return steps.astype(np.uint8)


@lru_cache(maxsize=2)
def filter_bank(settings: MelSettings) -> scipy.sparse.csr_matrix:
    """Return the triangular filters, shape (bands, n_fft / 2 + 1).

    On the Slaney scale they have unit area, on the HTK scale unit height.

    Equal to `librosa.filters.mel`, which is not called because importing librosa takes a worker seconds. On the HTK
    scale the lowest bands are narrower than a bin of the spectrum, and some hold none: they are silent.
    """
    bins_hz = np.linspace(0, settings.sample_rate_hz / 2, settings.n_fft // 2 + 1)
    corners_hz = band_corners_hz(settings)
    widths_hz = np.diff(corners_hz)
    slopes = corners_hz[:, None] - bins_hz[None, :]
    rising, falling = -slopes[:-2] / widths_hz[:-1, None], slopes[2:] / widths_hz[1:, None]
    weights = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    if settings.mel_norm == "slaney":
        weights *= (2.0 / (corners_hz[2:] - corners_hz[:-2]))[:, None].astype(np.float32)
    return scipy.sparse.csr_matrix(weights)


def band_corners_hz(settings: MelSettings) -> NDArray[np.float64]:
    """Return where the mel bands begin, peak and end, shape (bands + 2,): band b has the corners b, b + 1 and b + 2."""
    hz_to_mel, mel_to_hz = _SCALES[settings.mel_scale]
    low, high = hz_to_mel(settings.lowest_hz), hz_to_mel(settings.highest_hz)
    return mel_to_hz(np.linspace(low, high, settings.mel_bands + 2))


LINEAR_HZ_PER_MEL = 200 / 3
BREAK_HZ, BREAK_MEL = 1000.0, 15.0
LOG_STEP = np.log(6.4) / 27
"""Slaney's scale (Auditory Toolbox, 1998): linear to 1 kHz, then 27 steps per factor of 6.4."""


def _slaney_mel(hz: float) -> float:
    return hz / LINEAR_HZ_PER_MEL if hz < BREAK_HZ else BREAK_MEL + float(np.log(hz / BREAK_HZ)) / LOG_STEP


def _slaney_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    above = BREAK_HZ * np.exp(LOG_STEP * (mel - BREAK_MEL))
    return np.where(mel < BREAK_MEL, mel * LINEAR_HZ_PER_MEL, above)


def _htk_mel(hz: float) -> float:
    """Return mel by the formula of HTK and torchaudio."""
    return 2595 * float(np.log10(1 + hz / 700))


def _htk_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return 700 * (10 ** (mel / 2595) - 1)


_SCALES: dict[str, tuple[Callable[[float], float], Callable[[NDArray[np.float64]], NDArray[np.float64]]]] = {
    "slaney": (_slaney_mel, _slaney_hz),
    "htk": (_htk_mel, _htk_hz),
}
