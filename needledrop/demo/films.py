"""Invent the films: title, year, people, place, moods and plot, all from one seed."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from needledrop.demo.moods import BY_LIGHT, MOODS, Mood
from needledrop.demo.story import write_plot
from needledrop.demo.words.loader import COUNTRIES, SETTINGS, TITLES, Country, Setting

FIRST_YEAR, LAST_YEAR = 2014, 2024


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
    """The mood of the poster: any mood with the light of the main one."""
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
    """Root of the music: semitones above the lowest one, 0 to 11."""
    seed: str
    """The name of the film's random streams."""

    @property
    def poster(self) -> str:
        """Return the file name of the poster in the folder of images: .jpg, .png or .webp."""
        return f"{safe_name(self.title)} poster{('.jpg', '.jpg', '.jpg', '.png', '.webp')[self.page_id % 5]}"

    def random_stream(self, *names: object) -> random.Random:
        """Return the random stream of one part of the film."""
        return random_stream(self.seed, *names)


def random_stream(*names: object) -> random.Random:
    """Return a random stream that depends on the names alone, so that no part depends on the order of making."""
    return random.Random("/".join(str(name) for name in names))  # noqa: S311 - art, not secrets


def safe_name(title: str) -> str:
    """Return a title as a file name: the way people name files, not a reversible code."""
    return re.sub(r"\s+", " ", re.sub(r'[:?*"<>|/\\]', " ", title)).strip().rstrip(".")


def invent_films(seed: int, films_per_year: int) -> tuple[Film, ...]:
    """Return all films in the order of their page ids. The main mood rotates, so each year has nearly all moods."""
    taken = {_without_article(title) for title in TITLES.chosen_films}
    films = []
    for year in range(FIRST_YEAR, LAST_YEAR + 1):
        for number in range(films_per_year):
            count = (year - FIRST_YEAR) * films_per_year + number
            chosen = TITLES.chosen_films[year - FIRST_YEAR] if number == 0 else None
            films.append(_invent(f"{seed}/{year}/{number}", count, year, chosen, taken))
    return tuple(films)


def _invent(seed: str, count: int, year: int, chosen_title: str | None, taken: set[str]) -> Film:
    rng = random_stream(seed)
    main = MOODS[count % len(MOODS)]
    second = rng.choice([mood for mood in MOODS if mood is not main])
    country, setting = rng.choice(COUNTRIES), rng.choice(SETTINGS)
    town = rng.choice(country.towns)
    roles = _roles(rng, country)
    title = chosen_title or _title(rng, setting, town, roles[0][0], taken)
    taken.add(_without_article(title))
    return Film(
        page_id=1000 + 37 * count + rng.randrange(30),
        title=title,
        year=year,
        month=rng.randint(1, 12),
        day=rng.randint(1, 28),
        runtime_minutes=rng.randint(74, 161),
        main=main,
        second=second,
        shown=random_stream(seed, "shown").choice(BY_LIGHT[main.light]),
        setting=setting,
        country=country,
        genre=rng.choice((main.genres[0], *main.genres)),
        director=country.person(rng, woman=rng.random() < 0.5),
        composer=country.person(random_stream("composer", country.name, rng.randrange(3)), woman=count % 2 == 0),
        cast=tuple((rng.choice(COUNTRIES).person(rng, woman=woman), name) for name, woman in roles),
        town=town,
        plot=write_plot(random_stream(seed, "plot"), main.name, second.name, setting, town, roles),
        key=rng.randrange(12),
        seed=seed,
    )


def _roles(rng: random.Random, country: Country) -> list[tuple[str, bool]]:
    """Return hero, friend and rival as (full name, is a woman), without a common first or last name."""
    roles: list[tuple[str, bool]] = []
    while len(roles) < 3:
        woman = rng.random() < 0.5
        name = country.person(rng, woman=woman)
        if not any(set(name.split()) & set(other.split()) for other, _ in roles):
            roles.append((name, woman))
    return roles


def _title(rng: random.Random, setting: Setting, town: str, hero: str, taken: set[str]) -> str:
    first, surname = hero.split(" ", 1)
    for pattern in rng.sample(TITLES.films, len(TITLES.films)):
        title = pattern.format(
            noun=setting.titles[0], name=rng.choice(setting.titles[1:]), town=town, first=first, surname=surname
        )
        title = re.sub(r"\bA (?=[AEIOU])", "An ", title[0].upper() + title[1:])
        if _without_article(title) not in taken:
            return title
    return f"{hero} of {town}"


def _without_article(title: str) -> str:
    """Return a title in lower case without its article: two films that differ by it alone cannot be distinguished."""
    return re.sub(r"^(the|an?) ", "", title.lower())
