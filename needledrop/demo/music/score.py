"""Compose one track of a film: from its mood to the notes and drum hits of a score.

A track moves a motif over a chord progression in the scale of the mood, with an accompaniment, a bass
and drums in the style of the mood. The motif belongs to the film and returns in all of its tracks; the
answering instrument belongs to the film's country.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from needledrop.demo.films import Film
from needledrop.demo.moods import Sound

Figure = list[tuple[float, float, int, float]]
"""One bar of an accompaniment: (beat, length in beats, MIDI pitch, gain)."""

BEATS_PER_BAR = 4
ROOT_MIDI = 45
"""A2: the lowest root; the film's key is up to an octave above."""
SCALES: dict[str, tuple[int, ...]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "harmonic_minor": (0, 2, 3, 5, 7, 8, 11),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "minor_pentatonic": (0, 3, 5, 7, 10),
}
"""Semitones above the root, one octave."""


@dataclass(frozen=True)
class Note:
    """One note of one voice."""

    voice: str
    start_seconds: float
    seconds: float
    midi: int
    gain: float
    pan: float
    """-1 left, 1 right."""


@dataclass(frozen=True)
class Hit:
    """One hit of one drum."""

    drum: str
    start_seconds: float
    gain: float


@dataclass(frozen=True)
class Score:
    """One track, ready to be played."""

    notes: tuple[Note, ...]
    hits: tuple[Hit, ...]
    textures: tuple[tuple[str, float], ...]
    """Backgrounds with their gains."""
    seconds: float
    loudness_db: float
    reverb: float
    seed: int


def pitch(scale: tuple[int, ...], degree: int) -> int:
    """Return the semitones above the root of a scale degree, which may lie outside the octave."""
    octave, step = divmod(degree, len(scale))
    return 12 * octave + scale[step]


def _chord(root: int, scale: tuple[int, ...], degree: int, tones: int = 4) -> list[int]:
    return [root + pitch(scale, degree + 2 * tone) for tone in range(tones)]


def _block(chord: list[int], beats: tuple[float, ...], length: float, gain: float) -> Figure:
    return [(beat, length, tone, gain) for beat in beats for tone in chord[:3]]


def _shimmer(chord: list[int]) -> Figure:
    ladder = [*chord[:3], *(tone + 12 for tone in chord)]
    return [(step / 2, 1.0, ladder[(0, 2, 4, 6, 5, 3, 4, 1)[step]] + 12, 0.5) for step in range(8)]


CHORD_STYLES: dict[str, Callable[[list[int]], Figure]] = {
    "pad": lambda chord: _block(chord, (0.0,), 4.0, 0.5),
    "cluster": lambda chord: [(0.0, 4.0, chord[0] + up, 0.45) for up in (0, 1, 6)],
    "open": lambda chord: [(0.0, 3.6, chord[0], 0.6), (0.5, 3.2, chord[0] + 7, 0.5), (1.0, 2.8, chord[0] + 12, 0.4)],
    "arpeggio": lambda chord: [(step / 2, 1.2, chord[(0, 2, 1, 2, 3, 2, 1, 2)[step]] + 12, 0.5) for step in range(8)],
    "march": lambda chord: _block(chord, (0.0, 0.75, 1.0, 2.0, 2.75, 3.0), 0.45, 0.45),
    "oompah": lambda chord: _block([tone + 12 for tone in chord], (1.0, 3.0), 0.3, 0.7),
    "pulse": lambda chord: [(step / 2, 0.3, chord[0] + (12 if step % 3 == 0 else 7), 0.5) for step in range(8)],
    "shimmer": _shimmer,
    "stabs": lambda chord: [(beat, 0.4, tone, 0.5) for beat in (1.5, 3.0) for tone in chord],
    "offbeat": lambda chord: _block([tone + 12 for tone in chord], (0.5, 1.5, 2.5, 3.5), 0.3, 0.5),
}

BASS_STYLES: dict[str, Callable[[list[int]], Figure]] = {
    "none": lambda chord: [],
    "long": lambda chord: [(0.0, 3.8, chord[0] - 12, 0.8)],
    "fifths": lambda chord: [(0.0, 0.8, chord[0] - 12, 1.0), (2.0, 0.8, chord[2] - 12, 0.9)],
    "octaves": lambda chord: [(step / 2, 0.4, chord[0] - 12 * (1 - step % 2), 0.8) for step in range(8)],
    "sixteenths": lambda chord: [(step / 4, 0.18, chord[0] - 12, 0.9 if step % 3 == 0 else 0.6) for step in range(16)],
    "walking": lambda chord: (
        [(float(beat), 0.85, chord[beat] - 12, 1.0) for beat in (0, 1, 2)] + [(3.0, 0.85, chord[0] - 11, 0.9)]
    ),
}


