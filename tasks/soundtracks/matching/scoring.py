"""Score how likely a candidate is a film's soundtrack: the candidate's text and the five parts of the score.

The score is a weighted mean of five parts, each in 0…1:

    names the film .45 · is official .20 · soundtrack words .15 · year .10 · duration .10
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tasks.soundtracks.matching import keywords
from tasks.soundtracks.matching.keywords import plain
from tasks.soundtracks.matching.titles import Naming, naming, title_words, words_of
from tasks.soundtracks.models import Candidate, Film

WEIGHTS = {"names_film": 0.45, "official": 0.20, "soundtrack_words": 0.15, "year": 0.10, "duration": 0.10}
OFFICIAL_CHANNEL = 0.7
"""The part `official` of a label's, a verified or the artist's own channel, and of the user's own files."""
DELIVERED = "provided to youtube by"
"""First words of the description of a recording that a label delivered."""
DESCRIPTION_CHARACTERS = 600
"""How much of a description is read: what follows are links to albums of other films."""


@dataclass(frozen=True)
class CandidateTexts:
    """A candidate's texts, and the words that may be next to a film's title without making it another title."""

    album: str
    title: str
    description: str
    neutral_words: frozenset[str]

    @classmethod
    def of(cls, candidate: Candidate) -> CandidateTexts:
        """Return the texts of a candidate; its artist and channel are neutral words."""
        names = words_of(f"{candidate.artist or ''} {_channel_name(candidate.uploader)}").words
        return cls(
            candidate.album or "",
            candidate.title or "",
            (candidate.description or "")[:DESCRIPTION_CHARACTERS],
            frozenset(names) | keywords.NEUTRAL_WORDS,
        )


def _channel_name(uploader: str | None) -> str:
    return re.sub(r"(?i)\s+-\s+topic$|vevo$|\s+(?:official|music|records)$", "", uploader or "")


def score_parts(candidate: Candidate, texts: CandidateTexts, film: Film) -> Mapping[str, float]:
    """Return the five parts of the score, each in 0…1, in the order of `WEIGHTS`."""
    return {
        "names_film": _names_film(texts, film),
        "official": _official(candidate),
        "soundtrack_words": _soundtrack_words(texts),
        "year": _year(candidate, texts, film),
        "duration": duration_part(candidate),
    }


def total_score(parts: Mapping[str, float]) -> float:
    """Return the weighted mean of the parts, rounded to four decimals."""
    return round(sum(WEIGHTS[name] * value for name, value in parts.items()), 4)


def _names_film(texts: CandidateTexts, film: Film) -> float:
    album = naming(film.title, film.year, texts.album, texts.neutral_words, is_album=True)
    title = naming(film.title, film.year, texts.title, texts.neutral_words)
    in_description = naming(film.title, film.year, texts.description, texts.neutral_words) >= Naming.LOOSE
    return max(
        {Naming.WHOLE: 1.0, Naming.COVERED: 0.75, Naming.LOOSE: 0.5}.get(album, 0.0),
        {Naming.WHOLE: 0.9, Naming.COVERED: 0.65, Naming.LOOSE: 0.5}.get(title, 0.0),
        0.5 if in_description else 0.0,
    )


def _official(candidate: Candidate) -> float:
    """Return 1 for a recording that a label delivered, `OFFICIAL_CHANNEL` for one of an official channel, or .2."""
    channel = plain(candidate.uploader)
    if is_delivered(candidate):
        return 1.0
    own = candidate.source == "music_folder" or bool(candidate.artist and channel == plain(candidate.artist))
    return OFFICIAL_CHANNEL if own or candidate.is_verified or keywords.LABELS.search(channel) else 0.2


def is_delivered(candidate: Candidate) -> bool:
    """Return whether a label delivered this recording: a Topic channel, an official album, or the delivery line."""
    return (
        candidate.is_official_album
        or plain(candidate.uploader).endswith(" - topic")
        or plain(candidate.description).lstrip().startswith(DELIVERED)
    )


def _soundtrack_words(texts: CandidateTexts) -> float:
    for text, full, weak in ((texts.album, 1.0, 0.4), (texts.title, 0.8, 0.4), (texts.description, 0.4, 0.0)):
        if keywords.SOUNDTRACK.search(plain(text)):
            return full
        if weak and keywords.THEME.search(plain(text)):
            return weak
    return 0.0


def _year(candidate: Candidate, texts: CandidateTexts, film: Film) -> float:
    """Return 1 within a year of the film, .6 at two, .3 for later years, .5 if unknown, 0 for years before the film."""
    difference = year_difference(candidate, texts, film)
    if difference is None:
        return 0.5
    if abs(difference) <= 2:
        return 1.0 if abs(difference) <= 1 else 0.6
    return 0.3 if difference > 0 else 0.0


def year_difference(candidate: Candidate, texts: CandidateTexts, film: Film) -> int | None:
    """Return the years from the film to the recording, by the year nearest to the film's; None if either is unknown."""
    if film.year is None:
        return None
    year = film.year
    years = [int(y) for y in re.findall(r"\b(?:19|20)\d\d\b", f"{texts.album} {texts.title}")]
    years = [y for y in years if str(y) not in title_words(film.title)]
    if candidate.release_year is not None:
        years.append(candidate.release_year)
    return min((y - year for y in years), key=abs, default=None)


def duration_part(candidate: Candidate) -> float:
    """Return 1 for the usual length of a track, .5 for a short, a long or an unknown one, else 0."""
    seconds = candidate.duration_seconds
    if candidate.source == "music_folder":
        return 1.0  # short recordings are accepted there, and headers may be wrong: the decoder counts
    if seconds is None:
        return 0.5
    if 60 <= seconds <= 480:
        return 1.0
    return 0.5 if 30 <= seconds <= 900 else 0.0
