"""Find the alternative titles that an article's first sentence gives, and the film's IMDb id.

Original titles and titles in other countries, as in '''Life Is Beautiful''' ({{langx|it|La vita è bella}}) and
'''The Departed''' (also known as '''Infernal'''). They are used to find albums that are sold under such a title, and
for nothing else. The IMDb id is that of the infobox or the external links.
"""

from __future__ import annotations

import re

from tasks.films.parsing.plain_text import without_references

MAX_NAMES = 6
OPENING_CHARACTERS = 1_500
"""Characters of the first paragraph that are searched: the titles are at its beginning."""
MAX_NAME_CHARACTERS = 100
_LEAD_LINE = re.compile(r"^[^\n{|\[<=*#:;]*'''[^\n]*", re.MULTILINE)
_HEADING = re.compile(r"^==", re.MULTILINE)
_BOLD = re.compile(r"'{3,5}([^'\n](?:[^'\n]|'(?!''))*?)'{3,5}")
_IN_LANGUAGE = re.compile(
    r"\{\{\s*(?:(?:langx?|native name|transliteration|transl)\s*\|\s*[A-Za-z][\w-]*|lang-[a-z-]+)\s*\|([^{}]*)\}\}",
    re.IGNORECASE,
)
_LINK = re.compile(r"\[\[(?:[^\[\]|]*\|)?([^\[\]|]*)\]\]")
_TAG = re.compile(r"<[^<>]*>|\{\{[^{}]*\}\}")
_IMDB = re.compile(
    r"\{\{\s*(?:imdb(?:[ _]?(?:title|film|movie|episode))?)\s*(\|[^{}]*)?\}\}"
    r"|imdb\.(?:com|de)/(?:[a-z]{2}/)?title/(tt\d+)",
    re.IGNORECASE,
)
_OTHER_IMDB = frozenset({"nome", "name", "personaggio", "character", "company", "event"})
"""What else {{Imdb|…}} links to on some wikis."""
_LINKS_HEADING = re.compile(
    r"^==\s*(?:external links?|collegamenti esterni|liens externes|weblinks|enlaces externos)", re.M | re.I
)
_IMDB_NUMBER = re.compile(r"(?:id\s*=\s*)?(?:tt)?0*(\d{1,10})", re.IGNORECASE)


def alternative_titles(title: str, text: str, native_name: str = "") -> tuple[str, ...]:
    """Return the titles other than the page's, in the order of the text; `native_name` is the infobox's parameter."""
    heading = _HEADING.search(text)
    lead = text[: heading.start()] if heading else text
    line = _LEAD_LINE.search(lead)
    opening = without_references(line[0][:OPENING_CHARACTERS]) if line else ""
    matches = [(match.start(), match[1]) for match in _BOLD.finditer(opening)]
    matches += [(match.start(), _first_value(match[1])) for match in _IN_LANGUAGE.finditer(opening)]
    native = [_first_value(match[1]) for match in _IN_LANGUAGE.finditer(native_name)] or [native_name]
    names = [_plain(name) for _, name in sorted(matches)] + [_plain(name) for name in native]
    page_title = {_letters(title), _letters(re.sub(r"\s*\([^()]*\)$", "", title))}
    others = [name for name in names if 1 < len(name) <= MAX_NAME_CHARACTERS and _letters(name) not in page_title]
    return tuple(dict.fromkeys(others))[:MAX_NAMES]


def _first_value(values: str) -> str:
    """Return a template's first unnamed parameter; translations and transcriptions are in named ones."""
    return next((value for value in values.split("|") if "=" not in value), "")


def _letters(name: str) -> str:
    return re.sub(r"\W", "", name).casefold()


def _plain(name: str) -> str:
    """Return a title as a reader sees it."""
    shown = _TAG.sub("", _LINK.sub(r"\1", name)).replace("''", "")
    return " ".join(shown.split()).strip(" \"“”'.,;:()")


def imdb_id(text: str, parameter: str = "") -> str | None:
    """Return a film's IMDb id, such as "tt0110912", from the infobox's parameter or the article's external links.

    An article may link other titles too (a sequel, a short film), so the first link under External links counts, and
    one elsewhere only if it is the only one.
    """
    number = _IMDB_NUMBER.fullmatch(parameter.strip())
    if number:
        return _imdb(number[1])
    heading = _LINKS_HEADING.search(text)
    linked = _imdb_ids(text[heading.start() :]) if heading else []
    anywhere = list(dict.fromkeys(_imdb_ids(text)))
    return linked[0] if linked else anywhere[0] if len(anywhere) == 1 else None


def _imdb_ids(text: str) -> list[str]:
    ids = []
    for match in _IMDB.finditer(text):
        values = [match[2]] if match[2] else (match[1] or "").split("|")
        if any(value.strip().lower() in _OTHER_IMDB for value in values):
            continue
        numbers = (_IMDB_NUMBER.fullmatch(value.strip()) for value in values)
        ids += [_imdb(number[1]) for number in list(filter(None, numbers))[:1]]
    return ids


def _imdb(number: str) -> str:
    return f"tt{int(number):07d}"
