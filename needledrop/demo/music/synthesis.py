"""Synthesise the instruments, and play a score with them: notes and hits mixed, with reverberation, at its loudness.

A voice is a wavetable of harmonics, bright at the attack and duller later, under an envelope; bells add
partials that are not harmonic. Everything is float32 and vectorised, so a note costs two table look-ups
per sample however rich it is.

Each different note of a score is synthesised once and added wherever it appears, so a track of half a minute takes
about a twentieth of a second. The same score gives the same samples on one machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from needledrop.demo.music.score import Score

Samples = npt.NDArray[np.float32]

TABLE = 2048
"""Samples of one cycle: with linear decay of partials, look-up noise stays below -60 dB."""
NOISE_LOOP = 1 << 18
"""Samples of the loop from which all noise is taken, 5.5 s at 48 kHz: too long to be heard as a loop."""
HIGHEST_HZ = 11_000.0
"""No partial above this: the mel-spectrograms end at 11,025 Hz."""
COMBS_MS = ((29.7, 37.1, 41.1), (31.3, 35.9, 43.7))
"""Delays of the reverberation, left and right: Schroeder's comb filters, mutually prime in spirit."""
FADE_OUT_SECONDS = 1.0


@dataclass(frozen=True)
class Voice:
    """One pitched instrument. Times in seconds."""

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
    """Return one note at unit gain, `seconds` plus the voice's release long: float32 [n]."""
    voice = VOICES[name]
    total = seconds + voice.release
    time = _time(total, rate_hz)
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
    """Return one cycle with the given harmonics at unit RMS; phases are spread so that peaks stay low."""
    numbers = np.arange(1, harmonics + 1)
    amplitudes = numbers**-tilt * np.where(numbers % 2 == 0, evens, 1.0)
    spectrum = np.zeros(TABLE // 2 + 1, np.complex128)
    spectrum[1 : harmonics + 1] = amplitudes * np.exp(1j * np.pi * numbers**2 / (harmonics + 1))
    cycle = np.fft.irfft(spectrum)
    return np.asarray(cycle / np.sqrt(np.mean(cycle**2)), np.float32)


def noise(samples: int, seed: int) -> Samples:
    """Return white noise, taken from one loop at an offset that the seed decides: float32 [samples]."""
    start = seed * 7919 % NOISE_LOOP
    return np.tile(_noise_loop(), (start + samples) // NOISE_LOOP + 1)[start : start + samples]


@lru_cache(maxsize=1)
def _noise_loop() -> Samples:
    return np.random.default_rng(1).standard_normal(NOISE_LOOP, np.float32) * np.float32(0.33)


def _time(seconds: float, rate_hz: int) -> Samples:
    return np.arange(int(seconds * rate_hz), dtype=np.float32) / np.float32(rate_hz)


def _skin(low_hz: float, drop_hz: float, decay: float) -> Callable[[int], Samples]:
    """Return a drum whose pitch falls by `drop_hz` in the first hundredths of a second."""

    def hit(rate_hz: int) -> Samples:
        time = _time(decay * 5, rate_hz)
        cycles = low_hz * time + drop_hz * 0.03 * (1.0 - np.exp(-time / 0.03))
        return np.asarray(np.exp(-time / decay) * np.sin(2 * np.pi * cycles), np.float32)

    return hit


def _rattle(decay: float, edge: int, gain: float) -> Callable[[int], Samples]:
    """Return a drum of decaying noise, differentiated `edge` times: the more often, the thinner."""

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
    """Return one hit at unit gain: float32 [n]."""
    return DRUMS[name](rate_hz)


def _rain(samples: int, rate_hz: int, seed: int) -> Samples:
    return noise(samples, seed) * np.abs(noise(samples, seed + 1))


def _swelling(width: int, period_seconds: float) -> Callable[[int, int, int], Samples]:
    """Return a texture of soft noise that swells and fades once per period."""

    def play(samples: int, rate_hz: int, seed: int) -> Samples:
        start = seed % NOISE_LOOP
        soft = np.tile(_soft_noise(width), (start + samples) // NOISE_LOOP + 1)[start : start + samples]
        swell = 0.5 - 0.5 * np.cos(2 * np.pi / period_seconds * _time(samples / rate_hz + 0.001, rate_hz)[:samples])
        return np.asarray(soft * swell, np.float32)

    return play


@lru_cache(maxsize=2)
def _soft_noise(width: int) -> Samples:
    """Return the loop of noise averaged over `width` samples, at the same loudness."""
    loop = noise(NOISE_LOOP, 0)
    total = np.cumsum(np.concatenate([loop[-width:], loop]), dtype=np.float64)
    return np.asarray((total[width:] - total[:-width]) / np.sqrt(width), np.float32)


def _sparkle(samples: int, rate_hz: int, seed: int) -> Samples:
    """Return tiny high bells at random times, three per second."""
    rng = np.random.default_rng(seed)
    bells = [note("celesta", 93 + 2 * step, 0.25, rate_hz) for step in range(6)]
    sound = np.zeros(samples + len(bells[0]), np.float32)
    for start in rng.integers(0, samples, int(3 * samples / rate_hz)):
        bell = bells[int(rng.integers(6))]
        sound[start : start + len(bell)] += bell * np.float32(rng.uniform(0.2, 0.7))
    return sound[:samples]


TEXTURES: dict[str, Callable[[int, int, int], Samples]] = {
    "rain": _rain,
    "wind": _swelling(40, 7.0),
    "breath": _swelling(90, 4.4),
    "sparkle": _sparkle,
}


def texture(name: str, samples: int, rate_hz: int, seed: int) -> Samples:
    """Return a background noise for a whole track: float32 [samples]."""
    return TEXTURES[name](samples, rate_hz, seed)


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
