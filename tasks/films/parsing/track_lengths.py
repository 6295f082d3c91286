"""Read the length of a track in an article, written with colons, primes or a template, as seconds."""

from __future__ import annotations

import re

from tasks.films.parsing.plain_text import plain, without_references

MAX_TITLE_CHARACTERS = 2_000
"""Of wikitext that are parsed: an unclosed template may make a title of the rest of the article."""
MAX_LENGTH_SECONDS = 4 * 3600.0
_LENGTH = re.compile(r"(?:(\d{1,2})[:.])?(\d{1,3})[:.](\d{2})(?:[.,](\d{1,3}))?")
_LENGTH_WORDS = re.compile(r"min(?:ute)?s?\.?|approx\.?|c\.|~|\s|[()\[\]]", re.IGNORECASE)
_DURATION = re.compile(r"\{\{\s*(?:duration|durée|hms|time)\s*\|([^{}]*)\}\}", re.IGNORECASE)
_PRIMES = re.compile(r"(\d+)\s*['′’]\s*(\d{2})\s*(?:[\"″”]|''|′′|’’)?")
_SPELLED = re.compile(
    r"(?:(\d{1,2})\s*h(?:ours?|rs?)?\.?\s*)?(\d{1,3})\s*m(?:in(?:ute)?s?)?\.?[\s,]*(\d{1,2})\s*s(?:ec(?:ond)?s?)?\.?",
    re.IGNORECASE,
)
_REMARK = re.compile(r"(?<=\d)\s*\([^()\d]*\)$")


def seconds_of(value: str) -> float | None:
    """Return a length such as "3:05", "1:02:03" or "3.05" in seconds, or None where it is none or may be two.

    "3:5" may be 3:05 or 3:50, so it is None: a wrong length would speak against the right recording.
    """
    value = without_references(value[:MAX_TITLE_CHARACTERS]).strip()
    duration = _DURATION.search(value)
    if duration:
        value = _duration(duration[1])
    shown = _REMARK.sub("", plain(value) if "{" in value or "<" in value else value)
    if spelled := _SPELLED.fullmatch(shown):
        shown = f"{spelled[1] or 0}:{int(spelled[2]):02d}:{int(spelled[3]):02d}"
    primes = _PRIMES.fullmatch(shown)
    text = f"{primes[1]}:{primes[2]}" if primes else _LENGTH_WORDS.sub("", shown)
    match = _LENGTH.fullmatch(text.replace("：", ":").strip("'"))
    if not match or int(match[3]) >= 60 or (match[1] and int(match[2]) >= 60):
        return None
    fraction = int(match[4]) / 10 ** len(match[4]) if match[4] else 0.0
    seconds = int(match[1] or 0) * 3600 + int(match[2]) * 60 + int(match[3]) + fraction
    return seconds if 0 < seconds <= MAX_LENGTH_SECONDS else None


def _duration(arguments: str) -> str:
    """Return {{Duration|h=1|m=2|s=3}}, {{Duration|3:05}}, {{hms|0|3|5}} or {{Durée|3|05}} as h:mm:ss."""
    parts = [part.strip() for part in arguments.split("|")]
    named = dict(part.replace(" ", "").split("=", 1) for part in parts if "=" in part)
    plain_parts = [part for part in parts if "=" not in part]
    if named:
        numbers = [named.get(key, "") or "0" for key in ("h", "m", "s")]
    elif len(plain_parts) in (2, 3):
        numbers = [part or "0" for part in ("0", *plain_parts)[-3:]]
    else:
        return plain_parts[0] if plain_parts else ""
    if not all(re.fullmatch(r"\d{1,3}", number, re.ASCII) for number in numbers):
        return ""
    hours, minutes, seconds = (int(number) for number in numbers)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
