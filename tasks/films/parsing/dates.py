"""Read a date in an article, as ISO 8601 and as precise as it is given."""

from __future__ import annotations

import re
from datetime import date

from tasks.films.parsing.credits import LINK, MAX_VALUE_CHARACTERS, TAG
from tasks.films.parsing.plain_text import without_references

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


def iso_date(value: str) -> str | None:
    """Return the first date in a value as ISO 8601, as precise as it is given: "1994", "1994-09" or "1994-09-27"."""
    value = without_references(value[:MAX_VALUE_CHARACTERS])
    for match in _DATE_TEMPLATE.finditer(value):
        numbers = [part.strip() for part in match[1].split("|") if "=" not in part]
        if numbers and _YEAR.fullmatch(numbers[0]):
            return _precise(*[*numbers[:3], "", ""][:3])
    plain = TAG.sub(" ", LINK.sub(lambda link: link[2] or link[1], value)).replace("&nbsp;", " ")
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
