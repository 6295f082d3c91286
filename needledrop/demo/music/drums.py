"""The unpitched instruments: one hit of a drum, and the backgrounds that lie under a whole track."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from needledrop.demo.music.voices import NOISE_LOOP, Samples, noise, note


def _time(seconds: float, rate_hz: int) -> Samples:
    return np.arange(int(seconds * rate_hz), dtype=np.float32) / np.float32(rate_hz)


def _skin(low_hz: float, drop_hz: float, decay: float) -> Callable[[int], Samples]:
    """A drum whose pitch falls by `drop_hz` in the first hundredths of a second."""

    def hit(rate_hz: int) -> Samples:
        time = _time(decay * 5, rate_hz)
        turns = low_hz * time + drop_hz * 0.03 * (1.0 - np.exp(-time / 0.03))
        return np.asarray(np.exp(-time / decay) * np.sin(2 * np.pi * turns), np.float32)

    return hit


def _rattle(decay: float, edge: int, gain: float) -> Callable[[int], Samples]:
    """Decaying noise, differentiated `edge` times: the more often, the thinner."""

    def hit(rate_hz: int) -> Samples:
        time = _time(decay * 5, rate_hz)
        thin = np.diff(noise(len(time), edge), n=edge, prepend=np.zeros(edge, np.float32))
        return np.asarray(gain * np.exp(-time / decay) * thin, np.float32)

    return hit


def _snare(rate_hz: int) -> Samples:
    time = _time(0.35, rate_hz)
    rattle = 1.4 * noise(len(time), 3) + 0.4 * np.sin(2 * np.pi * 190 * time)
    return np.asarray(np.exp(-time / 0.07) * rattle, np.float32)


def _wood(rate_hz: int) -> Samples:
    time = _time(0.12, rate_hz)
    knock = np.sin(2 * np.pi * 1150 * time) + 0.5 * np.sin(2 * np.pi * 1870 * time)
    return np.asarray(np.exp(-time / 0.02) * knock, np.float32)


def _heart(rate_hz: int) -> Samples:
    beat = _skin(42.0, 30.0, 0.09)(rate_hz)
    return np.asarray(np.concatenate([beat, 0.7 * beat]), np.float32)


DRUMS: dict[str, Callable[[int], Samples]] = {
    "kick": _skin(48.0, 180.0, 0.09),
    "tom": _skin(92.0, 60.0, 0.16),
    "heart": _heart,
    "snare": _snare,
    "clap": _rattle(0.05, 1, 1.1),
    "hat": _rattle(0.025, 2, 0.5),
    "shaker": _rattle(0.05, 2, 0.3),
    "tambourine": _rattle(0.06, 2, 0.45),
    "cymbal": _rattle(0.5, 1, 0.6),
    "wood": _wood,
    "rim": _rattle(0.012, 1, 1.4),
}


@lru_cache(maxsize=64)
def drum(name: str, rate_hz: int) -> Samples:
    """One hit at unit gain. Float32 [n]."""
    return DRUMS[name](rate_hz)


def texture(name: str, samples: int, rate_hz: int, seed: int) -> Samples:
    """A background over a whole track: rain, wind, breath or sparkle. Float32 [samples]."""
    if name == "sparkle":
        return _sparkle(samples, rate_hz, seed)
    if name == "rain":
        return noise(samples, seed) * np.abs(noise(samples, seed + 1))
    width, period_seconds = (40, 7.0) if name == "wind" else (90, 4.4)
    start = seed % NOISE_LOOP
    soft = np.tile(_soft_noise(width), (start + samples) // NOISE_LOOP + 1)[start : start + samples]
    swell = 0.5 - 0.5 * np.cos(2 * np.pi / period_seconds * _time(samples / rate_hz + 0.001, rate_hz)[:samples])
    return np.asarray(soft * swell, np.float32)


@lru_cache(maxsize=2)
def _soft_noise(width: int) -> Samples:
    """The loop of noise averaged over `width` samples, as loud as before."""
    loop = noise(NOISE_LOOP, 0)
    total = np.cumsum(np.concatenate([loop[-width:], loop]), dtype=np.float64)
    return np.asarray((total[width:] - total[:-width]) / np.sqrt(width), np.float32)


def _sparkle(samples: int, rate_hz: int, seed: int) -> Samples:
    """Tiny high bells at random, three a second."""
    rng = np.random.default_rng(seed)
    bells = [note("celesta", 93 + 2 * step, 0.25, rate_hz) for step in range(6)]
    sound = np.zeros(samples + len(bells[0]), np.float32)
    for start in rng.integers(0, samples, int(3 * samples / rate_hz)):
        bell = bells[int(rng.integers(6))]
        sound[start : start + len(bell)] += bell * np.float32(rng.uniform(0.2, 0.7))
    return sound[:samples]
