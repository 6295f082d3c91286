"""Define a mood: what it does to the music, the poster and the genre of a film. The ten moods are in words/moods.toml.

That table is the whole hidden structure of the sample corpus. A film has one main mood and a weaker
second one, and the music expresses them in tempo, mode, register, timbre, density and loudness. No other
part of a film carries as much: the poster shows only the light of the main mood, in the manner of any mood
of that light; the plot expresses the moods in ordinary words, mixed; the tags name a genre, which moods
share, and the country, whose instrument answers in the melody. A model that reads all of them knows more
than one that reads any, and that is what there is to learn from the corpus.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args

from pydantic import Field

from needledrop.demo.words.loader import load

Light = Literal["night", "sun", "mist", "fair"]
Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""
DrumPattern = Annotated[str, Field(pattern=r"^[xo.]{16}$")]
"""The sixteen steps of one bar: x a hit, o a soft hit."""


@dataclass(frozen=True)
class Sound:
    """How a mood sounds. Voices are names in `synthesis.VOICES`."""

    bpm: tuple[int, int]
    """Slowest and fastest tempo."""
    scale: str
    """A name in `score.SCALES`."""
    progressions: tuple[tuple[int, ...], ...]
    """Chords by scale degree, one per bar."""
    chords: str
    """How chords are played: a name in `score.CHORD_STYLES`."""
    chord_voice: str
    lead_voices: tuple[str, ...]
    lead_octave: int
    """Octaves above the root of the melody."""
    lead_steps: Annotated[float, Field(ge=0, le=1)]
    """Share of the eighths on which the melody moves."""
    bass: str
    """A name in `score.BASS_STYLES`."""
    bass_voice: str
    texture: str
    """A background noise, a name in `synthesis.TEXTURES`, or `none`."""
    swing: Annotated[float, Field(ge=0, lt=1)]
    """Delay of the off-beat eighths, in eighths."""
    loudness_db: Annotated[float, Field(lt=0)]
    """RMS of the finished track, relative to full scale."""
    reverb: Annotated[float, Field(ge=0, le=1)]
    """Share of reverberation."""
    drums: dict[str, DrumPattern] = field(default_factory=dict)
    """The pattern of each drum, a name in `synthesis.DRUMS`."""


@dataclass(frozen=True)
class Look:
    """How a mood looks on a poster."""

    sky: tuple[Colour, Colour]
    """Top and bottom of the gradient."""
    ink: Colour
    """Colour of silhouettes."""
    accent: Colour
    lettering: Colour
    composition: str
    """A name in `compositions.COMPOSITIONS`."""
    grain: Annotated[float, Field(ge=0)]
    """Strength of the paper grain, in grey levels."""


@dataclass(frozen=True)
class Mood:
    """One entry of words/moods.toml."""

    name: str
    light: Light
    """What posters show of the mood; two or three moods share one."""
    genres: tuple[str, ...]
    """Genre words of categories and leads, the commonest first."""
    tags: tuple[str, ...]
    """Category names that films of this mood may carry."""
    sound: Sound
    look: Look


@dataclass(frozen=True)
class _Moods:
    moods: tuple[Mood, ...]


MOODS: tuple[Mood, ...] = load("moods", _Moods).moods

BY_LIGHT: dict[Light, tuple[Mood, ...]] = {
    light: tuple(mood for mood in MOODS if mood.light == light) for light in get_args(Light)
}
