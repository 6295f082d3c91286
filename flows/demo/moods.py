"""The ten moods as data: what each one does to the music, the poster and the genre.

This table is the whole hidden structure of the sample corpus. A film has one main mood and a weaker
second one; the plot says them in ordinary words, the poster in colours and shapes, the music in tempo,
mode, register, timbre, density and loudness. What a model learns from the corpus, it learns from here.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

Colour = tuple[int, int, int]


def stream(*names: object) -> random.Random:
    """A random source of its own for each thing named, so that nothing depends on the order of making."""
    return random.Random("/".join(str(name) for name in names))  # noqa: S311 - art, not secrets


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


@dataclass(frozen=True)
class Mood:
    """One row of the table."""

    name: str
    genres: tuple[str, ...]
    """Genre words of categories and leads, the commonest first."""
    tags: tuple[str, ...]
    """Category names that films of this mood may carry."""
    sound: Sound
    look: Look


MAJOR = (0, 2, 4, 5, 7, 9, 11)
MINOR = (0, 2, 3, 5, 7, 8, 10)
HARMONIC_MINOR = (0, 2, 3, 5, 7, 8, 11)
DORIAN = (0, 2, 3, 5, 7, 9, 10)
PHRYGIAN = (0, 1, 3, 5, 7, 8, 10)
LYDIAN = (0, 2, 4, 6, 7, 9, 11)
MIXOLYDIAN = (0, 2, 4, 5, 7, 9, 10)
MINOR_PENTATONIC = (0, 3, 5, 7, 10)

MOODS: tuple[Mood, ...] = (
    Mood(
        "dread",
        ("horror", "psychological horror", "supernatural"),
        ("Haunted house films", "Films about nightmares"),
        Sound(
            (46, 56),
            PHRYGIAN,
            ((0, 1, 0, 6), (0, 0, 1, 0)),
            "cluster",
            "drone",
            ("bow", "glass"),
            0,
            0.12,
            "long",
            "drone",
            {"heart": "x..o............"},
            "breath",
            0.0,
            -24.0,
            0.55,
        ),
        Look(((14, 12, 22), (58, 8, 14)), (4, 3, 6), (196, 22, 30), (226, 214, 200), "doorway", 16.0),
    ),
    Mood(
        "tenderness",
        ("romantic drama", "romance", "drama"),
        ("Films about weddings", "Films about letters"),
        Sound(
            (66, 78),
            MAJOR,
            ((0, 4, 5, 3), (0, 5, 3, 4), (0, 2, 3, 4)),
            "arpeggio",
            "piano",
            ("flute", "fiddle"),
            1,
            0.42,
            "long",
            "cello",
            {},
            "none",
            0.0,
            -21.0,
            0.32,
        ),
        Look(((255, 226, 210), (244, 164, 150)), (120, 52, 66), (255, 246, 232), (112, 38, 56), "pair", 5.0),
    ),
    Mood(
        "triumph",
        ("sports drama", "adventure", "biographical"),
        ("Films about underdogs", "Films about competitions"),
        Sound(
            (112, 126),
            MIXOLYDIAN,
            ((0, 6, 3, 0), (0, 3, 4, 0), (0, 4, 3, 4)),
            "march",
            "brass",
            ("horn", "brass"),
            1,
            0.55,
            "fifths",
            "tuba",
            {"kick": "x.......x.......", "snare": "x..xx..xx..xxxxx", "cymbal": "x..............."},
            "none",
            0.0,
            -13.0,
            0.3,
        ),
        Look(((250, 186, 46), (206, 62, 28)), (70, 16, 18), (255, 244, 196), (255, 250, 230), "sunrise", 6.0),
    ),
    Mood(
        "melancholy",
        ("drama", "tragedy", "psychological drama"),
        ("Films about grief", "Films about memory"),
        Sound(
            (56, 66),
            MINOR,
            ((0, 5, 2, 6), (0, 3, 5, 4), (0, 6, 5, 4)),
            "pad",
            "strings",
            ("cello", "piano"),
            0,
            0.3,
            "long",
            "cello",
            {},
            "rain",
            0.0,
            -23.0,
            0.42,
        ),
        Look(((70, 88, 112), (150, 164, 176)), (34, 44, 60), (210, 220, 228), (232, 238, 242), "rain", 9.0),
    ),
    Mood(
        "mischief",
        ("comedy", "screwball comedy", "farce"),
        ("Films about practical jokes", "Films about mistaken identity"),
        Sound(
            (138, 156),
            MAJOR,
            ((0, 3, 4, 0), (0, 1, 4, 0), (0, 5, 1, 4)),
            "oompah",
            "pizzicato",
            ("bassoon", "pizzicato"),
            1,
            0.68,
            "fifths",
            "bassoon",
            {"wood": "x..x..x...x.x...", "shaker": "..o...o...o...o."},
            "none",
            0.3,
            -19.0,
            0.08,
        ),
        Look(((94, 206, 190), (252, 226, 96)), (44, 52, 96), (240, 86, 74), (30, 36, 78), "tumble", 4.0),
    ),
    Mood(
        "pursuit",
        ("action thriller", "thriller", "action"),
        ("Films about fugitives", "Chase films"),
        Sound(
            (150, 168),
            HARMONIC_MINOR,
            ((0, 0, 5, 4), (0, 0, 3, 4), (0, 5, 0, 4)),
            "pulse",
            "saw",
            ("brass", "saw"),
            1,
            0.35,
            "sixteenths",
            "saw",
            {"kick": "x..x..x.x..x..x.", "snare": "....x.......x..x", "hat": "xoxoxoxoxoxoxoxo"},
            "none",
            0.0,
            -12.0,
            0.1,
        ),
        Look(((24, 30, 40), (240, 96, 22)), (8, 10, 14), (255, 190, 40), (255, 236, 214), "speed", 12.0),
    ),
    Mood(
        "wonder",
        ("fantasy", "science fiction", "adventure"),
        ("Films about magic", "Films set on other planets"),
        Sound(
            (82, 94),
            LYDIAN,
            ((0, 1, 0, 4), (0, 1, 2, 1), (0, 4, 1, 0)),
            "shimmer",
            "bell",
            ("celesta", "glass"),
            2,
            0.45,
            "long",
            "strings",
            {},
            "sparkle",
            0.0,
            -20.0,
            0.6,
        ),
        Look(((22, 18, 84), (168, 84, 196)), (14, 12, 46), (150, 244, 240), (240, 244, 255), "planet", 5.0),
    ),
    Mood(
        "solitude",
        ("Western", "drama", "survival"),
        ("Films about loneliness", "Films set in deserts"),
        Sound(
            (48, 60),
            MINOR_PENTATONIC,
            ((0, 0, 3, 0), (0, 4, 3, 0)),
            "open",
            "guitar",
            ("whistle", "flute"),
            2,
            0.16,
            "none",
            "cello",
            {"tom": "x..............."},
            "wind",
            0.0,
            -25.0,
            0.5,
        ),
        Look(((238, 208, 160), (198, 128, 76)), (88, 48, 30), (252, 240, 206), (80, 40, 24), "horizon", 8.0),
    ),
    Mood(
        "stealth",
        ("heist", "crime", "neo-noir"),
        ("Heist films", "Films about con artists"),
        Sound(
            (96, 110),
            DORIAN,
            ((0, 3, 0, 3), (0, 6, 3, 4), (0, 1, 0, 4)),
            "stabs",
            "epiano",
            ("vibes", "muted"),
            1,
            0.4,
            "walking",
            "upright",
            {"hat": "x..xx..xx..xx..x", "rim": "....x.......x...", "kick": "o.........o....."},
            "none",
            0.34,
            -18.0,
            0.14,
        ),
        Look(((12, 34, 44), (20, 92, 92)), (6, 14, 20), (250, 204, 70), (246, 234, 200), "city", 8.0),
    ),
    Mood(
        "celebration",
        ("musical", "dance", "musical comedy"),
        ("Films about festivals", "Films about dance"),
        Sound(
            (122, 134),
            MAJOR,
            ((0, 3, 4, 0), (0, 4, 5, 3), (0, 0, 3, 4)),
            "offbeat",
            "accordion",
            ("accordion", "marimba"),
            1,
            0.8,
            "octaves",
            "tuba",
            {
                "kick": "x...x...x...x...",
                "clap": "....x.......x...",
                "tambourine": "xoxxxoxxxoxxxoxx",
                "tom": "......x..x....xx",
            },
            "none",
            0.12,
            -14.0,
            0.12,
        ),
        Look(((232, 40, 128), (252, 176, 44)), (84, 12, 78), (80, 226, 232), (255, 250, 226), "bunting", 4.0),
    ),
)

BY_NAME: dict[str, Mood] = {mood.name: mood for mood in MOODS}
