"""The ten moods as data: what each one does to the music, the poster and the genre.

This table is the whole hidden structure of the sample corpus. A film has one main mood and a weaker
second one, and the music says them in tempo, mode, register, timbre, density and loudness. No other part
of a film says as much: the poster shows only the light of the main mood, in the manner of any mood of that
light; the plot tells the moods in ordinary words, mixed; the tags name a genre, which moods share, and the
country, whose instrument answers in the melody. A model that reads all of them knows more than one that
reads any, and that is what there is to learn from the corpus.
"""

from __future__ import annotations

from dataclasses import dataclass

from needledrop.demo.sound_and_look import (
    DORIAN,
    HARMONIC_MINOR,
    LYDIAN,
    MAJOR,
    MINOR,
    MINOR_PENTATONIC,
    MIXOLYDIAN,
    PHRYGIAN,
    Look,
    Sound,
)


@dataclass(frozen=True)
class Mood:
    """One row of the table."""

    name: str
    light: str
    """What posters show of it; two or three moods share one."""
    genres: tuple[str, ...]
    """Genre words of categories and leads, the commonest first."""
    tags: tuple[str, ...]
    """Category names that films of this mood may carry."""
    sound: Sound
    look: Look


MOODS: tuple[Mood, ...] = (
    Mood(
        "dread",
        "night",
        ("horror", "psychological horror", "supernatural"),
        ("Haunted house films", "Films about nightmares"),
        Sound(
            bpm=(46, 56),
            scale=PHRYGIAN,
            progressions=((0, 1, 0, 6), (0, 0, 1, 0)),
            chords="cluster",
            chord_voice="drone",
            lead_voices=("bow", "glass"),
            lead_octave=0,
            lead_steps=0.12,
            bass="long",
            bass_voice="drone",
            drums={"heart": "x..o............"},
            texture="breath",
            swing=0.0,
            loudness_db=-24.0,
            reverb=0.55,
        ),
        Look(((14, 12, 22), (58, 8, 14)), (4, 3, 6), (196, 22, 30), (226, 214, 200), "doorway", 16.0),
    ),
    Mood(
        "tenderness",
        "sun",
        ("romantic drama", "romance", "drama"),
        ("Films about weddings", "Films about letters"),
        Sound(
            bpm=(66, 78),
            scale=MAJOR,
            progressions=((0, 4, 5, 3), (0, 5, 3, 4), (0, 2, 3, 4)),
            chords="arpeggio",
            chord_voice="piano",
            lead_voices=("flute", "fiddle"),
            lead_octave=1,
            lead_steps=0.42,
            bass="long",
            bass_voice="cello",
            drums={},
            texture="none",
            swing=0.0,
            loudness_db=-21.0,
            reverb=0.32,
        ),
        Look(((255, 226, 210), (244, 164, 150)), (120, 52, 66), (255, 246, 232), (112, 38, 56), "pair", 5.0),
    ),
    Mood(
        "triumph",
        "sun",
        ("sports drama", "adventure", "biographical"),
        ("Films about underdogs", "Films about competitions"),
        Sound(
            bpm=(112, 126),
            scale=MIXOLYDIAN,
            progressions=((0, 6, 3, 0), (0, 3, 4, 0), (0, 4, 3, 4)),
            chords="march",
            chord_voice="brass",
            lead_voices=("horn", "brass"),
            lead_octave=1,
            lead_steps=0.55,
            bass="fifths",
            bass_voice="tuba",
            drums={"kick": "x.......x.......", "snare": "x..xx..xx..xxxxx", "cymbal": "x..............."},
            texture="none",
            swing=0.0,
            loudness_db=-13.0,
            reverb=0.3,
        ),
        Look(((250, 186, 46), (206, 62, 28)), (70, 16, 18), (255, 244, 196), (255, 250, 230), "sunrise", 6.0),
    ),
    Mood(
        "melancholy",
        "mist",
        ("drama", "tragedy", "psychological drama"),
        ("Films about grief", "Films about memory"),
        Sound(
            bpm=(56, 66),
            scale=MINOR,
            progressions=((0, 5, 2, 6), (0, 3, 5, 4), (0, 6, 5, 4)),
            chords="pad",
            chord_voice="strings",
            lead_voices=("cello", "piano"),
            lead_octave=0,
            lead_steps=0.3,
            bass="long",
            bass_voice="cello",
            drums={},
            texture="rain",
            swing=0.0,
            loudness_db=-23.0,
            reverb=0.42,
        ),
        Look(((70, 88, 112), (150, 164, 176)), (34, 44, 60), (210, 220, 228), (232, 238, 242), "rain", 9.0),
    ),
    Mood(
        "mischief",
        "fair",
        ("comedy", "screwball comedy", "farce"),
        ("Films about practical jokes", "Films about mistaken identity"),
        Sound(
            bpm=(138, 156),
            scale=MAJOR,
            progressions=((0, 3, 4, 0), (0, 1, 4, 0), (0, 5, 1, 4)),
            chords="oompah",
            chord_voice="pizzicato",
            lead_voices=("bassoon", "pizzicato"),
            lead_octave=1,
            lead_steps=0.68,
            bass="fifths",
            bass_voice="bassoon",
            drums={"wood": "x..x..x...x.x...", "shaker": "..o...o...o...o."},
            texture="none",
            swing=0.3,
            loudness_db=-19.0,
            reverb=0.08,
        ),
        Look(((94, 206, 190), (252, 226, 96)), (44, 52, 96), (240, 86, 74), (30, 36, 78), "tumble", 4.0),
    ),
    Mood(
        "pursuit",
        "night",
        ("action thriller", "thriller", "action"),
        ("Films about fugitives", "Chase films"),
        Sound(
            bpm=(150, 168),
            scale=HARMONIC_MINOR,
            progressions=((0, 0, 5, 4), (0, 0, 3, 4), (0, 5, 0, 4)),
            chords="pulse",
            chord_voice="saw",
            lead_voices=("brass", "saw"),
            lead_octave=1,
            lead_steps=0.35,
            bass="sixteenths",
            bass_voice="saw",
            drums={"kick": "x..x..x.x..x..x.", "snare": "....x.......x..x", "hat": "xoxoxoxoxoxoxoxo"},
            texture="none",
            swing=0.0,
            loudness_db=-12.0,
            reverb=0.1,
        ),
        Look(((24, 30, 40), (240, 96, 22)), (8, 10, 14), (255, 190, 40), (255, 236, 214), "speed", 12.0),
    ),
    Mood(
        "wonder",
        "mist",
        ("fantasy", "science fiction", "adventure"),
        ("Films about magic", "Films set on other planets"),
        Sound(
            bpm=(82, 94),
            scale=LYDIAN,
            progressions=((0, 1, 0, 4), (0, 1, 2, 1), (0, 4, 1, 0)),
            chords="shimmer",
            chord_voice="bell",
            lead_voices=("celesta", "glass"),
            lead_octave=2,
            lead_steps=0.45,
            bass="long",
            bass_voice="strings",
            drums={},
            texture="sparkle",
            swing=0.0,
            loudness_db=-20.0,
            reverb=0.6,
        ),
        Look(((22, 18, 84), (168, 84, 196)), (14, 12, 46), (150, 244, 240), (240, 244, 255), "planet", 5.0),
    ),
    Mood(
        "solitude",
        "sun",
        ("Western", "drama", "survival"),
        ("Films about loneliness", "Films set in deserts"),
        Sound(
            bpm=(48, 60),
            scale=MINOR_PENTATONIC,
            progressions=((0, 0, 3, 0), (0, 4, 3, 0)),
            chords="open",
            chord_voice="guitar",
            lead_voices=("whistle", "flute"),
            lead_octave=2,
            lead_steps=0.16,
            bass="none",
            bass_voice="cello",
            drums={"tom": "x..............."},
            texture="wind",
            swing=0.0,
            loudness_db=-25.0,
            reverb=0.5,
        ),
        Look(((238, 208, 160), (198, 128, 76)), (88, 48, 30), (252, 240, 206), (80, 40, 24), "horizon", 8.0),
    ),
    Mood(
        "stealth",
        "night",
        ("heist", "crime", "neo-noir"),
        ("Heist films", "Films about con artists"),
        Sound(
            bpm=(96, 110),
            scale=DORIAN,
            progressions=((0, 3, 0, 3), (0, 6, 3, 4), (0, 1, 0, 4)),
            chords="stabs",
            chord_voice="epiano",
            lead_voices=("vibes", "muted"),
            lead_octave=1,
            lead_steps=0.4,
            bass="walking",
            bass_voice="upright",
            drums={"hat": "x..xx..xx..xx..x", "rim": "....x.......x...", "kick": "o.........o....."},
            texture="none",
            swing=0.34,
            loudness_db=-18.0,
            reverb=0.14,
        ),
        Look(((12, 34, 44), (20, 92, 92)), (6, 14, 20), (250, 204, 70), (246, 234, 200), "city", 8.0),
    ),
    Mood(
        "celebration",
        "fair",
        ("musical", "dance", "musical comedy"),
        ("Films about festivals", "Films about dance"),
        Sound(
            bpm=(122, 134),
            scale=MAJOR,
            progressions=((0, 3, 4, 0), (0, 4, 5, 3), (0, 0, 3, 4)),
            chords="offbeat",
            chord_voice="accordion",
            lead_voices=("accordion", "marimba"),
            lead_octave=1,
            lead_steps=0.8,
            bass="octaves",
            bass_voice="tuba",
            drums={
                "kick": "x...x...x...x...",
                "clap": "....x.......x...",
                "tambourine": "xoxxxoxxxoxxxoxx",
                "tom": "......x..x....xx",
            },
            texture="none",
            swing=0.12,
            loudness_db=-14.0,
            reverb=0.12,
        ),
        Look(((232, 40, 128), (252, 176, 44)), (84, 12, 78), (80, 226, 232), (255, 250, 226), "bunting", 4.0),
    ),
)

BY_LIGHT: dict[str, tuple[Mood, ...]] = {
    light: tuple(mood for mood in MOODS if mood.light == light) for light in ("night", "sun", "mist", "fair")
}
