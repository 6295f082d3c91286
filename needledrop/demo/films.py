"""Invent the films: title, year, people, place, moods and plot, all from one seed.

A plot takes sentences of the setting and of the moods (words/plots.toml) in the order of a story: `[a|b]` is a choice,
`{name}` a placeholder. No sentence appears twice in one plot. About three in four of the mood sentences are of the main
mood.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from needledrop.demo.moods import BY_LIGHT, MOODS, Mood
from needledrop.demo.words.loader import COUNTRIES, PLOTS, SETTINGS, TITLES, Country, Setting

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


def write_plot(
    rng: random.Random, main: str, second: str, setting: Setting, town: str, roles: Sequence[tuple[str, bool]]
) -> tuple[str, ...]:
    """Return two to four paragraphs. `roles` are hero, friend and rival as (full name, is a woman)."""
    names = _names(setting, town, roles)
    own, other = PLOTS.moods[main], PLOTS.moods[second]
    middles = rng.sample(own.middle, 10)
    others = rng.sample(other.middle, 3)
    details = rng.sample(setting.details, 4)
    story = [
        [rng.choice(PLOTS.introductions), details.pop(), rng.choice(own.opening), *_take(rng, middles, 1, 2)],
        [rng.choice(PLOTS.rivalries), *_take(rng, middles, 2, 3), details.pop()],
    ]
    if rng.random() < 0.7:
        story.append([others.pop(), details.pop(), *_take(rng, middles, 2, 2)])
    if rng.random() < 0.4:
        story.append([*_take(rng, middles, 1, 1), others.pop(), *_take(rng, middles, 1, 1)])
    story[-1].append(rng.choice(own.ending))
    return tuple(_paragraph(rng, templates, names, first=number == 0) for number, templates in enumerate(story))


def _take(rng: random.Random, sentences: list[str], least: int, most: int) -> list[str]:
    return [sentences.pop() for _ in range(rng.randint(least, most))]


def _names(setting: Setting, town: str, roles: Sequence[tuple[str, bool]]) -> dict[str, str]:
    """Return the value of each placeholder in `loader.PLOT_NAMES`."""
    (full, woman), (friend, _), (rival, _) = roles
    he, him, his = ("she", "her", "her") if woman else ("he", "him", "his")
    place = setting.place.format(town=town)
    return {
        "full": full,
        "hero": full.split()[0],
        "friendfull": friend,
        "friend": friend.split()[0],
        "rivalfull": rival,
        "rival": rival.split()[0],
        "he": he,
        "He": he.capitalize(),
        "him": him,
        "his": his,
        "His": his.capitalize(),
        "himself": him + "self",
        "town": town,
        "place": place,
        "work": setting.work,
        "thing": setting.thing,
        "thing_": _capital(setting.thing),
        "at": setting.at,
        "at_": _capital(setting.at),
    }


def _paragraph(rng: random.Random, templates: list[str], names: dict[str, str], *, first: bool) -> str:
    sentences = []
    for number, template in enumerate(templates):
        joining = number > int(first) and rng.random() < 0.3
        sentence = expand(rng, _joined(rng, template) if joining else template)
        sentences.append(_capital(sentence.format(**names)))
    return " ".join(sentences)


def _joined(rng: random.Random, template: str) -> str:
    """Return a sentence with a transition before it, or as it is where none fits."""
    if template.startswith("{He}"):
        template = "{he}" + template.removeprefix("{He}")
    elif template.startswith(("The ", "A ", "They ")) and not re.search("film|final|last", template):
        template = template[0].lower() + template[1:]
    elif not template.startswith(("{hero}", "{friend}", "{rival}")):
        return template
    return rng.choice(PLOTS.transitions) + template


def expand(rng: random.Random, template: str) -> str:
    """Return a template with every `[a|b]` decided."""
    return re.sub(r"\[([^\[\]]*\|[^\[\]]*)\]", lambda choice: rng.choice(choice[1].split("|")), template)


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
