"""The pitched instruments: one note of a voice.

A voice is a wavetable of harmonics, bright at the attack and duller later, under an envelope;
bells add partials that are not harmonic. Everything is float32 and vectorised, so a note costs two
table look-ups a sample however rich it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]

TABLE = 2048
"""Samples of one cycle: with linear decay of partials, look-up noise stays below -60 dB."""
NOISE_LOOP = 1 << 18
"""Samples of the loop from which all noise is cut, 5.5 s at 48 kHz: too long to be heard as a loop."""
HIGHEST_HZ = 11_000.0
"""No partial above this: the mel-spectrograms end at 11,025 Hz."""


@dataclass(frozen=True)
class Voice:
    """One instrument. Times in seconds."""

    tilt: float
    """Fall of the harmonics: amplitude n ** -tilt."""
    evens: float = 1.0
    """Weight of the even harmonics: a clarinet has few."""
    attack: float = 0.01
    decay: float = 1.0
    """Time constant towards `sustain`."""
    sustain: float = 0.0
    release: float = 0.08
    dulling: float = 0.4
    """Time constant from the bright cycle to the dull one."""
    dull: float = 1.2
    """Extra tilt of the dull cycle."""
    vibrato: float = 0.0
    """Depth in semitones, at 5.3 Hz."""
    breath: float = 0.0
    """Share of noise."""
    partials: tuple[tuple[float, float, float], ...] = ()
    """(ratio, amplitude, decay in seconds) of a struck body; replaces the cycle."""


VOICES: dict[str, Voice] = {
    "drone": Voice(0.9, attack=0.9, decay=9.0, sustain=0.9, release=1.2, dulling=5.0, dull=0.4, breath=0.03),
    "bow": Voice(
        0.7, evens=0.5, attack=0.6, decay=4.0, sustain=0.8, release=0.7, dulling=2.0, vibrato=0.5, breath=0.04
    ),
    "glass": Voice(0, release=0.6, partials=((1, 1, 1.6), (2.32, 0.5, 1.1), (4.25, 0.35, 0.7), (6.63, 0.2, 0.4))),
    "bell": Voice(0, release=0.5, partials=((1, 1, 1.9), (2, 0.5, 1.2), (3.01, 0.3, 0.7), (5.4, 0.25, 0.35))),
    "celesta": Voice(0, release=0.4, partials=((1, 1, 0.9), (4, 0.35, 0.3), (9.2, 0.12, 0.1))),
    "vibes": Voice(0, release=0.3, partials=((1, 1, 1.1), (3.98, 0.22, 0.35))),
    "marimba": Voice(0, release=0.1, partials=((1, 1, 0.3), (3.93, 0.4, 0.09), (9.2, 0.15, 0.04))),
    "piano": Voice(1.4, attack=0.005, decay=0.9, release=0.18, dulling=0.3, dull=1.4),
    "guitar": Voice(1.1, attack=0.004, decay=0.8, release=0.15, dulling=0.15, dull=1.3),
    "lute": Voice(0.7, evens=0.8, attack=0.003, decay=0.35, release=0.08, dulling=0.12, dull=1.1),
    "zither": Voice(0.5, attack=0.002, decay=0.7, release=0.2, dulling=0.3, dull=0.9),
    "pizzicato": Voice(1.1, attack=0.004, decay=0.13, release=0.05, dulling=0.05, dull=1.6),
    "upright": Voice(1.5, attack=0.008, decay=0.3, release=0.06, dulling=0.1, dull=1.0),
    "epiano": Voice(1.9, evens=0.35, attack=0.004, decay=0.7, release=0.1, dulling=0.12, dull=2.0),
    "flute": Voice(2.4, evens=0.6, attack=0.07, decay=3.0, sustain=0.8, release=0.12, vibrato=0.18, breath=0.05),
    "whistle": Voice(3.2, attack=0.11, decay=4.0, sustain=0.9, release=0.2, vibrato=0.3, breath=0.03),
    "fiddle": Voice(1.0, attack=0.08, decay=3.0, sustain=0.8, release=0.12, dulling=1.0, dull=0.3, vibrato=0.25),
    "cello": Voice(1.3, attack=0.14, decay=4.0, sustain=0.8, release=0.25, dulling=1.5, dull=0.4, vibrato=0.2),
    "strings": Voice(1.5, attack=0.5, decay=6.0, sustain=0.9, release=0.5, dulling=2.0, dull=0.3, vibrato=0.12),
    "horn": Voice(1.5, attack=0.06, decay=2.0, sustain=0.8, release=0.1, dulling=0.8, dull=0.4),
    "brass": Voice(0.75, attack=0.03, decay=1.2, sustain=0.7, release=0.07, dulling=0.5, dull=0.3),
    "muted": Voice(0.5, evens=1.2, attack=0.03, decay=0.8, sustain=0.5, release=0.08, dulling=0.5, dull=0.2),
    "tuba": Voice(1.7, attack=0.02, decay=0.6, sustain=0.5, release=0.06, dulling=0.3, dull=0.5),
    "bassoon": Voice(1.0, evens=0.7, attack=0.02, decay=0.5, sustain=0.4, release=0.05, dulling=0.3, dull=0.4),
    "clarinet": Voice(1.0, evens=0.08, attack=0.04, decay=2.0, sustain=0.8, release=0.09, dulling=0.6, dull=0.5),
    "saw": Voice(0.55, attack=0.004, decay=0.2, sustain=0.35, release=0.03, dulling=0.15, dull=0.5),
    "accordion": Voice(0.6, evens=0.9, attack=0.03, decay=2.0, sustain=0.9, release=0.05, vibrato=0.22, dull=0.1),
}


def note(name: str, midi: float, seconds: float, rate_hz: int) -> Samples:
    """One note at unit gain, `seconds` plus the voice's release long. Float32 [n]."""
    voice = VOICES[name]
    total = seconds + voice.release
    time = np.arange(int(total * rate_hz), dtype=np.float32) / np.float32(rate_hz)
    pitch_hz = 440.0 * 2.0 ** ((midi - 69.0) / 12.0)
    sound = _struck(voice, time, pitch_hz) if voice.partials else _cycled(voice, time, pitch_hz)
    if voice.breath:
        sound = sound + voice.breath * 3.0 * noise(len(time), int(midi))
    return _envelope(voice, time, seconds) * sound


