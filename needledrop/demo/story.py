"""Write plots: sentences of the setting and of the moods (words/plots.toml), in the order of a story.

In a sentence `[a|b]` is a choice and `{name}` a placeholder. No sentence appears twice in one plot. About
three in four of the mood sentences are of the main mood, and the first paragraph always has some: that is
where a reader, and a model that reads first paragraphs, learns what kind of film it is.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from needledrop.demo.words.loader import PLOTS, Setting


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
