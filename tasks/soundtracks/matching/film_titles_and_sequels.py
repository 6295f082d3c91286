"""Recognise a film's title, as words, in the name of an album or a video; also an album under another title.

A title counts only as a complete phrase, and the words next to it decide whether it is this film: a number or "Part
Two" after it makes it a sequel, other words in the same section make it a longer title ("Rocky Balboa" is not
"Rocky"), while the artist's name, soundtrack words and edition words change nothing.

An album may have another name than the page: "Star Wars" became "Episode IV – A New Hope", "Léon: The Professional" is
sold under either half of its title, and the Philosopher's Stone is the Sorcerer's Stone in another country. Words alone
do not distinguish these from sequels, so none of them is taken; but an album from the film's year that fits is left for
review instead of rejected.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from enum import IntEnum
from functools import lru_cache

from tasks.soundtracks.matching.normalise import SAME_WORD, Words, occurrences, plain, words_of
from tasks.soundtracks.matching.soundtrack_words import NEUTRAL_WORDS, SOUNDTRACK

_DISAMBIGUATION = re.compile(r"\s*\((?:[^()]*\b(?:film|movie|serial)\b[^()]*|\d{4})\)\s*$", re.IGNORECASE)
_ORDINAL = re.compile(r"\d+(?:st|nd|rd|th)")
ARTICLES = frozenset({"the", "a", "an"})
_SEQUEL_MARKS = frozenset({"part", "chapter", "volume", "episode", "sequel"})
_REISSUED = frozenset({"edition", "reissue", "release", "remaster", "remastered"})
"""Words after a year that is not the film's: "Jaws (2015 Remaster)"."""
_SONGS_FROM = (frozenset({"songs", "music", "highlights", "selections", "themes"}), frozenset({"from", "of"}))
"""Words after a title that open the name of an album of songs: "The Hunger Games: Songs from District 12"."""
MIN_WORDS_FOR_COVERAGE = 3
MIN_COVERAGE = 0.75
"""Share of a title's words that must appear if the phrase does not; for titles of at least three words."""
NEAR_YEARS = 1
REISSUE_YEARS = 10
"""Most sequels follow sooner; a younger album may be a reissue of the film's own."""
_PARTS = re.compile(r":|(?<!\w)[-–—](?!\w)|[–—]")
_MIN_SHARED_WORDS = 3
_MIN_SHARED = 0.75
_EPISODE = "episode"


class Naming(IntEnum):
    """How well a text names a film; a higher value is a better match."""

    NO = 0
    SEQUEL = 1
    """The title, then a number or "part": another film of the series."""
    LONGER = 2
    """The title inside a longer title."""
    LOOSE = 3
    """The title among unknown words."""
    COVERED = 4
    """Most of a long title's words, and no unknown ones."""
    WHOLE = 5
    """The title as a complete phrase."""


def plain_title(page_title: str) -> str:
    """Return a page's title without its disambiguation in brackets: "Health" for "Health (film)"."""
    return _DISAMBIGUATION.sub("", page_title) or page_title


@lru_cache(maxsize=65536)
def title_words(page_title: str) -> tuple[str, ...]:
    """Return the words of a film's title; a title without any letter or digit ("?") is returned unchanged."""
    title = plain_title(page_title)
    found = words_of(title)
    if found.words and found.words[-1] == "i" and found.opens_subtitle[-1]:
        return (*found.words[:-1], "1")  # "Ponniyin Selvan: I"
    return found.words or (title.strip().casefold(),)


def is_one_word(page_title: str) -> bool:
    """Return whether a title is one word apart from its article: many names contain such a phrase by chance."""
    return len(without_article(title_words(page_title))) == 1