def _envelope(voice: Voice, time: Samples, seconds: float) -> Samples:
    level = np.minimum(1.0, (time + 1e-4) / voice.attack)
    level = level * (voice.sustain + (1.0 - voice.sustain) * np.exp(-time / voice.decay))
    fade = np.clip((seconds + voice.release - time) / voice.release, 0.0, 1.0)
    return np.asarray(level * fade, np.float32)


def _struck(voice: Voice, time: Samples, pitch_hz: float) -> Samples:
    sound = np.zeros(len(time), np.float32)
    for ratio, amplitude, decay in voice.partials:
        if ratio * pitch_hz < HIGHEST_HZ:
            sound += amplitude * np.exp(-time / decay) * np.sin(np.float32(2 * np.pi * ratio * pitch_hz) * time)
    return sound * np.float32(0.7)


def _cycled(voice: Voice, time: Samples, pitch_hz: float) -> Samples:
    phase = time * np.float32(pitch_hz)
    if voice.vibrato:
        bend = 2.0 ** (voice.vibrato / 12.0) - 1.0
        phase = phase + np.float32(bend * pitch_hz / (2 * np.pi * 5.3)) * np.sin(np.float32(2 * np.pi * 5.3) * time)
    steps = ((phase - np.floor(phase)) * TABLE).astype(np.int32) & (TABLE - 1)
    harmonics = max(1, min(48, int(HIGHEST_HZ / pitch_hz)))
    bright = _cycle(voice.tilt, voice.evens, harmonics)
    dull = _cycle(voice.tilt + voice.dull, voice.evens, harmonics)
    late = dull[steps]
    return np.asarray(late + np.exp(-time / voice.dulling) * (bright[steps] - late), np.float32)


@lru_cache(maxsize=1024)
def _cycle(tilt: float, evens: float, harmonics: int) -> Samples:
    """One cycle with the given harmonics, at unit RMS; phases are spread so that peaks stay low."""
    numbers = np.arange(1, harmonics + 1)
    amplitudes = numbers**-tilt * np.where(numbers % 2 == 0, evens, 1.0)
    spectrum = np.zeros(TABLE // 2 + 1, np.complex128)
    spectrum[1 : harmonics + 1] = amplitudes * np.exp(1j * np.pi * numbers**2 / (harmonics + 1))
    cycle = np.fft.irfft(spectrum)
    return np.asarray(cycle / np.sqrt(np.mean(cycle**2)), np.float32)


def noise(samples: int, seed: int) -> Samples:
    """White noise, cut from one loop at a place that the seed decides. Float32 [samples]."""
    start = seed * 7919 % NOISE_LOOP
    return np.tile(_noise_loop(), (start + samples) // NOISE_LOOP + 1)[start : start + samples]


@lru_cache(maxsize=1)
def _noise_loop() -> Samples:
    return np.random.default_rng(1).standard_normal(NOISE_LOOP, np.float32) * np.float32(0.33)
