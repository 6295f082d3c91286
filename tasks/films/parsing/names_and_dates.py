"""Parse the names and dates that a parameter's value lists, whatever its notation.

A parameter such as `music = {{ubl|[[A]]|[[B & C]] (songs)}}` is a list in one of many notations. A link is one name
whatever it contains; between links the usual separators count. A date is ISO 8601, as precise as it is given.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from datetime import date

from tasks.films.parsing.plain_text import FILE_NAMESPACES, without_references
from tasks.films.parsing.templates import words

MAX_NAMES = 40
MAX_NAME_CHARACTERS = 120
MAX_VALUE_CHARACTERS = 20_000
"""Characters of a value that are parsed: an unclosed template may make one of the rest of the article."""
_LISTS = frozenset(
    {"ubl", "ubt", "unbulleted list", "plainlist", "plain list", "flatlist", "flat list", "hlist", "cslist", "list"}
    | {"comma separated entries", "bulleted list", "ulist", "ordered list", "collapsible list"}
    | {"br separated entries", "indented plainlist"}
    | {"endplainlist", "endflatlist", "end plainlist"}
)
_INNERMOST = re.compile(r"\{\{([^{}]*)\}\}")
_LINK = re.compile(r"\[\[([^\[\]|]*)(?:\|([^\[\]]*))?\]\]")
_FILE = re.compile(rf"\s*(?:{FILE_NAMESPACES})\s*:", re.IGNORECASE)
_EXTERNAL_LINK = re.compile(r"\[(?:https?:)?//\S+\s*([^\[\]]*)\]|https?://\S+")
_BREAK = re.compile(r"</?(?:br|p|li|div)\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"<[^<>\n]*>")
_LEFTOVER = re.compile(r"\[\[|\]\]|\{\{[^{}|\n]*\|?|\}\}|'{2,}")
_OPEN, _CLOSE, _FIRST_LINK = "\ue000", "\ue001", 0xE100
"""Private characters: a link is `_OPEN`, its index from `_FIRST_LINK`, `_CLOSE`."""
_LINKED = re.compile(f"{_OPEN}(.){_CLOSE}")
_AND = r"(?:and|e|et|und|y|og|och|en)"
_SEPARATOR = re.compile(
    rf",(?!\s*(?:Jr|Sr|Inc|Ltd|II|III)\b)|[;•·\n、]|\s[/|&+×–—]\s|\s(?:and|with)\s|(?<={_CLOSE})\s*(?:{_AND}\s|[&/+])\s*(?={_OPEN})"
)
FEATURING = re.compile(r"\s*[(\[]?\b(?:feat(?:uring)?|ft)\b\.?\s*", re.IGNORECASE)
_ROLE_WORDS = (
    r"(?:(?:original|background|film|playback|additional|theme|title|incidental)\s+)?"
    r"(?:songs?|scores?|scoring|music|soundtrack|bgm|themes?|compos(?:er|ition|ed|ers)|lyrics?|lyricists?"
    r"|words|album|guest composer|conduct(?:ed|ors?)|orchestrat(?:ed|ions?|ors?)"
    r"|music(?:al)? (?:supervis|edit|direct)(?:ed|ors?|ion|ing))"
)
_ROLE = re.compile(
    rf"(?P<role>{_ROLE_WORDS}(?:\s*(?:and|&|,|/)\s*{_ROLE_WORDS}){{0,3}})(?:\(s\))?\s*"
    r"(?:(?:composed |written )?by\b\s*:?|:|$)\s*",
    re.IGNORECASE,
)
_MUSICAL = re.compile(r"song|scor|music(?!(?:al)? (?:supervis|edit))|compos|theme|bgm|soundtrack|album", re.IGNORECASE)
_ASIDE = re.compile(r"\s*[(（\[]([^()（）\[\]]*)[)）\]]")
_ONLY_WORDS = re.compile(r"(?:lyrics?|lyricists?|words)(?: by| only)?", re.IGNORECASE)
_NO_NAME = re.compile(
    r"(?:various(?: artists?)?|vari|uncredited|unknown|none(?: credited| listed)?"
    r"|no (?:music|score|composer)(?: credited)?|(?:stock|library) music|see (?:soundtrack|music)(?: section)?"
    r"|n/?a|tb[ac]|see below|et al\.?|others?|more|more|etc\.?"
    r"|(?:except|unless|all (?:songs|tracks|music|lyrics)|except)\b.*|\W*)",
    re.IGNORECASE,
)
_ALL_TRACKS = re.compile(r"^all (?:songs|tracks|music|lyrics)[^\[{\ue000]*?\bby\s+", re.IGNORECASE)
_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_MONTH = "|".join(f"{name[:3]}(?:{name[3:]}|t)?\\.?" if len(name) > 3 else name for name in _MONTHS)
_DATE_TEMPLATE = re.compile(
    r"\{\{\s*(?:start[ -]?date(?: and age)?|release[ -]?date|film date|dts|date|start-date|released?)\s*\|([^{}]*)\}\}",
    re.I,
)
_DAY_MONTH_YEAR = re.compile(rf"\b(\d{{1,2}})(?:st|nd|rd|th)?\.?\s+({_MONTH})\s*,?\s+((?:18|19|20)\d\d)\b", re.I)
_MONTH_DAY_YEAR = re.compile(rf"\b({_MONTH})\s+(\d{{1,2}})(?:st|nd|rd|th)?\s*,?\s+((?:18|19|20)\d\d)\b", re.I)
_MONTH_YEAR = re.compile(rf"\b({_MONTH})\s*,?\s+((?:18|19|20)\d\d)\b", re.I)
_ISO = re.compile(r"\b((?:18|19|20)\d\d)-(\d{1,2})(?:-(\d{1,2}))?\b")
_YEAR_FIRST = re.compile(r"(?<!\d)((?:18|19|20)\d\d)([./])\s?(\d{1,2})\2\s?(\d{1,2})(?!\d)")
"""As in "2019.05.06", "2019/5/6" and the Korean "2019. 5. 6."."""
_DAY_FIRST = re.compile(r"(?<![\d.])(\d{1,2})\.\s?(\d{1,2})\.\s?((?:18|19|20)\d\d)(?!\d)")
"""With full stops the day is first; with slashes it may be the month, so such a date is only its year."""
_EAST_ASIAN = re.compile(r"(?<!\d)((?:18|19|20)\d\d)\s?[年년]\s*(\d{1,2})\s?[月월](?:\s*(\d{1,2})\s?[日일])?")
_YEAR = re.compile(r"(?<!\d)((?:18|19|20)\d\d)(?!\d)")
_DATES = (
    (_ISO, 1, 2, 3),
    (_YEAR_FIRST, 1, 3, 4),
    (_DAY_FIRST, 3, 2, 1),
    (_EAST_ASIAN, 1, 2, 3),
    (_DAY_MONTH_YEAR, 3, 2, 1),
    (_MONTH_DAY_YEAR, 3, 1, 2),
    (_MONTH_YEAR, 2, 1, 0),
    (_YEAR, 1, 0, 0),
)
"""How dates are written, and which groups are year, month and day; 0: not given."""


def names_in(value: str) -> tuple[str, ...]:
    """Return the names that a parameter lists, in its order, without references, roles and remarks in brackets.

    Names under a heading such as "Lyrics:" are left out; those under "Songs:" and "Score:" are all returned.
    """
    text, links = _without_links(without_references(value[:MAX_VALUE_CHARACTERS]))
    found: list[str] = []
    is_left_out = False
    for line in _flattened(text).split("\n"):
        for part in _parts(_ALL_TRACKS.sub("", line.strip(" \t*#:;"))):
            role = _ROLE.match(part)
            if role and (role.end() < len(part) or not _LINKED.search(part)):
                is_left_out = not _MUSICAL.search(role["role"])
            if not is_left_out:
                found.append(_name(part[role.end() :] if role else part, links))
    by_letters = {name.casefold(): name for name in reversed(found) if name}
    return tuple(dict.fromkeys(by_letters[name.casefold()] for name in found if name))[:MAX_NAMES]


def _without_links(text: str) -> tuple[str, list[str]]:
    """Return the text with a private character for each link, and the links' labels."""
    labels: list[str] = []

    def label(link: re.Match[str]) -> str:
        if _FILE.match(link[1]) or len(labels) >= 1_000:
            return ""
        shown = link[2] if link[2] and link[2].strip() else re.sub(r"\s*\([^()]*\)$", "", link[1].lstrip(":"))
        labels.append(_LEFTOVER.sub("", shown).replace("_", " "))
        return f"{_OPEN}{chr(_FIRST_LINK + len(labels) - 1)}{_CLOSE}"

    return _LINK.sub(label, text), labels


