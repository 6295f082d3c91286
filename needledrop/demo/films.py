"""The invented films themselves: title, year, people, place, moods and plot, all from one seed."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from needledrop.demo import story as plots
from needledrop.demo.moods import BY_LIGHT, MOODS, Mood
from needledrop.demo.people import COUNTRIES, Country
from needledrop.demo.rng import stream
from needledrop.demo.settings_indoors import INDOORS
from needledrop.demo.settings_outdoors import OUTDOORS, Setting

FIRST_YEAR, LAST_YEAR = 2014, 2024

CHOSEN_TITLES: tuple[str, ...] = (
    "The Lamp",
    "The Lamp at Skerrow",
    "Northbound",
    "Café Zéphyrine",
    "Who Wound the Clock?",
    "Northbound 2: The Return Ticket",
    "Ottilie's Umbrella",
    "Half Past Never",
    "Skerrow",
    "Ørjan & the Whale",
    "What Are the Gulls For?",
)
"""One a year, for the sake of matching: one title within another, a sequel, accents, an ampersand, questions."""

TITLE_PATTERNS: tuple[str, ...] = (
    "{name}",
    "{name}",
    "The {noun} of {town}",
    "{surname}'s {noun}",
    "{first} and the {noun}",
    "{town}: The {noun}",
    "The Other {noun}",
    "A {noun} for {first}",
    "Goodbye, {town}",
    "The {surname} Affair",
    "Seven Days in {town}",
    "{first}, or the {noun}",
    "Where Is {first} {surname}?",
    "A Winter in {town}",
    "The Road to {town}",
    "Letters from {town}",
    "{first} of {town}",
    "Nobody Knows {first}",
    "{surname} & {surname}",
    "The {noun}, the Goose and the General",
    "{town} by Night",
    "The Three {surname} Sisters",
    "How {first} Lost the {noun}",
    "Wait for Me in {town}",
    "Last Summer with {first}",
    "The Trouble with {first}",
)


@dataclass(frozen=True)
class Film:
    """One invented film."""

    page_id: int
    title: str
    year: int
    month: int
    day: int
    runtime_minutes: int
    main: Mood
    second: Mood
    shown: Mood
    """The mood of the poster: any that shares the main mood's light."""
    setting: Setting
    country: Country
    genre: str
    director: str
    composer: str
    cast: tuple[tuple[str, str], ...]
    """(actor, role)."""
    town: str
    plot: tuple[str, ...]
    """Paragraphs, plain text."""
    key: int
    """Semitones above the lowest root of the music."""
    seed: str

    @property
    def poster(self) -> str:
        """The file name of the poster, in the folder of images; three formats, one a film."""
        return f"{safe_name(self.title)} poster{('.jpg', '.jpg', '.jpg', '.png', '.webp')[self.page_id % 5]}"


def safe_name(title: str) -> str:
    """A title as a file name: the way people name files, not a reversible code."""
    return re.sub(r"\s+", " ", re.sub(r'[:?*"<>|/\\]', " ", title)).strip().rstrip(".")


def invent_films(seed: int, films_per_year: int) -> tuple[Film, ...]:
    """All films, in the order of their pages. Moods take turns, so every year has nearly all of them."""
    taken = {_bare(title) for title in CHOSEN_TITLES}
    films = []
    for year in range(FIRST_YEAR, LAST_YEAR + 1):
        for number in range(films_per_year):
            count = (year - FIRST_YEAR) * films_per_year + number
            chosen = CHOSEN_TITLES[year - FIRST_YEAR] if number == 0 else None
            films.append(_invent(f"{seed}/{year}/{number}", count, year, chosen, taken))
    return tuple(films)


def _invent(seed: str, count: int, year: int, chosen_title: str | None, taken: set[str]) -> Film:
    rng = stream(seed)
    main = MOODS[count % len(MOODS)]
    second = rng.choice([mood for mood in MOODS if mood is not main])
    country, setting = rng.choice(COUNTRIES), rng.choice((*OUTDOORS, *INDOORS))
    town = rng.choice(country.towns)
    roles = _roles(rng, country)
    title = chosen_title or _title(rng, setting, town, roles[0][0], taken)
    taken.add(_bare(title))
    return Film(
        page_id=1000 + 37 * count + rng.randrange(30),
        title=title,
        year=year,
        month=rng.randint(1, 12),
        day=rng.randint(1, 28),
        runtime_minutes=rng.randint(74, 161),
        main=main,
        second=second,
        shown=stream(seed, "shown").choice(BY_LIGHT[main.light]),
        setting=setting,
        country=country,
        genre=rng.choice((main.genres[0], *main.genres)),
        director=country.person(rng, woman=rng.random() < 0.5),
        composer=country.person(stream("composer", country.name, rng.randrange(3)), woman=count % 2 == 0),
        cast=tuple((rng.choice(COUNTRIES).person(rng, woman=woman), name) for name, woman in roles),
        town=town,
        plot=plots.write_plot(stream(seed, "plot"), main.name, second.name, setting, town, roles),
        key=rng.randrange(12),
        seed=seed,
    )


def _roles(rng: random.Random, country: Country) -> list[tuple[str, bool]]:
    """Hero, friend and rival as (full name, is a woman), no two with one first or last name."""
    roles: list[tuple[str, bool]] = []
    while len(roles) < 3:
        woman = rng.random() < 0.5
        name = country.person(rng, woman=woman)
        if not any(set(name.split()) & set(other.split()) for other, _ in roles):
            roles.append((name, woman))
    return roles


def _title(rng: random.Random, setting: Setting, town: str, hero: str, taken: set[str]) -> str:
    first, surname = hero.split(" ", 1)
    for pattern in rng.sample(TITLE_PATTERNS, len(TITLE_PATTERNS)):
        title = pattern.format(
            noun=setting.titles[0], name=rng.choice(setting.titles[1:]), town=town, first=first, surname=surname
        )
        title = re.sub(r"\bA (?=[AEIOU])", "An ", title[0].upper() + title[1:])
        if _bare(title) not in taken:
            return title
    return f"{hero} of {town}"


def _bare(title: str) -> str:
    """A title as people search for it; two films that differ by an article alone would be a trap without a way out."""
    return re.sub(r"^(the|an?) ", "", title.lower())