def without_article(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return words without a leading "the", "a" or "an", unless nothing would be left."""
    return words[1:] if len(words) > 1 and words[0] in ARTICLES else words


def has_same_article(page_title: str, text: str) -> bool:
    """Return whether a text writes a film's title with its own article, or without one if it has none.

    So that "Batman" and "The Batman" are distinguished.
    """
    title, words = title_words(page_title), words_of(text).words
    if title[0] in ARTICLES:
        return next(occurrences(title, words), None) is not None
    return any(start == 0 or words[start - 1] not in ARTICLES for start, _end in occurrences(title, words))


def naming(page_title: str, year: int | None, text: str, neutral_words: Set[str], *, is_album: bool = False) -> Naming:
    """Return how well `text` names the film.

    `neutral_words` (artist, soundtrack words) may be next to a title without making it another title.
    """
    title, content = title_words(page_title), words_of(text, is_album=is_album)
    if not words_of(plain_title(page_title)).words:
        return Naming.WHOLE if text.strip().casefold().startswith(f"{title[0]} ") else Naming.NO
    best = Naming.NO
    for phrase in dict.fromkeys((title, without_article(title))):
        namings = [
            _judge_occurrence(content, start, end, year, neutral_words)
            for start, end in occurrences(phrase, content.words)
        ]
        if Naming.SEQUEL in namings:
            return Naming.SEQUEL  # "Gonna Fly Now (Rocky) - Rocky II Soundtrack" is the sequel's
        best = max([best, *namings])
    if best is Naming.NO and len(title) >= MIN_WORDS_FOR_COVERAGE:
        best = _judge_coverage(title, content.words, year, neutral_words)
    return best


def _judge_occurrence(text: Words, start: int, end: int, year: int | None, neutral_words: Set[str]) -> Naming:
    """Return how well one occurrence of the title names the film, by the words around it."""
    if end < len(text.words) and is_sequel_mark(text.words, end, year):
        return Naming.SEQUEL
    if start > 0 and _is_initial_and_number(text.words[start - 1], text.words[start]):
        return Naming.SEQUEL  # "T2 Trainspotting", "X2: X-Men United"
    first, last = text.sections[start], text.sections[end - 1]
    allowed = neutral_words | ARTICLES
    after = [
        i for i in range(end, len(text.words)) if text.sections[i] == last and not _fits(text.words[i], year, allowed)
    ]
    before = [i for i in range(start) if text.sections[i] == first and not _fits(text.words[i], year, allowed)]
    if after and not before:
        if _opens_songs_from(text.words, end):
            return Naming.COVERED
        opened = any(text.opens_subtitle[end : after[0] + 1])
        if opened or all(word in ARTICLES for word in text.words[end : after[0]]):
            return Naming.LONGER
    return Naming.LOOSE if after or before else Naming.WHOLE


def _opens_songs_from(words: tuple[str, ...], index: int) -> bool:
    following = words[index : index + 2]
    return len(following) == 2 and all(word in opening for word, opening in zip(following, _SONGS_FROM, strict=True))


def is_sequel_mark(words: tuple[str, ...], index: int, year: int | None) -> bool:
    """Return whether the word after a title makes it a sequel: a number other than a year of an album, "Part Two"."""
    word, following = words[index], words[index + 1] if index + 1 < len(words) else ""
    if word in _SEQUEL_MARKS:
        return following.isdigit() and following != "1"
    if not word.isdigit() or word == "1" or word.startswith("0"):
        return False  # "01" is a track number
    if len(word) == 4 and following in _REISSUED:
        return False
    return not (year and abs(int(word) - year) <= 1)


def _is_initial_and_number(word: str, following: str) -> bool:
    initial = "x" if following == SAME_WORD["x"] else following[0]
    return len(word) == 2 and word[0] == initial and word[1] in "23456789"


def _fits(word: str, year: int | None, allowed: Set[str]) -> bool:
    if word in allowed or _ORDINAL.fullmatch(word):
        return True
    return word.isdigit() and (word == "1" or word.startswith("0") or _is_near(word, year))


def _is_near(word: str, year: int | None) -> bool:
    return year is not None and len(word) == 4 and abs(int(word) - year) <= 1


def _judge_coverage(title: tuple[str, ...], text: tuple[str, ...], year: int | None, neutral_words: Set[str]) -> Naming:
    """Return COVERED if a text has most of a title's words, all its numbers, and no unknown word."""
    present = set(text)
    coverage = sum(word in present for word in title) / len(title)
    numbers = {word for word in title if word.isdigit()}
    unknown = [w for w in text if w not in title and not _fits(w, year, neutral_words | ARTICLES)]
    fits = coverage >= MIN_COVERAGE and numbers <= present and not unknown
    return Naming.COVERED if fits else Naming.NO


def is_alternative_title(
    text: str, page_title: str, neutral_words: Set[str], years_after: int | None, *, is_reissue: bool
) -> bool:
    """Return whether an album whose name is not the page's title may still be that film's.

    `years_after` counts from the film to the album; `neutral_words` are ignored (artist, soundtrack words).
    """
    if not SOUNDTRACK.search(plain(text)):
        return False
    title, album = title_words(page_title), words_of(text, is_album=True)
    near = years_after is not None and abs(years_after) <= NEAR_YEARS
    if any(album.words[end] == _EPISODE for end in _title_ends(title, album)) and _EPISODE not in title:
        # A series may number its first film later.
        return near or is_reissue or years_after is None or years_after > REISSUE_YEARS
    if not near:
        return False
    album_words = _significant_words(album.words, neutral_words)
    renamed = years_after == 0 and _replaces_one_word(_significant_words(title, frozenset()), album_words)
    return renamed or _adds_subtitle(title, album) or _is_shortened(page_title, album_words, neutral_words)


def _title_ends(title: tuple[str, ...], album: Words) -> Iterator[int]:
    """Yield the index of the word after each occurrence of the title."""
    for phrase in dict.fromkeys((title, without_article(title))):
        yield from (end for _, end in occurrences(phrase, album.words) if end < len(album.words))


def _significant_words(words: tuple[str, ...], neutral_words: Set[str]) -> tuple[str, ...]:
    """Return words without neutral words, articles, and "episode" with its number."""
    numbers = {n + 1 for n, word in enumerate(words) if word == _EPISODE}
    ignored = neutral_words | NEUTRAL_WORDS | ARTICLES | {_EPISODE}
    return tuple(word for n, word in enumerate(words) if word not in ignored and n not in numbers)


def _adds_subtitle(title: tuple[str, ...], album: Words) -> bool:
    """Return whether a subtitle follows the title that is not the number of a sequel.

    As in "Birdman or (The Unexpected Virtue of Ignorance)" and "Precious: Based on …".
    """
    return any(
        (album.opens_subtitle[end] or album.words[end] == "or") and not is_sequel_mark(album.words, end, None)
        for end in _title_ends(title, album)
    )


def _is_shortened(page_title: str, album_words: tuple[str, ...], neutral_words: Set[str]) -> bool:
    """Return whether an album has only words of the title: one of its halves, or most of it."""
    title = set(_significant_words(title_words(page_title), frozenset()))
    halves = [_significant_words(words_of(part).words, neutral_words) for part in _PARTS.split(plain_title(page_title))]
    if not album_words or not set(album_words) <= title:
        return False
    is_most = len(album_words) >= _MIN_SHARED_WORDS and 2 * len(set(album_words)) >= len(title)
    return album_words in halves or is_most


def _replaces_one_word(title: tuple[str, ...], album_words: tuple[str, ...]) -> bool:
    """Return whether an album has all words of a long title except one, which another word replaces.

    A number is never a replacement, nor replaced.
    """
    different = set(title) ^ set(album_words)
    shared = len(set(title) & set(album_words))
    one_for_one = len(different) == 2 and shared + 1 == len(set(title))
    return one_for_one and shared >= _MIN_SHARED * len(set(title)) and not any(word.isdigit() for word in different)