def _flattened(text: str) -> str:
    """Return the text without markup, one line per entry of a list."""
    for _ in range(8):
        text, count = _INNERMOST.subn(_entries, text)
        if not count:
            break
    text = _BREAK.sub("\n", _EXTERNAL_LINK.sub(r"\1", text))
    return html.unescape(_LEFTOVER.sub("", _TAG.sub("", text))).replace("\xa0", " ")


def _entries(template: re.Match[str]) -> str:
    name, *arguments = template[1].split("|")
    positional = [part for part in arguments if not re.match(r"\s*\w+\s*=", part)]
    positional += [part.split("=", 1)[1] for part in arguments if re.match(r"\s*[1-9]\d*\s*=", part)]
    if " ".join(name.replace("_", " ").lower().split()) in _LISTS:
        return "\n".join(["", *positional, ""])
    named = dict(part.split("=", 1) for part in arguments if re.match(r"\s*\w+\s*=", part))
    return words(name, positional, {key.strip().lower(): value for key, value in named.items()})


def _parts(line: str) -> Iterator[str]:
    """Yield the parts of a line between separators; a role at its start, such as "Music and lyrics:", stays whole."""
    role = _ROLE.match(line)
    start = role.end() if role else 0
    for number, part in enumerate(_SEPARATOR.split(FEATURING.sub(", ", line[start:]))):
        halves = part.split("/")  # "Tony Martin/Lena Horne", but not "AC/DC"
        halves = halves if all(" " in half.strip() for half in halves) else [part]
        halves[0] = f"{line[:start]}{halves[0]}" if number == 0 else halves[0]
        yield from (half.strip() for half in halves)


