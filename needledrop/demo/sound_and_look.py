"""What a mood says to the composer and to the draughtsman: the fields of its sound and of its look."""

from __future__ import annotations

from dataclasses import dataclass

Colour = tuple[int, int, int]

MAJOR = (0, 2, 4, 5, 7, 9, 11)
MINOR = (0, 2, 3, 5, 7, 8, 10)
HARMONIC_MINOR = (0, 2, 3, 5, 7, 8, 11)
DORIAN = (0, 2, 3, 5, 7, 9, 10)
PHRYGIAN = (0, 1, 3, 5, 7, 8, 10)
LYDIAN = (0, 2, 4, 6, 7, 9, 11)
MIXOLYDIAN = (0, 2, 4, 5, 7, 9, 10)
MINOR_PENTATONIC = (0, 3, 5, 7, 10)


@dataclass(frozen=True)
class Sound:
    """How the mood sounds.

    Voices are names in `voices.VOICES`; drums map an instrument to sixteen steps of a bar, x a hit and o a soft one.
    """

    bpm: tuple[int, int]
    scale: tuple[int, ...]
    """Semitones above the root, one octave."""
    progressions: tuple[tuple[int, ...], ...]
    """Chords by scale degree, one a bar."""
    chords: str
    """How chords are played: one of the styles in `score.CHORD_STYLES`."""
    chord_voice: str
    lead_voices: tuple[str, ...]
    lead_octave: int
    """Octaves above the root of the melody."""
    lead_steps: float
    """Share of the eighths on which the melody moves."""
    bass: str
    """One of the styles in `score.BASS_STYLES`."""
    bass_voice: str
    drums: dict[str, str]
    texture: str
    swing: float
    """Delay of the off-beat eighths, in eighths."""
    loudness_db: float
    """RMS of the finished track, relative to full scale."""
    reverb: float
    """Share of reverberation, 0 to 1."""


@dataclass(frozen=True)
class Look:
    """How the mood looks on a poster."""

    sky: tuple[Colour, Colour]
    """The gradient's top and bottom."""
    ink: Colour
    """Silhouettes."""
    accent: Colour
    lettering: Colour
    motif: str
    """The composition: a function in `posters.MOTIFS`."""
    grain: float
    """Strength of the paper grain, in grey levels."""
