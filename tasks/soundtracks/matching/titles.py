"""Titles as words: how a film's title is recognised inside an album's or a video's name.

A title counts only as a whole phrase, and the words beside it decide whether it is this film: a number
or "Part Two" after it is a sequel, other words in the same stretch are a longer title ("Rocky Balboa" is
not "Rocky"), while the artist's name, soundtrack words and edition words change nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Set
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

_DISAMBIGUATION = re.compile(r"\s*\((?:[^()]*\b(?:film|movie|serial)\b[^()]*|\d{4})\)\s*$", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+")
_BREAK = re.compile(r"[|•·()\[\]{}/\"“”«»;]|(?<!\w)[-–—~](?!\w)|[–—]")
"""Between two stretches of a video's name; a hyphen only with space around it, a colon never: it starts a subtitle."""
_ALBUM_BREAK = re.compile(r"[|•·()\[\]{}/\"“”«»;]")
"""Between two stretches of an album's name, where a dash starts a subtitle as a colon does."""
_SUBTITLE = re.compile(r":|(?<!\w)[-–—~](?!\w)|[–—]")
_DIGIT_AS_LETTER = re.compile(r"(?<=[a-z])[013457](?=[a-z])")
"""In a word's midst, as posters write it: "Se7en", "S1m0ne", "Fant4stic"."""
_LETTER = dict(zip("013457", "oieasv", strict=True))
_ORDINAL = re.compile(r"\d+(?:st|nd|rd|th)")
ARTICLES = frozenset({"the", "a", "an"})
_NUMBERS = "one two three four five six seven eight nine ten eleven twelve thirteen"
_ROMAN = "ii iii iv v vi vii viii ix x xi xii xiii"
_SAME_WORD = {
    **{word: str(number) for number, word in enumerate(_NUMBERS.split(), 1)},
    **{word: str(number) for number, word in enumerate(_ROMAN.split(), 2)},
    "vol": "volume",
    "pt": "part",
    "ch": "chapter",
    "st": "saint",
    "dr": "doctor",
    "mr": "mister",
}
_SEQUEL_MARKS = frozenset({"part", "chapter", "volume", "episode", "sequel"})
_COVERAGE = 0.75
"""Share of a title's words that must appear, when its phrase does not; for titles of at least three words."""


class Naming(IntEnum):
    """How far a text names a film; a higher value is a better match."""

    NO = 0
    SEQUEL = 1
    """The title, then a number or "part": another film of the series."""
    LONGER = 2
    """The title inside a longer title."""
    LOOSE = 3
    """The title among words that nobody can account for."""
    COVERED = 4
    """Most of a long title's words, and nothing foreign."""
    WHOLE = 5
    """The title as a phrase of its own."""


@dataclass(frozen=True)
class Words:
    """A text as comparable words, each with the number of the stretch it stands in."""

    words: tuple[str, ...]
    stretches: tuple[int, ...]
    opens_subtitle: tuple[bool, ...]
    """Whether a colon or dash stands between the word and the one before it."""


def plain_title(page_title: str) -> str:
    """A page's title without the brackets that tell it from other pages: "Health (film)" is "Health"."""
    shorter = _DISAMBIGUATION.sub("", page_title)
    return shorter or page_title


@lru_cache(maxsize=65536)
def words_of(text: str, *, is_album: bool = False) -> Words:
    """Split a text into words without case, accents and apostrophes; "&" and "and" are left out alike."""
    decomposed = unicodedata.normalize("NFKD", text.replace("&", " and "))
    plain = "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()
    plain = _DIGIT_AS_LETTER.sub(lambda digit: _LETTER[digit[0]], re.sub(r"['’‘`´]", "", plain))
    words, stretches, subtitles, stretch, last_end = [], [], [], 0, 0
    stretch_break = _ALBUM_BREAK if is_album else _BREAK
    for found in _WORD.finditer(plain):
        between = plain[last_end : found.start()]
        stretch += bool(stretch_break.search(between))
        last_end = found.end()
        if found.group() == "and":
            continue
        words.append(_SAME_WORD.get(found.group(), found.group()))
        stretches.append(stretch)
        subtitles.append(bool(_SUBTITLE.search(between)))
    return Words(tuple(words), tuple(stretches), tuple(subtitles))


@lru_cache(maxsize=65536)
def title_words(page_title: str) -> tuple[str, ...]:
    """The words of a film's title; a title without any letter or digit ("?") stays as it is."""
    plain = plain_title(page_title)
    return words_of(plain).words or (plain.strip().casefold(),)


