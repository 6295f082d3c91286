"""Where the plot stands in an article, and its paragraphs.

Only the section is parsed, never the page: the page's headings are found by pattern, which is thirty times
faster than a parse of the whole and cannot lose a section to markup left open in another one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tasks.films.markup import paragraphs, plain

_HEADING = re.compile(r"^(=+)[ \t]*(?!=)([^\n]*?[^=\n])[ \t]*(=+)[ \t]*$", re.MULTILINE)
_HTML_HEADING = re.compile(r"<h([1-6])\b[^<>]*>(.*?)</h\1\s*>", re.IGNORECASE | re.DOTALL)
_QUALIFIER = re.compile(r"\s*(?:\([^()]*\)|\[[^\[\]]*\]|[:.–—-]+|\bpart\s+\w+)\s*$")

_KINDS = "summary|synopsis|outline|overview|details?|description|story|storyline|recap|line|review|section|information"
PLOT = re.compile(
    rf"(?:the |film'?s? |movie |original |full |detailed |brief |short |complete |main |basic |story )*"
    rf"(?:plots?(?: ?(?:{_KINDS}))?|synopsis|storyline|story ?line|story|stories|trama|argumento|sinopsis|sinopse"
    r"|handlung|résumé|intrigue|handling|fabuła|zusammenfassung|(?:plot summary|summary|plot) of the (?:film|plot))"
)
"""Headings of a section that tells the story, in the languages whose articles were at hand."""
TEASER = re.compile(
    r"(?:the )?(?:premise|summary|outline|narrative|scenario|film summary|movie summary|content|storyline summary)"
)
"""Headings that may tell it, used when no `PLOT` section does."""
_WITH_MORE = re.compile(r"(plot|synopsis|premise|storyline|story)(?:\s*(?:\band\b|&|/|,|\+|;|–|—| - ).*)$")
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
MINIMUM_WORDS = 5
""""To be added" is no plot."""


@dataclass(frozen=True)
class Heading:
    """A heading's level, its text in lower case without markup, and where its line starts and ends."""

    level: int
    name: str
    start: int
    end: int


def plot_paragraphs(text: str) -> list[str]:
    """The plot of an article whose comments are removed: its paragraphs, or none.

    Of several sections that tell the story, those of one name are joined (Plot, Plot (part two)), and of
    several names the one with the most words wins (a Synopsis that only announces the Plot loses).
    """
    text = (
        _HTML_HEADING.sub(lambda m: f"\n{'=' * int(m[1])}{m[2].strip()}{'=' * int(m[1])}\n", text)
        if "<h" in text
        else text
    )
    found = _headings(text)
    for kind in (_is_plot, _is_teaser):
        told: dict[tuple[int, str], list[str]] = {}
        for index in _outermost(found, kind):
            told.setdefault((found[index].level, _base(found[index].name)), []).extend(_tell(text, found, index))
        if told:
            top = min(
                (level for (level, _), lines in told.items() if _word_count(lines) >= MINIMUM_WORDS), default=None
            )
            best = max((lines for (level, _), lines in told.items() if level == top), key=_word_count, default=[])
            if best:
                return best
    return []


def _headings(text: str) -> list[Heading]:
    found = []
    for match in _HEADING.finditer(text):
        level = min(len(match[1]), len(match[3]), 6)
        found.append(Heading(level, _name(match[2]), match.start(), match.end()))
    return found


def _name(heading: str) -> str:
    simple = plain(heading) if re.search(r"[\[{<'&_]", heading) else heading
    return " ".join(simple.lower().replace("’", "'").strip(" =:.").split())


def _base(name: str) -> str:
    while True:
        shorter = _QUALIFIER.sub("", name)
        if shorter == name or not shorter:
            return name
        name = shorter


def _is_plot(name: str) -> bool:
    base = _base(name)
    more = _WITH_MORE.fullmatch(base)
    return bool(PLOT.fullmatch(base) or (more and more[1] != "premise")) and not _NOT_THE_STORY.match(base)


def _is_teaser(name: str) -> bool:
    base = _base(name)
    return bool(TEASER.fullmatch(base) or _WITH_MORE.fullmatch(base)) and not _NOT_THE_STORY.match(base)


def _outermost(found: list[Heading], is_kind: object) -> list[int]:
    """The indexes of matching headings that do not stand inside a section already taken."""
    taken, inside = [], 7
    for index, heading in enumerate(found):
        if heading.level <= inside:
            inside = 7
        if inside == 7 and is_kind(heading.name):  # type: ignore[operator]
            taken.append(index)
            inside = heading.level
    return taken


def _tell(text: str, found: list[Heading], index: int) -> list[str]:
    """The paragraphs from a heading to the next of its level, without sub-sections that are asides."""
    told, level = [], found[index].level
    skipping = 7
    for at in range(index, len(found)):
        heading = found[at]
        if at > index and heading.level <= level:
            break
        if heading.level <= skipping:
            skipping = heading.level if at > index and _ASIDE.fullmatch(heading.name) else 7
        if skipping == 7:
            end = found[at + 1].start if at + 1 < len(found) else len(text)
            told.extend(paragraphs(text[heading.end : end]))
    return told


def _word_count(lines: list[str]) -> int:
    return sum(len(line.split()) for line in lines)