def _name(part: str, links: Sequence[str]) -> str:
    """Return one name as a reader sees it, or an empty string if it is none."""
    asides = _ASIDE.findall(part)
    if asides and all(_ONLY_WORDS.fullmatch(aside.strip()) for aside in asides):
        return ""
    bare = re.sub(r"^\s*(?:[&+]|and\b|or\b)\s*", "", part)
    while (shorter := _ASIDE.sub(" ", bare)) != bare:
        bare = shorter
    shown = _LINKED.sub(lambda link: links[ord(link[1]) - _FIRST_LINK], bare)
    shown = " ".join(shown.replace(_OPEN, "").replace(_CLOSE, "").split()).strip(" \"“”'’,;:|*-–—()[]†‡✗#")
    shown = re.sub(r"(?<=[^\W\d_]{4})\.$", "", shown)  # a full stop, not that of "Jr." or "R.E.M."
    return "" if _NO_NAME.fullmatch(shown) or len(shown) > MAX_NAME_CHARACTERS else html.unescape(shown)


def iso_date(value: str) -> str | None:
    """Return the first date in a value as ISO 8601, as precise as it is given: "1994", "1994-09" or "1994-09-27"."""
    value = without_references(value[:MAX_VALUE_CHARACTERS])
    for match in _DATE_TEMPLATE.finditer(value):
        numbers = [part.strip() for part in match[1].split("|") if "=" not in part]
        if numbers and _YEAR.fullmatch(numbers[0]):
            return _precise(*[*numbers[:3], "", ""][:3])
    plain = _TAG.sub(" ", _LINK.sub(lambda link: link[2] or link[1], value)).replace("&nbsp;", " ")
    found = []
    for pattern, *order in _DATES:
        if written := pattern.search(plain):
            parts = [(written[index] or "") if index else "" for index in order]
            found.append((written.start(), -written.end(), _precise(*parts)))
    return min(found)[2] if found else None


def _precise(year: str, month: str, day: str) -> str:
    """Return a date with as many of its parts as make one: 31 February is only the February of its year."""
    months = [name[:3] for name in _MONTHS]
    if month.isdecimal():
        number = int(month)
    else:
        number = months.index(month[:3].lower()) + 1 if month[:3].lower() in months else 0
    if not 1 <= number <= 12:
        return year
    try:
        return date(int(year), number, int(day)).isoformat()
    except ValueError:
        return f"{year}-{number:02d}"
