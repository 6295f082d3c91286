"""Recognise albums that may be a film's although they have another name than its page, and need a review.

"Star Wars" became "Episode IV – A New Hope", "Léon: The Professional" is sold under either half of its title, and the
Philosopher's Stone is the Sorcerer's Stone in another country. Words alone do not distinguish these from sequels, so
none of them is taken; but an album from the film's year that fits is left for review instead of rejected.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Set

from tasks.soundtracks.matching.keywords import NEUTRAL_WORDS, SOUNDTRACK
from tasks.soundtracks.matching.normalise import Words, occurrences, plain, words_of
from tasks.soundtracks.matching.titles import (
    ARTICLES,
    is_sequel_mark,
    plain_title,
    title_words,
    without_article,
)

NEAR_YEARS = 1
REISSUE_YEARS = 10
"""Most sequels follow sooner; a younger album may be a reissue of the film's own."""
_PARTS = re.compile(r":|(?<!\w)[-–—](?!\w)|[–—]")
_MIN_SHARED_WORDS = 3
_MIN_SHARED = 0.75
_EPISODE = "episode"


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
