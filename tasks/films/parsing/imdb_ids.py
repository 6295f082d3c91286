"""Find a film's IMDb id in the infobox or the external links of an article."""

from __future__ import annotations

import re

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