def is_one_word(page_title: str) -> bool:
    """Whether a title is one word beside its article: such a phrase stands in many names by chance."""
    return len(without_article(title_words(page_title))) == 1


def without_article(words: tuple[str, ...]) -> tuple[str, ...]:
    """Words without a leading "the", "a" or "an", unless nothing would be left."""
    return words[1:] if len(words) > 1 and words[0] in ARTICLES else words


def occurrences(title: tuple[str, ...], text: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """Where a title stands in a text as a phrase, as half-open word ranges.

    Words may be joined or split differently ("Spider-Man", "Spiderman"; "E.T.", "ET").
    """
    squeezed = "".join(title)
    for start in range(len(text)):
        grown = ""
        for end in range(start, len(text)):
            grown += text[end]
            if len(grown) >= len(squeezed):
                if grown == squeezed:
                    yield start, end + 1
                break


def naming(page_title: str, year: int | None, text: str, known: Set[str], *, is_album: bool = False) -> Naming:
    """How far `text` names the film. `known` are words that may stand beside a title: artist, soundtrack words."""
    title, content = title_words(page_title), words_of(text, is_album=is_album)
    if not words_of(plain_title(page_title)).words:
        return Naming.WHOLE if text.strip().casefold().startswith(f"{title[0]} ") else Naming.NO
    best = Naming.NO
    for phrase in dict.fromkeys((title, without_article(title))):
        places = [_judge_place(content, start, end, year, known) for start, end in occurrences(phrase, content.words)]
        if Naming.SEQUEL in places:
            return Naming.SEQUEL  # "Gonna Fly Now (Rocky) - Rocky II Soundtrack" is the sequel's
        best = max([best, *places])
    if best is Naming.NO and len(title) >= 3:
        best = _judge_coverage(title, content.words, year, known)
    return best


def _judge_place(text: Words, start: int, end: int, year: int | None, known: Set[str]) -> Naming:
    """What the words around one occurrence make of it."""
    if end < len(text.words) and is_sequel_mark(text.words, end, year):
        return Naming.SEQUEL
    if start > 0 and _is_initial_and_number(text.words[start - 1], text.words[start]):
        return Naming.SEQUEL  # "T2 Trainspotting", "X2: X-Men United"
    first, last = text.stretches[start], text.stretches[end - 1]
    allowed = known | ARTICLES
    after = [
        i for i in range(end, len(text.words)) if text.stretches[i] == last and not _fits(text.words[i], year, allowed)
    ]
    before = [i for i in range(start) if text.stretches[i] == first and not _fits(text.words[i], year, allowed)]
    if after and not before:
        opened = any(text.opens_subtitle[end : after[0] + 1])
        if opened or all(word in ARTICLES for word in text.words[end : after[0]]):
            return Naming.LONGER
    return Naming.LOOSE if after or before else Naming.WHOLE


def is_sequel_mark(words: tuple[str, ...], index: int, year: int | None) -> bool:
    """Whether a word after a title makes it another film's: a number, "Part Two"; not the film's own year."""
    word = words[index]
    if word in _SEQUEL_MARKS:
        following = words[index + 1] if index + 1 < len(words) else ""
        return following.isdigit() and following != "1"
    if not word.isdigit() or word == "1" or word.startswith("0"):
        return False  # "01" is a track's number
    return not (year and abs(int(word) - year) <= 1)


def _is_initial_and_number(word: str, following: str) -> bool:
    initial = "x" if following == _SAME_WORD["x"] else following[0]
    return len(word) == 2 and word[0] == initial and word[1] in "23456789"


def _fits(word: str, year: int | None, allowed: Set[str]) -> bool:
    if word in allowed or _ORDINAL.fullmatch(word):
        return True
    return word.isdigit() and (word == "1" or word.startswith("0") or _is_near(word, year))


def _is_near(word: str, year: int | None) -> bool:
    return year is not None and len(word) == 4 and abs(int(word) - year) <= 1


def _judge_coverage(title: tuple[str, ...], text: tuple[str, ...], year: int | None, known: Set[str]) -> Naming:
    """Most of a long title's words, all its numbers, and no word that belongs to something else."""
    present = set(text)
    covered = sum(word in present for word in title) / len(title)
    numbers = {word for word in title if word.isdigit()}
    foreign = [w for w in text if w not in title and not _fits(w, year, known | ARTICLES)]
    fits = covered >= _COVERAGE and numbers <= present and not foreign
    return Naming.COVERED if fits else Naming.NO
