"""The other names that a film's article gives in its first sentence: original titles, titles elsewhere.

As in '''Life Is Beautiful''' ({{langx|it|La vita è bella}}) and '''Mad Max 2''' (also known as '''The Road
Warrior'''). They help to find a film's album that is sold under such a name; nothing else is built on them.
"""

from __future__ import annotations

import re

from tasks.films.parsing.plain_text import without_references

MOST_NAMES = 6
OPENING_CHARACTERS = 1_500
"""Of the first paragraph: the names stand at its beginning, whatever follows."""
LONGEST_NAME = 100
_LEAD_LINE = re.compile(r"^[^\n{|\[<=*#:;]*'''[^\n]*", re.MULTILINE)
_HEADING = re.compile(r"^==", re.MULTILINE)
_BOLD = re.compile(r"'{3,5}([^'\n](?:[^'\n]|'(?!''))*?)'{3,5}")
_IN_LANGUAGE = re.compile(
    r"\{\{\s*(?:(?:langx?|native name|transliteration|transl)\s*\|\s*[A-Za-z][\w-]*|lang-[a-z-]+)\s*\|([^{}]*)\}\}",
    re.IGNORECASE,
)
_LINK = re.compile(r"\[\[(?:[^\[\]|]*\|)?([^\[\]|]*)\]\]")
_TAG = re.compile(r"<[^<>]*>|\{\{[^{}]*\}\}")


def other_names(title: str, text: str, native_name: str = "") -> tuple[str, ...]:
    """Names beside the page's title, in the order of the text; `native_name` is the infobox's own parameter."""
    lead = text[: heading.start()] if (heading := _HEADING.search(text)) else text
    line = _LEAD_LINE.search(lead)
    opening = without_references(line[0][:OPENING_CHARACTERS]) if line else ""
    found = [(match.start(), match[1]) for match in _BOLD.finditer(opening)]
    found += [(match.start(), _first_value(match[1])) for match in _IN_LANGUAGE.finditer(opening)]
    native = [_first_value(match[1]) for match in _IN_LANGUAGE.finditer(native_name)] or [native_name]
    names = [_plain(name) for _place, name in sorted(found)] + [_plain(name) for name in native]
    own = {_letters(title), _letters(re.sub(r"\s*\([^()]*\)$", "", title))}
    kept = [name for name in names if 1 < len(name) <= LONGEST_NAME and _letters(name) not in own]
    return tuple(dict.fromkeys(kept))[:MOST_NAMES]


def _first_value(values: str) -> str:
    """A template's first parameter without a name; a translation or a transcription stands in those with one."""
    return next((value for value in values.split("|") if "=" not in value), "")


def _letters(name: str) -> str:
    return re.sub(r"\W", "", name).casefold()


def _plain(name: str) -> str:
    """A name as a reader sees it."""
    shown = _TAG.sub("", _LINK.sub(r"\1", name)).replace("''", "")
    return " ".join(shown.split()).strip(" \"“”'.,;:()")
