"""Find the plot section of an article and return its paragraphs.

Only this section is parsed, never the whole page: headings are found by a regular expression, which is thirty
times as fast as parsing the page, and unclosed markup elsewhere cannot hide the section.
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
"""A bold line, which old and short articles have instead of a heading."""
_QUALIFIER = re.compile(r"\s*(?:\([^()]*\)|\[[^\[\]]*\]|[:.–—-]+|\bpart\s+\w+)\s*$")

_KINDS = (
    "summary|synopsis|outline|overview|details?|description|story|storyline|recap|line|review|section|information"
    "|introduction"
)
PLOT = re.compile(
    rf"(?:the |film'?s? |movie |original |official |full |detailed |brief |short |complete |main |basic |story )*"
    rf"(?:plots?(?: ?(?:{_KINDS}))?|synopsis|storyline|story ?line|story|stories|trama|argumento|sinopsis|sinopse"
    r"|sinossi|enredo|plotlines?"
    r"|handlung|résumé|intrigue|handling|fabuła|zusammenfassung|(?:plot summary|summary|plot"
    r"|synopsis) of (?:the )?(?:film|plot)"
    r"|story (?:outline|summary|synopsis)"
    r"|(?:background|setting|overview|concept|premise|introduction) (?:and|&) (?:plot|synopsis|story))"
)
"""Headings of a plot section, in the languages of the articles that the rules were made from."""
TEASER = re.compile(
    r"(?:the |brief |short )*(?:premise|summary|outline|narrative|scenario|film summary|movie summary|contents?"
    r"|storyline summary)"
)
"""Headings of sections that may hold a plot, used when there is no `PLOT` section."""
LAST_RESORT = re.compile(r"(?:the )?(?:film )?(?:overview|description|segments|vignettes|episodes)")
"""Headings under which an anthology or a short article may tell its story, used when there is no other."""
_AFTER_MORE = re.compile(
    r"(?:cast|characters?|themes?|setting|structure) (?:and|&) (?:the )?(?:plots?|synopsis|story(?:line)?)"
)
"""As in "Cast and plot", which is no aside."""
_WITH_MORE = re.compile(
    r"(plot(?: summary| synopsis)?|synopsis|premise|storyline|story)(?:\s*(?:\band\b|&|/|,|\+|;|–|—| - ).*)$"
)
_NO_PLOT = re.compile(
    r"story (?:and|&) (?:screenplay|script|development|production|music|dialogues?|writing|direction)"
    r"|plot (?:and|&) (?:production|development)\b"
)
_ASIDE = re.compile(
    r"(?:main |voice |original |full |english )*(?:cast|characters?|credits|crew|music|songs?|soundtrack|production"
    r"|reception|release|notes?|footnotes?|references|sources|citations|see also|external links|analysis|themes?"
    r"|awards?|box office|trivia|gallery|personaggi|interpreti|galleria.*|note)(?: and .*)?"
    r"|production notes?.*|(?:historical )?(?:differences?|comparisons?|deviations?|accuracy|inaccuracies|changes)\b.*"
)
"""Sub-sections of a plot section that are not part of the plot."""
_MARKUP = re.compile(r"[\[{<'&_]")
_NO_LEVEL = 7
"""Deeper than every heading: they have levels 1 to 6."""
MIN_WORDS = 5
""""To be added" is no plot."""


class Kind(StrEnum):
    """What kind of section a heading announces."""

    PLOT = "plot"
    TEASER = "teaser"
    LAST_RESORT = "last_resort"
    ASIDE = "aside"
    OTHER = "other"


@dataclass(frozen=True)
class Section:
    """A heading (level, kind, name without qualifiers) and the range of the text from it to the next heading."""

    level: int
    kind: Kind
    name: str
    start: int
    end: int


def plot_paragraphs(text: str) -> list[str]:
    """Return the paragraphs of an article's plot, or none; `text` has no comments.

    Of several plot sections those of one name are joined (Plot, Plot (part two)), and of several names the one
    with the most words is returned (not a Synopsis that only announces the Plot).
    """
    if "<h" in text:
        text = _HTML_HEADING.sub(lambda m: f"\n{'=' * int(m[1])}{m[2].strip()}{'=' * int(m[1])}\n", text)
    return _longest(text) or _longest(_BOLD_HEADING.sub(r"==\1==", text))


def _longest(text: str) -> list[str]:
    """Return the paragraphs of the plot section with the most words, else of such a teaser."""
    sections = _sections(f"\n{text}\n")
    for kind in (Kind.PLOT, Kind.TEASER, Kind.LAST_RESORT):
        plots: dict[tuple[int, str], list[str]] = {}
        for index in _outermost(sections, kind):
            key = (sections[index].level, sections[index].name)
            plots.setdefault(key, []).extend(_section_paragraphs(text, sections, index))
        long_enough = {key: lines for key, lines in plots.items() if _word_count(lines) >= MIN_WORDS}
        if long_enough:
            top = min(level for level, _ in long_enough)
            return max((lines for (level, _), lines in long_enough.items() if level == top), key=_word_count)
    return []


def _sections(padded: str) -> list[Section]:
    """Return the sections of an article; `padded` is its text between two line breaks."""
    headings = list(_HEADING.finditer(padded))
    ends = [match.start() for match in headings[1:]] + [len(padded)]
    sections = []
    for match, end in zip(headings, ends, strict=False):  # without headings there is still one end
        kind, name = _kind(match[2])
        sections.append(Section(min(len(match[1]), len(match[3]), 6), kind, name, match.end() - 1, end - 1))
    return sections


@lru_cache(maxsize=8192)
def _kind(heading: str) -> tuple[Kind, str]:
    """Return a heading's kind, and its name in lower case without markup and qualifiers. Cached: headings repeat."""
    simple = plain(heading) if _MARKUP.search(heading) else heading
    name = " ".join(simple.lower().replace("’", "'").strip(" =:.*").split())
    base = _base(name)
    more = _WITH_MORE.fullmatch(base)
    if _AFTER_MORE.fullmatch(base):
        return Kind.PLOT, base
    if _ASIDE.fullmatch(name):
        return Kind.ASIDE, base
    if _NO_PLOT.match(base):
        return Kind.OTHER, base
    if PLOT.fullmatch(base) or (more and more[1] != "premise"):
        return Kind.PLOT, base
    if LAST_RESORT.fullmatch(base):
        return Kind.LAST_RESORT, base
    return (Kind.TEASER if TEASER.fullmatch(base) or more else Kind.OTHER), base


