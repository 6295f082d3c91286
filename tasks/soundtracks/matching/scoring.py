"""Score how likely a candidate is a film's soundtrack: the texts and the parts of the score of a `Case`.

The score is a weighted mean of six parts, each in 0…1:

    names the film .40 · is official .20 · people .10 · soundtrack words .10 · year .10 · duration .10
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache

from tasks.soundtracks.candidate_recordings import Candidate, Decision, Film, Verdict
from tasks.soundtracks.matching import soundtrack_words
from tasks.soundtracks.matching.film_titles_and_sequels import Naming, naming, title_words
from tasks.soundtracks.matching.label_channels_and_descriptions import channel_name, is_delivered, is_label_channel
from tasks.soundtracks.matching.normalise import plain, words_of
from tasks.soundtracks.matching.official_evidence import Agreement, Evidence, artists_of

WEIGHTS = {
    "names_film": 0.40,
    "official": 0.20,
    "people": 0.10,
    "soundtrack_words": 0.10,
    "year": 0.10,
    "duration": 0.10,
}
_PEOPLE = {Agreement.FOR: 1.0, Agreement.UNKNOWN: 0.5, Agreement.AGAINST: 0.0}
OFFICIAL_CHANNEL = 0.7
"""The part `official` of a label's, a verified or the artist's own channel, and of the user's own files."""
MIN_SECONDS, MAX_SECONDS = 30, 900
MAX_DELIVERED_SECONDS = 1800
"""Labels deliver long suites, while a video of such length is a complete album or a loop."""
DESCRIPTION_CHARACTERS = 600
"""How much of a description is read: what follows are links to albums of other films."""
MIN_NAMES_FILM = 0.6
"""Without the film's title as a phrase nothing is taken, however official it is."""
Guard = tuple[Decision, str] | None
"""What a guard returns: the decision and its reason, or None where it does not apply."""


@dataclass(frozen=True)
class CandidateTexts:
    """A candidate's texts, and the words that may be next to a film's title without making it another title."""

    album: str
    title: str
    description: str
    neutral_words: frozenset[str]

    @classmethod
    def of(cls, candidate: Candidate, film: Film) -> CandidateTexts:
        """Return the texts of a candidate.

        Neutral are its artists, its channel and the film's people, and what its album or title calls a soundtrack.
        """
        people = " ".join((*artists_of(candidate), *film.composers, *film.song_producers))
        called = map(_soundtrack_phrases, (candidate.album, candidate.title))
        names = words_of(" | ".join((people, channel_name(candidate.uploader), *called))).words
        return cls(
            candidate.album or "",
            candidate.title or "",
            (candidate.description or "")[:DESCRIPTION_CHARACTERS],
            frozenset(names) | soundtrack_words.NEUTRAL_WORDS,
        )


@lru_cache(maxsize=4096)
def _soundtrack_phrases(text: str | None) -> str:
    return " | ".join(match.group() for match in soundtrack_words.SOUNDTRACK.finditer(plain(text)))


def score_parts(candidate: Candidate, texts: CandidateTexts, film: Film, evidence: Evidence) -> Mapping[str, float]:
    """Return the parts of the score, each in 0…1, in the order of `WEIGHTS`."""
    return {
        "names_film": _names_film(texts, film),
        "official": _official(candidate, evidence),
        "people": _PEOPLE[Agreement.FOR if evidence.is_certain else evidence.people],
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


def _official(candidate: Candidate, evidence: Evidence) -> float:
    """Return 1 for a recording that a label delivered, `OFFICIAL_CHANNEL` for one of an official channel, or .2."""
    if evidence.is_delivered:
        return 1.0
    is_artists = bool(candidate.artist and plain(candidate.uploader) == plain(candidate.artist))
    is_own = candidate.source == "music_folder" or evidence.own_channel is not None or is_artists
    return OFFICIAL_CHANNEL if is_own or candidate.is_verified or is_label_channel(candidate.uploader) else 0.2


def _soundtrack_words(texts: CandidateTexts) -> float:
    for text, full, weak in ((texts.album, 1.0, 0.4), (texts.title, 0.8, 0.4), (texts.description, 0.4, 0.0)):
        if soundtrack_words.SOUNDTRACK.search(plain(text)):
            return full
        if weak and soundtrack_words.THEME.search(plain(text)):
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
    # A track's own name may contain a year ("Halloween 1963"); a video's title contains the film's.
    years = [int(y) for y in re.findall(r"\b(?:19|20)\d\d\b", texts.album or texts.title)]
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
    longest = MAX_DELIVERED_SECONDS if is_delivered(candidate) else MAX_SECONDS
    return 0.5 if MIN_SECONDS <= seconds <= longest else 0.0


@dataclass(frozen=True)
class Case:
    """A candidate for a film, with its texts, its evidence and the parts of its score."""

    candidate: Candidate
    film: Film
    rivals: Collection[Film]
    texts: CandidateTexts
    evidence: Evidence
    parts: Mapping[str, float]

    @classmethod
    def of(cls, candidate: Candidate, film: Film, rivals: Collection[Film], evidence: Evidence) -> Case:
        """Return the case of a candidate for a film under its title."""
        texts = CandidateTexts.of(candidate, film)
        return cls(candidate, film, rivals, texts, evidence, score_parts(candidate, texts, film, evidence))

    @property
    def years(self) -> int | None:
        """The years from the film to the recording, None if unknown."""
        return year_difference(self.candidate, self.texts, self.film)

    @property
    def is_video(self) -> bool:
        """Whether it is from YouTube, where anybody may upload."""
        return self.candidate.source == "youtube"

    def naming(self, film: Film | None = None) -> tuple[Naming, Naming]:
        """Return how far the album's name and the title name a film, by default the case's."""
        film = film or self.film
        album, title = (
            naming(film.title, film.year, t, self.texts.neutral_words) for t in (self.texts.album, self.texts.title)
        )
        return album, title

    def verdict(self, decision: Decision, reason: str) -> Verdict:
        """Return a verdict with the score and its parts."""
        return Verdict(decision, reason, total_score(self.parts), self.parts)
