"""Load the TOML files of this folder into frozen dataclasses.

A field that is missing, unknown or of another type is an error on loading, and so is a text with a
placeholder that nothing fills in: a mistake in a file is found at once, not in the one film that uses it.
"""

from __future__ import annotations

import random
import re
import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import Annotated, TypeVar

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter

T = TypeVar("T")

PLOT_NAMES = frozenset(
    {
        *("full", "hero", "friendfull", "friend", "rivalfull", "rival"),
        *("he", "He", "him", "his", "His", "himself"),
        *("town", "place", "work", "thing", "thing_", "at", "at_"),
    }
)
"""The placeholders of plots; `films` fills them in."""
TITLE_NAMES = frozenset({"noun", "name", "town", "first", "surname"})
TRACK_NAMES = frozenset({"town", "hero", "friend", "rival", "Thing"})


def _placeholders(allowed: frozenset[str]) -> AfterValidator:
    """Return a validator that refuses a text with placeholders other than the allowed ones."""

    def check(text: str) -> str:
        unknown = set(re.findall(r"\{([^}]*)\}", text)) - allowed
        if unknown:
            raise ValueError(f"unknown placeholder {sorted(unknown)} in {text!r}; there are {sorted(allowed)}")
        return text

    return AfterValidator(check)


PlotSentence = Annotated[str, _placeholders(PLOT_NAMES)]
FilmTitle = Annotated[str, _placeholders(TITLE_NAMES)]
TrackTitle = Annotated[str, _placeholders(TRACK_NAMES)]
Place = Annotated[str, _placeholders(frozenset({"town"}))]


@dataclass(frozen=True)
class Country:
    """One invented country."""

    name: str
    demonym: str
    language: str
    answer_voice: str
    """The instrument that answers in the melodies of its films, a name in `synthesis.VOICES`."""
    women: tuple[str, ...]
    """First names."""
    men: tuple[str, ...]
    surnames: tuple[str, ...]
    towns: tuple[str, ...]

    def person(self, rng: random.Random, *, woman: bool) -> str:
        """Return a full name."""
        return f"{rng.choice(self.women if woman else self.men)} {rng.choice(self.surnames)}"


@dataclass(frozen=True)
class Setting:
    """One place for films to happen in."""

    tag: str
    """The category: Films about …"""
    place: Place
    work: str
    """The main character's occupation, with its article."""
    thing: str
    """What everybody is after."""
    titles: tuple[str, ...]
    """For titles: the first may follow an article, the others are titles by themselves."""
    details: Annotated[tuple[PlotSentence, ...], Field(min_length=4)]
    at: str = "at"
    """The preposition before the place."""


@dataclass(frozen=True)
class MoodSentences:
    """The sentences of one mood: for the beginning, the middle and the end of a plot."""

    opening: Annotated[tuple[PlotSentence, ...], Field(min_length=1)]
    middle: Annotated[tuple[PlotSentence, ...], Field(min_length=10)]
    ending: Annotated[tuple[PlotSentence, ...], Field(min_length=1)]


@dataclass(frozen=True)
class Plots:
    """The sentences of plots.toml."""

    introductions: tuple[PlotSentence, ...]
    rivalries: tuple[PlotSentence, ...]
    transitions: tuple[PlotSentence, ...]
    moods: dict[str, MoodSentences]


@dataclass(frozen=True)
class Titles:
    """The titles of titles.toml."""

    chosen_films: tuple[str, ...]
    """The title of the first film of each year."""
    films: tuple[FilmTitle, ...]
    tracks: tuple[TrackTitle, ...]


@dataclass(frozen=True)
class Articles:
    """The words of articles.toml."""

    praise: tuple[str, ...]
    """What a critic says."""
    months: Annotated[tuple[str, ...], Field(min_length=12, max_length=12)]


@dataclass(frozen=True)
class _Countries:
    countries: tuple[Country, ...]


@dataclass(frozen=True)
class _Settings:
    settings: tuple[Setting, ...]


def load(name: str, kind: type[T]) -> T:
    """Read `NAME.toml` of this folder as an instance of a dataclass.

    Raises:
        pydantic.ValidationError: the file does not have the fields of the dataclass.
    """
    text = resources.files("needledrop.demo.words").joinpath(f"{name}.toml").read_text("utf-8")
    return parse(text, kind)


def parse(text: str, kind: type[T]) -> T:
    """Return TOML text as an instance of a dataclass, or raise `pydantic.ValidationError`."""
    # Pydantic refuses a configuration for a bare dataclass, but takes one for a tuple of it.
    adapter = TypeAdapter(tuple[kind], config=ConfigDict(extra="forbid"))  # type: ignore[valid-type]
    (value,) = adapter.validate_python((tomllib.loads(text),))
    return value


COUNTRIES: tuple[Country, ...] = load("countries", _Countries).countries
SETTINGS: tuple[Setting, ...] = load("settings", _Settings).settings
PLOTS: Plots = load("plots", Plots)
TITLES: Titles = load("titles", Titles)
ARTICLES: Articles = load("articles", Articles)