def _base(name: str) -> str:
    """Return a heading's name without "(part two)", "- spoilers" and the like at its end."""
    while (shorter := _QUALIFIER.sub("", name)) and shorter != name:
        name = shorter
    return name


def _outermost(sections: list[Section], kind: Kind) -> list[int]:
    """Return the indexes of the sections of a kind that are not inside another one of the kind."""
    outermost: list[int] = []
    inside = _NO_LEVEL
    for index, section in enumerate(sections):
        if section.level <= inside:
            inside = _NO_LEVEL
        if inside == _NO_LEVEL and section.kind is kind:
            outermost.append(index)
            inside = section.level
    return outermost


def _section_paragraphs(text: str, sections: list[Section], index: int) -> list[str]:
    """Return the paragraphs from a heading to the next one of its level, without sub-sections that are asides."""
    result = paragraphs(text[sections[index].start : sections[index].end])
    skipping = _NO_LEVEL
    for section in sections[index + 1 :]:
        if section.level <= sections[index].level:
            break
        if section.level <= skipping:
            skipping = section.level if section.kind is Kind.ASIDE else _NO_LEVEL
        if skipping == _NO_LEVEL:
            result.extend(paragraphs(text[section.start : section.end]))
    return result


def _word_count(lines: list[str]) -> int:
    return sum(line.count(" ") + 1 for line in lines)
