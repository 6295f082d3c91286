"""The grammar of plots: sentences of the place, sentences of the moods, in the order of a story.

`[a|b]` chooses, `{name}` fills in. No sentence comes twice in one plot. About three sentences in four
of the moods' are the main mood's, and the first paragraph always has some: that is where a reader, and
a model that reads first paragraphs, learns what kind of film it is.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from needledrop.demo.plot_lines_bright import BRIGHT
from needledrop.demo.plot_lines_dark import DARK, Lines
from needledrop.demo.settings_outdoors import Setting

LINES: dict[str, Lines] = {**DARK, **BRIGHT}

INTRODUCTIONS: tuple[str, ...] = (
    "{full} is {work} {at} {place}, a post [inherited from an aunt|that nobody else applied for].",
    "{full}, {work}, has worked {at} {place} for [eleven years|as long as anyone can remember].",
    "In the [last days of a long summer|winter of the great frost] {full} arrives {at} {place} as {work}.",
    "The film follows {full}, {work} {at} {place}, over [five days|one year|a single weekend].",
    "It is {full}'s first week as {work} {at} {place}, and {friendfull} has [lost the keys|forgotten to mention it].",
    "{at_} {place}, {full}, {work}, shares [a stove and a newspaper|everything but the umbrella] with {friendfull}.",
    "Ever since [the accident with the piano|the old postmaster's will was read], {full} has been {work} {at} {place}.",
    "Nobody has told {full}, {work} {at} {place}, that [the war is over|the lease has run out].",
    "When {full} becomes {work} {at} {place}, {friendfull} [gives it a week|shows {him} where the rope is].",
    "Two people know their way about {place}: {full}, {work}, and {friendfull}, who would rather not.",
    "{full} has promised {his} father never to become {work}, and is one, {at} {place}.",
    "A year after [the flood|the wedding that did not happen], {full}, {work}, is back {at} {place}.",
    "To {friendfull}, who comes to {place} by mistake, {full} introduces {himself} as {work}.",
    "{full} has been {work} for [a fortnight|nineteen years] when {rivalfull} first comes to {place}.",
)
MEANWHILE: tuple[str, ...] = (
    "Meanwhile, ",
    "That same night, ",
    "A week later, ",
    "Before long, ",
    "The next morning, ",
    "By then, ",
    "At last, ",
    "Back in {town}, ",
    "To make matters worse, ",
    "On the third day, ",
)
RIVALRY: tuple[str, ...] = (
    "{rivalfull} has wanted {thing} for [years|a bet] and makes no secret of it.",
    "It is {rivalfull} who sets things going, by asking where {thing} is kept.",
    "Then {rivalfull} offers a [ridiculous sum|house by the sea] for {thing}, and {hero} hesitates a moment too long.",
    "{hero} hides {thing} under the [floorboards|potatoes], which {rivalfull} has been watching.",
    "A telegram offers a reward for {thing}, and {rivalfull} is seen [buying a shovel|learning to smile].",
    "{friend} has borrowed {thing} [to impress an uncle|without a word], and {rivalfull} finds out first.",
    "{rivalfull} claims to be the rightful owner of {thing} and has [papers|a cousin in the ministry] to prove it.",
    "An auction is held, at which {rivalfull} bids a [cow|castle] for {thing} and is not outbid.",
    "{thing_} has disappeared, and {rivalfull} was the last to be seen near it.",
)


def write_plot(
    rng: random.Random, main: str, second: str, setting: Setting, town: str, roles: Sequence[tuple[str, bool]]
) -> tuple[str, ...]:
    """Two to four paragraphs. `roles` are hero, friend and rival as (full name, is a woman)."""
    names = _names(setting, town, roles)
    own, other = LINES[main], LINES[second]
    middles = rng.sample(own.middle, 10)
    others = rng.sample(other.middle, 3)
    details = rng.sample(setting.details, 4)
    story = [
        [rng.choice(INTRODUCTIONS), details.pop(), rng.choice(own.opening), *_take(rng, middles, 1, 2)],
        [rng.choice(RIVALRY), *_take(rng, middles, 2, 3), details.pop()],
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
    """Put a time or place before a sentence that can bear it."""
    if template.startswith("{He}"):
        template = "{he}" + template.removeprefix("{He}")
    elif template.startswith(("The ", "A ", "They ")) and not re.search("film|final|last", template):
        template = template[0].lower() + template[1:]
    elif not template.startswith(("{hero}", "{friend}", "{rival}")):
        return template
    return rng.choice(MEANWHILE) + template


def expand(rng: random.Random, template: str) -> str:
    """Decide every `[a|b]` of a template."""
    return re.sub(r"\[([^\[\]]*\|[^\[\]]*)\]", lambda choice: rng.choice(choice[1].split("|")), template)


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
