"""Names that a film's album may bear beside the page's title, which are for a person to settle.

"Star Wars" became "Episode IV – A New Hope", "Léon: The Professional" is sold as either half, and the
philosopher's stone was a sorcerer's elsewhere. None of this can be told from a sequel by words alone, so
nothing of it is taken; but an album of the film's own year that fits is doubted rather than rejected.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Set

from tasks.soundtracks.matching.keywords import NEUTRAL_WORDS, SOUNDTRACK, plain
from tasks.soundtracks.matching.titles import (
    ARTICLES,
    Words,
    is_sequel_mark,
    occurrences,
    plain_title,
    title_words,
    without_article,
    words_of,
)

NEAR_YEARS = 1
A_LATER_RELEASE_YEARS = 10
"""A sequel follows sooner as a rule; what is younger may be the film's own album, sold again."""
_PARTS = re.compile(r":|(?<!\w)[-–—](?!\w)|[–—]")
_FEWEST_SHARED_WORDS = 3
_SHARE = 0.75
_EPISODE = "episode"


def is_alternative_title(
    text: str, page_title: str, known: Set[str], years_after: int | None, *, is_reissue: bool
) -> bool:
    """Whether an album's name, which is not the page's title, may still mean that film.

    `years_after` counts from the film to the album; `known` are words that mean nothing (artist, soundtrack words).
    """
    if not SOUNDTRACK.search(plain(text)):
        return False
    title, heard = title_words(page_title), words_of(text, is_album=True)
    near = years_after is not None and abs(years_after) <= NEAR_YEARS
    if any(heard.words[end] == _EPISODE for end in _ends(title, heard)) and _EPISODE not in title:
        # A series may number its first film later.
        return near or is_reissue or years_after is None or years_after > A_LATER_RELEASE_YEARS
    if not near:
        return False
    said = _telling(heard.words, known)
    renamed = years_after == 0 and _is_renamed(_telling(title, frozenset()), said)
    return renamed or _adds_subtitle(title, heard) or _is_shortened(page_title, said, known)


def _ends(title: tuple[str, ...], heard: Words) -> Iterator[int]:
    """Where the text goes on after the title, for each place in which the title stands."""
    for phrase in dict.fromkeys((title, without_article(title))):
        yield from (end for _, end in occurrences(phrase, heard.words) if end < len(heard.words))


def _telling(words: tuple[str, ...], known: Set[str]) -> tuple[str, ...]:
    """The words that mean something, without the number of an episode."""
    dropped = {n + 1 for n, word in enumerate(words) if word == _EPISODE}
    idle = known | NEUTRAL_WORDS | ARTICLES | {_EPISODE}
    return tuple(word for n, word in enumerate(words) if word not in idle and n not in dropped)


def _adds_subtitle(title: tuple[str, ...], heard: Words) -> bool:
    """As in "Birdman or (The Unexpected Virtue of Ignorance)" and "Precious: Based on …"; no number of a sequel."""
    return any(
        (heard.opens_subtitle[end] or heard.words[end] == "or") and not is_sequel_mark(heard.words, end, None)
        for end in _ends(title, heard)
    )


def _is_shortened(page_title: str, said: tuple[str, ...], known: Set[str]) -> bool:
    """Only words of the title: one of its halves, or most of it."""
    whole = set(_telling(title_words(page_title), frozenset()))
    halves = [_telling(words_of(part).words, known) for part in _PARTS.split(plain_title(page_title))]
    if not said or not set(said) <= whole:
        return False
    return said in halves or (len(said) >= _FEWEST_SHARED_WORDS and 2 * len(set(said)) >= len(whole))


def _is_renamed(title: tuple[str, ...], said: tuple[str, ...]) -> bool:
    """All of a long title but one word, for which another stands; a number is never another word for a number."""
    odd = set(title) ^ set(said)
    shared = len(set(title) & set(said))
    one_for_one = len(odd) == 2 and shared + 1 == len(set(title))
    return one_for_one and shared >= _SHARE * len(set(title)) and not any(word.isdigit() for word in odd)
