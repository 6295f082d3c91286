"""The parts of a film's article in wikitext: infobox, plot section, categories."""

from __future__ import annotations

import random
import re

from needledrop.demo.films import Film


def infobox(film: Film) -> str:
    """`{{Infobox film}}` as articles have it, one name a line."""
    starring = "\n".join(f"* [[{actor}]]" for actor, _ in film.cast)
    return (
        "{{Infobox film\n"
        f"| name           = {film.title}\n"
        f"| image          = {film.poster}\n"
        "| caption        = Theatrical release poster\n"
        f"| director       = [[{film.director}]]\n"
        f"| starring       = {{{{plainlist|\n{starring}\n}}}}\n"
        f"| music          = [[{film.composer}]]\n"
        f"| released       = {{{{Film date|df=y|{film.year}|{film.month:02}|{film.day:02}}}}}\n"
        f"| runtime        = {film.runtime_minutes} minutes\n"
        f"| country        = {film.country.name.removeprefix('the ')}\n"
        f"| language       = {film.country.language}\n"
        "}}"
    )


def plot_section(rng: random.Random, film: Film) -> str:
    """The plot as a section, its paragraphs dressed in links, references, templates, comments and italics."""
    paragraphs = [_dressed(rng, film, paragraph) for paragraph in film.plot]
    if len(paragraphs) > 2 and rng.random() < 0.25:
        paragraphs[0] = f"=== {rng.choice(('First reel', 'Part one', 'The arrival'))} ===\n{paragraphs[0]}"
        paragraphs[2] = f"=== {rng.choice(('Second reel', 'Part two', 'The reckoning'))} ===\n{paragraphs[2]}"
    level = rng.choice(("==Plot==", "== Plot ==", "== Plot =="))
    return f"{level}\n" + "\n\n".join(paragraphs)


def _dressed(rng: random.Random, film: Film, paragraph: str) -> str:
    trade = re.sub(r"^an? ", "", film.setting.work)
    dressings = (
        (film.setting.work, film.setting.work.replace(trade, f"[[{trade}]]")),
        (film.setting.thing, f"''{film.setting.thing}''"),
        (film.town, f"{{{{nowrap|{film.town}}}}}"),
        (film.town, f"[[{film.town}, {film.country.name}|{film.town}]]"),
        (". ", ".<!-- please keep this short -->  "),
        (
            ". ",
            f'.<ref name="reel{rng.randint(1, 9)}">{{{{cite web |title=Reel notes |publisher=Film office}}}}</ref> ',
        ),
        ("the film", "the [[film]]"),
        (film.cast[1][1], f"'''{film.cast[1][1]}'''"),
        (film.cast[2][1], f"{{{{lang|und|{film.cast[2][1]}}}}}"),
    )
    for plain, dressed in rng.sample(dressings, 3):
        paragraph = paragraph.replace(plain, dressed, 1)
    return paragraph


def categories(rng: random.Random, film: Film) -> list[str]:
    """The article's categories, in its order: years, genre, language, places, themes, and some not about films."""
    country, setting = film.country, film.setting
    names = [
        f"{film.year} films",
        f"{film.year} {film.genre} films",
        f"{country.language}-language films",
        f"{country.demonym} {film.genre} films",
        setting.tag,
        f"Films directed by {film.director}",
        f"Films scored by {film.composer}",
        f"Films set in {country.name}",
    ]
    if rng.random() < 0.6:
        names.append(rng.choice(film.main.tags))
    if rng.random() < 0.2:
        names.append(rng.choice(film.second.tags))
    if rng.random() < 0.15:
        names.append(f"Films shot in {film.town}")
    if rng.random() < 0.1:
        names.append(
            f"{rng.choice(('Lost', 'Black-and-white', 'Silent', 'Colourised', 'Unsubtitled'))} {country.demonym} films"
        )
    rng.shuffle(names)
    return [*names, f"{country.demonym} cinema", "Articles with short description", f"Culture of {film.town}"]