def compose(film: Film, number: int, seconds: float) -> Score:
    """Return track `number` of a film as a score of the given length."""
    rng = film.random_stream("track", number)
    sound, second = film.main.sound, film.second.sound
    slow, fast = sound.bpm
    second_share = 0.15 if number % 3 == 2 else 0.05
    bpm = rng.uniform(slow, fast) * (1 - second_share) + second_share * sum(second.bpm) / 2
    beat = 60.0 / bpm
    root = ROOT_MIDI + film.key
    scale = SCALES[sound.scale]
    bars = int(seconds / (BEATS_PER_BAR * beat)) + 1
    progression = film.random_stream("progression").choice(sound.progressions)
    chords = [_chord(root, scale, progression[bar % len(progression)]) for bar in range(bars)]
    notes = [
        *_layer(CHORD_STYLES[sound.chords], chords, sound.chord_voice, beat, sound.swing, 0.5, 0.35),
        *_layer(BASS_STYLES[sound.bass], chords, sound.bass_voice, beat, sound.swing, 0.55, 0.0),
        *_melody(film, rng, progression, bars, beat),
    ]
    textures = [(sound.texture, 0.12), (second.texture, 0.04)]
    return Score(
        tuple(note for note in notes if note.start_seconds < seconds),
        tuple(_drumming(sound, bars, beat, rng)),
        tuple((name, gain) for name, gain in textures if name != "none"),
        seconds,
        sound.loudness_db + rng.uniform(-1.5, 1.5),
        sound.reverb,
        rng.getrandbits(31),
    )


def _layer(
    style: Callable[[list[int]], Figure],
    chords: list[list[int]],
    voice: str,
    beat: float,
    swing: float,
    gain: float,
    width: float,
) -> list[Note]:
    """Play a figure over every chord, its tones spread over the stereo width."""
    notes = []
    for bar, chord in enumerate(chords):
        for number, (at, length, midi, loud) in enumerate(style(chord)):
            start = (bar * BEATS_PER_BAR + _swung(at, swing)) * beat
            pan = width * (-1.0 if number % 2 else 1.0)
            notes.append(Note(voice, start, length * beat, midi, gain * loud, pan))
    return notes


def _melody(film: Film, rng: random.Random, progression: tuple[int, ...], bars: int, beat: float) -> list[Note]:
    """Return the film's two-bar motif over the chords, played in turn by the mood's voice and the country's."""
    sound = film.main.sound
    motif = _motif(film.random_stream("motif"), sound.lead_steps)
    lead = film.random_stream("lead").choice(sound.lead_voices)
    lowest = ROOT_MIDI + film.key + 12 * sound.lead_octave + 12
    notes = []
    for bar in range(0, bars, 2):
        answering = (bar // 2) % 2 == 1
        for index, (at, length, degree) in enumerate(motif):
            variation = rng.choice((-1, 1, 2)) if index and rng.random() < 0.2 else 0
            chord_degree = progression[(bar + int(at >= BEATS_PER_BAR)) % len(progression)]
            midi = lowest + pitch(SCALES[sound.scale], chord_degree + degree + variation)
            start = (bar * BEATS_PER_BAR + _swung(at, sound.swing)) * beat
            voice = film.country.answer_voice if answering else lead
            notes.append(Note(voice, start, min(length * beat, 3.0), midi, 0.55, 0.3 if answering else -0.15))
    return notes


def _motif(rng: random.Random, steps: float) -> list[tuple[float, float, int]]:
    """Return two bars as (beat, length in beats, degrees above the chord), from the first beat on in small steps."""
    onsets = [0, *(eighth for eighth in range(1, 15) if rng.random() < steps)]
    degree = rng.choice((0, 2, 4))
    motif = []
    for onset, following in zip(onsets, [*onsets[1:], 16], strict=True):
        motif.append((onset / 2, (following - onset) / 2, degree))
        degree = max(-3, min(7, degree + rng.choice((-2, -1, -1, 1, 1, 2, 3))))
    return motif


def _drumming(sound: Sound, bars: int, beat: float, rng: random.Random) -> list[Hit]:
    hits = []
    for drum, pattern in sound.drums.items():
        for bar in range(bars):
            for step, stroke in enumerate(pattern):
                if stroke != "." and not (stroke == "o" and rng.random() < 0.1):
                    start = (bar * BEATS_PER_BAR + _swung(step / 4, sound.swing)) * beat
                    hits.append(Hit(drum, start, 0.5 if stroke == "x" else 0.25))
    return hits


def _swung(beat: float, swing: float) -> float:
    """Return when a beat is played: off-beat eighths come later."""
    return beat + swing / 2 if beat % 1.0 == 0.5 else beat
