"""Play a score: its notes and hits mixed, with reverberation, at its loudness.

Each different note of a score is synthesised once and added wherever it appears, so a track of half a minute takes
about a twentieth of a second. The same score gives the same samples on one machine.
"""

from __future__ import annotations

import numpy as np

from needledrop.demo.music.instruments import Samples, drum, note, texture
from needledrop.demo.music.score import Score

COMBS_MS = ((29.7, 37.1, 41.1), (31.3, 35.9, 43.7))
"""Delays of the reverberation, left and right: Schroeder's comb filters, mutually prime in spirit."""
FADE_OUT_SECONDS = 1.0


def perform(score: Score, rate_hz: int) -> Samples:
    """Return the samples of a score, within -1 and 1, at its loudness: float32 [2, samples]."""
    samples = int(score.seconds * rate_hz)
    mix = np.zeros((2, samples), np.float32)
    _play_notes(score, mix, rate_hz)
    _play_hits(score, mix, rate_hz)
    for name, gain in score.textures:
        mix += texture(name, samples, rate_hz, score.seed) * np.float32(gain)
    if score.reverb > 0:
        _reverberate(mix, score.reverb, rate_hz)
    return _master(mix, score.loudness_db, rate_hz)


def _play_notes(score: Score, mix: Samples, rate_hz: int) -> None:
    rendered: dict[tuple[str, int, float], Samples] = {}
    for played in score.notes:
        key = (played.voice, played.midi, round(played.seconds, 2))
        if key not in rendered:
            rendered[key] = note(played.voice, played.midi, key[2], rate_hz)
        _add(mix[0], rendered[key], played.start_seconds, played.gain * (1.0 - 0.5 * played.pan) * 0.5, rate_hz)
        _add(mix[1], rendered[key], played.start_seconds, played.gain * (1.0 + 0.5 * played.pan) * 0.5, rate_hz)


def _play_hits(score: Score, mix: Samples, rate_hz: int) -> None:
    for hit in score.hits:
        for channel in mix:
            _add(channel, drum(hit.drum, rate_hz), hit.start_seconds, hit.gain, rate_hz)


def _add(channel: Samples, sound: Samples, start_seconds: float, gain: float, rate_hz: int) -> None:
    start = int(start_seconds * rate_hz)
    if start < len(channel):
        span = channel[start : start + len(sound)]
        span += sound[: len(span)] * np.float32(gain)


def _reverberate(mix: Samples, share: float, rate_hz: int) -> None:
    dry = (mix[0] + mix[1]) * np.float32(0.5 * share / len(COMBS_MS[0]))
    feedback = np.float32(0.55 + 0.4 * share)
    for channel, delays in enumerate(COMBS_MS):
        for delay_ms in delays:
            mix[channel] += _comb(dry, int(delay_ms * rate_hz / 1000), feedback)


def _comb(dry: Samples, delay: int, feedback: np.float32) -> Samples:
    """Return y[n] = x[n - delay] + feedback * y[n - delay], computed one delay at a time."""
    rows = -(-len(dry) // delay)
    wet = np.zeros((rows + 1, delay), np.float32)
    wet.reshape(-1)[delay : delay + len(dry)] = dry
    for row in range(1, rows + 1):
        wet[row] += feedback * wet[row - 1]
    return wet.reshape(-1)[: len(dry)]


def _master(mix: Samples, loudness_db: float, rate_hz: int) -> Samples:
    """Return the mix at the given RMS, softly limited, with a short fade in and a longer one out."""
    level = np.float32(10.0 ** (loudness_db / 20.0))
    mix *= level / (np.sqrt(np.mean(mix**2)) + np.float32(1e-9))
    sound = np.tanh(mix)
    fade_in, fade_out = rate_hz // 50, int(FADE_OUT_SECONDS * rate_hz)
    sound[:, :fade_in] *= np.linspace(0, 1, fade_in, dtype=np.float32)
    sound[:, -fade_out:] *= np.linspace(1, 0, fade_out, dtype=np.float32)
    return sound
