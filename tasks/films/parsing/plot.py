"""Where the plot stands in an article, and its paragraphs.

Only the section is parsed, never the page: the page's headings are found by pattern, which is thirty times
faster than a parse of the whole and cannot lose a section to markup left open in another one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from tasks.films.parsing.plain_text import paragraphs, plain

_HEADING = re.compile(r"\n(=+)[ \t]*(?!=)([^\n]*?[^=\n])[ \t]*(=+)[ \t]*(?=\n)")
_HTML_HEADING = re.compile(r"<[hH]([1-6])\b[^<>]*>(.*?)</[hH]\1\s*>", re.DOTALL)
_BOLD_HEADING = re.compile(r"^(?:;[ \t]*|''')([^\n'=:;]{3,40}?)[ \t]*:?(?:''')?:?[ \t]*$", re.MULTILINE)
"""What old and short articles write instead of a heading: a bold line."""
_QUALIFIER = re.compile(r"\s*(?:\([^()]*\)|\[[^\[\]]*\]|[:.–—-]+|\bpart\s+\w+)\s*$")

_KINDS = (
    "summary|synopsis|outline|overview|details?|description|story|storyline|recap|line|review|section|information"
    "|introduction"
)
PLOT = re.compile(
    rf"(?:the |film'?s? |movie |original |official |full |detailed |brief |short |complete |main |basic |story )*"
    rf"(?:plots?(?: ?(?:{_KINDS}))?|synopsis|storyline|story ?line|story|stories|trama|argumento|sinopsis|sinopse"
    r"|handlung|résumé|intrigue|handling|fabuła|zusammenfassung|(?:plot summary|summary|plot) of (?:the )?(?:film|plot)"
    r"|story (?:outline|summary|synopsis)"
    r"|(?:background|setting|overview|concept|premise|introduction) (?:and|&) (?:plot|synopsis|story))"
)
"""Headings of a section that tells the story, in the languages whose articles were at hand."""
TEASER = re.compile(
    r"(?:the )?(?:premise|summary|outline|narrative|scenario|film summary|movie summary|content|storyline summary)"
)
"""Headings that may tell it, used when no `PLOT` section does."""
_WITH_MORE = re.compile(
    r"(plot(?: summary| synopsis)?|synopsis|premise|storyline|story)(?:\s*(?:\band\b|&|/|,|\+|;|–|—| - ).*)$"
)
_NOT_THE_STORY = re.compile(
    r"story (?:and|&) (?:screenplay|script|development|production|music|dialogues?|writing|direction)"
    r"|plot (?:and|&) (?:production|development)\b"
)
_ASIDE = re.compile(
    r"(?:main |voice |original |full |english )*(?:cast|characters?|credits|crew|music|songs?|soundtrack|production"
    r"|reception|release|notes?|footnotes?|references|sources|citations|see also|external links|analysis|themes?"
    r"|awards?|box office|trivia|gallery|personaggi|interpreti|galleria.*|note)(?: and .*)?"
)
"""Sub-sections of a plot section that are not the story."""
_MARKUP = re.compile(r"[\[{<'&_]")
_NO_LEVEL = 7
"""Below every heading: they have levels 1 to 6."""
MINIMUM_WORDS = 5
""""To be added" is no plot."""


class Kind(StrEnum):
    """What a heading promises of its section."""

    PLOT = "plot"
    TEASER = "teaser"
    ASIDE = "aside"
    OTHER = "other"


@dataclass(frozen=True)
class Section:
    """A heading's level, kind and name without qualifiers, and where the text from it to the next heading stands."""

    level: int
    kind: Kind
    name: str
    start: int
    end: int


def plot_paragraphs(text: str) -> list[str]:
    """The plot of an article whose comments are removed: its paragraphs, or none.

    Of several sections that tell the story, those of one name are joined (Plot, Plot (part two)), and of
    several names the one with the most words wins (a Synopsis that only announces the Plot loses).
    """
    if "<h" in text:
        text = _HTML_HEADING.sub(lambda m: f"\n{'=' * int(m[1])}{m[2].strip()}{'=' * int(m[1])}\n", text)
    return _longest(text) or _longest(_BOLD_HEADING.sub(r"==\1==", text))


def _longest(text: str) -> list[str]:
    sections = _sections(f"\n{text}\n")
    for kind in (Kind.PLOT, Kind.TEASER):
        told: dict[tuple[int, str], list[str]] = {}
        for index in _outermost(sections, kind):
            key = (sections[index].level, sections[index].name)
            told.setdefault(key, []).extend(_tell(text, sections, index))
        whole = {key: lines for key, lines in told.items() if _word_count(lines) >= MINIMUM_WORDS}
        if whole:
            top = min(level for level, _ in whole)
            return max((lines for (level, _), lines in whole.items() if level == top), key=_word_count)
    return []


def _sections(padded: str) -> list[Section]:
    """Every heading of an article, given with a line break before and after it, and the text that it heads."""
    found = list(_HEADING.finditer(padded))
    ends = [match.start() for match in found[1:]] + [len(padded)]
    sections = []
    for match, end in zip(found, ends, strict=False):  # no heading, yet one end
        kind, name = _kind(match[2])
        sections.append(Section(min(len(match[1]), len(match[3]), 6), kind, name, match.end() - 1, end - 1))
    return sections


@lru_cache(maxsize=8192)
def _kind(heading: str) -> tuple[Kind, str]:
    """What a heading promises, and its name in lower case without markup and qualifiers. Headings repeat: cached."""
    simple = plain(heading) if _MARKUP.search(heading) else heading
    name = " ".join(simple.lower().replace("’", "'").strip(" =:.*").split())
    base = _base(name)
    more = _WITH_MORE.fullmatch(base)
    if _ASIDE.fullmatch(name):
        return Kind.ASIDE, base
    if _NOT_THE_STORY.match(base):
        return Kind.OTHER, base
    if PLOT.fullmatch(base) or (more and more[1] != "premise"):
        return Kind.PLOT, base
    return (Kind.TEASER if TEASER.fullmatch(base) or more else Kind.OTHER), base


def _base(name: str) -> str:
    """A heading's name without "(part two)", "- spoilers" and the like at its end."""
    while (shorter := _QUALIFIER.sub("", name)) and shorter != name:
        name = shorter
    return name


def _outermost(sections: list[Section], kind: Kind) -> list[int]:
    """The indexes of sections of a kind that do not stand inside one already taken."""
    taken: list[int] = []
    inside = _NO_LEVEL
    for index, section in enumerate(sections):
        if section.level <= inside:
            inside = _NO_LEVEL
        if inside == _NO_LEVEL and section.kind is kind:
            taken.append(index)
            inside = section.level
    return taken


def _tell(text: str, sections: list[Section], index: int) -> list[str]:
    """The paragraphs from a heading to the next of its level, without sub-sections that are asides."""
    told = paragraphs(text[sections[index].start : sections[index].end])
    skipping = _NO_LEVEL
    for section in sections[index + 1 :]:
        if section.level <= sections[index].level:
            break
        if section.level <= skipping:
            skipping = section.level if section.kind is Kind.ASIDE else _NO_LEVEL
        if skipping == _NO_LEVEL:
            told.extend(paragraphs(text[section.start : section.end]))
    return told


def _word_count(lines: list[str]) -> int:
    return sum(line.count(" ") + 1 for line in lines)
