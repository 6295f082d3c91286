"""Normalise names, so that one written differently still matches: case, accents, apostrophes, numbers, scripts.

Accents are decoration in Latin, Greek, Arabic and Hebrew names ("Amélie", "Amelie") and are removed there.
In other scripts a combining mark is a letter of the word it follows (दिल is not दल, ガ is not カ) and is kept.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

_UNDECOMPOSED = str.maketrans(
    {"ı": "i", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ħ": "h", "ŧ": "t", "ё": "е"}
)
"""Letters that Unicode does not decompose into a base and a mark, with what is written without the accent."""
_FOLDED_SCRIPTS = ("LATIN", "GREEK", "ARABIC", "HEBREW")
_APOSTROPHES = re.compile(r"['’‘`´ʻʼ]")
_MARKS = "".join(chr(c) for c in range(0x300, 0x1E00) if unicodedata.category(chr(c)).startswith("M")) + "゙゚"
_JOINERS = "\u200c\u200d"
"""Zero-width joiners, which Indic and Persian words contain."""
_WORD = re.compile(rf"[^\W_][^\W_{_MARKS}{_JOINERS}]*(?:[{_MARKS}{_JOINERS}]+[^\W_]*)*")
_BRACKETS = r"|｜•·●()\[\]{}<>〈〉/\"“”„«»‹›「」『』《》【】（）;"
_BREAK = re.compile(rf"[{_BRACKETS}]|(?<!\w)[-–—~](?!\w)|[–—]")
"""Separates sections of a video's name: a hyphen only with spaces around it; a colon never, it starts a subtitle."""
_ALBUM_BREAK = re.compile(rf"[{_BRACKETS}]")
"""Separates sections of an album's name, where a dash starts a subtitle as a colon does."""
_LETTER_BAR = re.compile(r"(?<=\s)l(?=\s)")
"""A small L between spaces, with which Korean labels write a bar: "노래 l 영화 OST"."""
_HANGUL = re.compile(r"[가-힣]")
_SUBTITLE = re.compile(r"[:：]|(?<!\w)[-–—~](?!\w)|[–—]")
_UNSPACED = re.compile(
    r"(オリジナル|サウンドトラック|サントラ|サウンド|トラック|映画音楽|映画|劇場版|主題歌|挿入歌|劇中歌|メインテーマ|メインタイトル"
    r"|音楽集|原声带|原聲帶|原声大碟|原聲大碟|原声|原聲|电影|電影|配乐|配樂|主题曲|主題曲|插曲|片尾曲|片头曲|片頭曲|推广曲|推廣曲)"
)
"""Words for a soundtrack in scripts that put no space between words."""
_DIGIT_AS_LETTER = re.compile(r"(?<=[a-z])[013457](?=[a-z])")
"""A digit inside a word, as on posters: "Se7en", "S1m0ne", "Fant4stic"."""
_LETTER = dict(zip("013457", "oieasv", strict=True))
# fmt: off
_NUMBERS = (
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
)
_ROMAN = ("ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii", "xiii")
# fmt: on
SAME_WORD = {
    **{word: str(number) for number, word in enumerate(_NUMBERS, 1)},
    **{word: str(number) for number, word in enumerate(_ROMAN, 2)},
    "vol": "volume",
    "pt": "part",
    "ch": "chapter",
    "st": "saint",
    "dr": "doctor",
    "mr": "mister",
}
_PARTS = frozenset({"part", "volume", "chapter"})
"""Words before the number of a part, which some leave out: "Kill Bill: Volume 1", "Kill Bill 1"."""


@dataclass(frozen=True)
class Words:
    """A text as normalised words, each with the number of its section."""

    words: tuple[str, ...]
    sections: tuple[int, ...]
    opens_subtitle: tuple[bool, ...]
    """Whether there is a colon or dash between the word and the one before it."""


@lru_cache(maxsize=16384)
def plain(text: str | None) -> str:
    """Return a text without case and without the accents of scripts where they are decoration."""
    if not text or text.isascii():
        return (text or "").casefold()
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    kept, base = [], ""
    for character in decomposed:
        if not unicodedata.combining(character):
            base = character
        elif unicodedata.name(base or " ").startswith(_FOLDED_SCRIPTS):
            continue
        kept.append(character)
    return unicodedata.normalize("NFC", "".join(kept)).translate(_UNDECOMPOSED).replace("’", "'")


@lru_cache(maxsize=65536)
def words_of(text: str, *, is_album: bool = False) -> Words:
    """Split a text into words without case, accents and apostrophes.

    "&" and "and" are left out, and so is "Part" before a number.
    """
    joined = _UNSPACED.sub(r" \1 ", _APOSTROPHES.sub("", plain(text.replace("&", " and "))))
    if _HANGUL.search(joined):
        joined = _LETTER_BAR.sub("|", joined)
    joined = _DIGIT_AS_LETTER.sub(lambda digit: _LETTER[digit[0]], joined)
    words: list[tuple[str, int, bool]] = []
    section, last_end = 0, 0
    section_break = _ALBUM_BREAK if is_album else _BREAK
    for match in _WORD.finditer(joined):
        between, last_end = joined[last_end : match.start()], match.end()
        section += bool(section_break.search(between))
        opens_subtitle = bool(_SUBTITLE.search(between))
        word = SAME_WORD.get(match.group(), match.group())
        if word == "and":
            continue
        if words and words[-1][0] in _PARTS and (word.isdigit() or word == "i"):
            word, opens_subtitle = ("1" if word == "i" else word), opens_subtitle or words[-1][2]
            words.pop()
        words.append((word, section, opens_subtitle))
    return Words(tuple(w for w, _, _ in words), tuple(s for _, s, _ in words), tuple(o for _, _, o in words))


def occurrences(phrase: tuple[str, ...], text: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """Yield where a text contains a phrase, as half-open ranges of words.

    Words may be joined or split differently ("Spider-Man", "Spiderman"; "E.T.", "ET").
    """
    joined_phrase = "".join(phrase)
    for start in range(len(text)):
        joined_text = ""
        for end in range(start, len(text)):
            joined_text += text[end]
            if len(joined_text) >= len(joined_phrase):
                if joined_text == joined_phrase:
                    yield start, end + 1
                break


def contains(phrase: tuple[str, ...], text: tuple[str, ...]) -> bool:
    """Return whether a text contains a phrase of at least one word."""
    return bool(phrase) and next(occurrences(phrase, text), None) is not None


def same_name(one: str | None, other: str | None) -> bool:
    """Return whether two names of people, labels or tracks are the same but for how they are written."""
    words = words_of(one or "").words
    return bool(words) and "".join(words) == "".join(words_of(other or "").words)
