"""Collect the official evidence that a recording is a film's: delivery, channel, people and track list.

Each piece of evidence comes from one named field of the candidate and one of the film, so that a verdict can be
checked by hand. What the article does not state speaks neither for nor against.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from tasks.films.parsing.track_lists import AlbumListing, ListedTrack
from tasks.soundtracks.candidate_recordings import Candidate, Film
from tasks.soundtracks.matching import soundtrack_words
from tasks.soundtracks.matching.label_channels_and_descriptions import (
    TOPIC,
    credits_in,
    essence_of,
    is_delivered,
    is_label_channel,
    labels_in,
    owners_of,
    same_owner,
)
from tasks.soundtracks.matching.normalise import contains, plain, same_name, words_of

LISTED_LENGTH_SECONDS = 3.0
"""Listed lengths are rounded, and a file may have a second of silence more."""
MIN_DISTINCT_WORDS = 2
MAX_NAME_WORDS = 6
"""Longer texts are no name with its middle names written out."""
_TRACK_BREAK = re.compile(r"[|｜●/()\[\]<>“”„\"«»「」『』《》〈〉【】]|\s[-–—l]\s|(?<!\w)['‘]|['’](?!\w)")
"""Separates the parts of a video's name, one of which may be a track's title."""
_VARIOUS = re.compile(
    r"various(?:\s+artists?)?|varios(?:\s+(?:artistas|interpretes))?|multi[\s-]interpretes|artisti\s+vari|aa\.?\s?vv\.?|v\.?\s?a\.?"
    r"|verschiedene\s+(?:interpreten|kunstler)|diverse(?:\s+artist\w*)?|cesitli\s+sanatcilar|разные\s+исполнители"
    r"|ヴァリアス・?アーティスト|オムニバス|群星|여러\s?아티스트|.*\bcast\b.*"
)
"""An album's artist that names nobody: "Various Artists" in several languages, and a film's cast."""
_SECTION_BREAK = re.compile(r"[|｜•●\n]|\s[-–—l]\s")
_ARTIST_BREAK = re.compile(r"\s*(?:[,;/·|&]|\bfeat\.?|\bft\.?|\bwith\b|\band\b|\bx\b)\s*", re.IGNORECASE)
_COVER_ARTISTS = re.compile(
    r"\b(?:geek\s+music|just\s+kosher|alala|l'?orchestra\s+cinematique|grissini\s+project|city\s+of\s+prague"
    r"|hollywood\s+(?:studio|prime|pictures?|movie|film|star)\w*\s+orchestra\w*|studio\s+orchestra|movie\s+sounds\s+unlimited"
    r"|(?:movie|film|cinema|soundtrack|score|theme)s?\s+(?:music\s+)?(?:orchestra|ensemble|band|singers|players|factory|experts"
    r"|masters|stars|project|crew|club|unlimited|heroes|wonder\s+band|geeks?|kings?|lovers)"
    r"|(?:the\s+)?(?:tribute|karaoke|cover|lullaby|piano|ukulele|8[\s-]?bit|chiptune|string\s+quartet|saxophone|guitar)\s+"
    r"(?:band|players|tribute|crew|kings?|all[\s-]?stars|guys|dreamers|lounge|project|arcade|ensemble|girl|man|brothers)"
    r"|vitamin\s+string\s+quartet|rockabye\s+baby|twinkle\s+twinkle|samuel\s+kim|piano\s+dreamers|ameritz|sound-?a-?like"
    r"|(?:made\s+)?famous\s+by|party\s+tyme|zzang|sing\s+king|fandom|baltic\s+house\s+orchestra|voidoid|london\s+music\s+works"
    r"|silva\s+screen\s+orchestra|royal\s+philharmonic\s+pops|cinematic\s+(?:pops|orchestra\s+of)|epic\s+(?:orchestra|music\s+world)"
    r"|relaxing\s+\w+|nightcore\w*)\b"
)
"""Artists that record the music of other people's films for delivery."""


class Agreement(StrEnum):
    """Whether a piece of evidence speaks for a film, against it, or is not there."""

    FOR = "for"
    UNKNOWN = "unknown"
    AGAINST = "against"


@dataclass(frozen=True)
class Evidence:
    """What the fields of a candidate prove about a film."""

    is_delivered: bool
    """A label delivered it: a Topic channel, an official album, or the delivery line of the description."""
    own_channel: str | None
    """`composer` or `label` if the channel belongs to the film's composer, or to a label that published its music."""
    people: Agreement
    """Whether its artists are people of the film: composers, producers of songs, artists of a listed album."""
    is_by_others: bool
    """Whether its album has an artist of its own who is none of the film's people, as far as their scripts compare."""
    label: Agreement
    """Whether the label that delivered it published the film's music."""
    listed: Agreement
    """Whether a listed album of the film has this track; against if its own album is listed without it."""

    @property
    def is_certain(self) -> bool:
        """Return whether people or track list tie the recording to the film."""
        return Agreement.FOR in (self.people, self.listed)


def evidence_of(candidate: Candidate, film: Film) -> Evidence:
    """Return the evidence that a candidate's fields give for a film.

    A cover plays a listed track at nearly its length, so on an album by others the track list does not speak for it.
    """
    listed = track_listed(candidate, film)
    people = people_of(candidate, film, listed)
    is_by_others = people is not Agreement.FOR and _has_album_artist(candidate, film)
    if is_by_others and listed is Agreement.FOR:
        listed = Agreement.UNKNOWN
        people = people_of(candidate, film, listed)
    return Evidence(
        is_delivered(candidate),
        own_channel(candidate, film),
        people,
        is_by_others,
        label_of(candidate, film),
        listed,
    )


def artists_of(candidate: Candidate) -> tuple[str, ...]:
    """Return the artists of a recording and of its album, without "Various Artists"."""
    topic = TOPIC.sub("", plain(candidate.uploader)) if TOPIC.search(plain(candidate.uploader)) else None
    return _separate_artists(candidate.album_artist, candidate.artist, topic)


@lru_cache(maxsize=16384)
def _separate_artists(*texts: str | None) -> tuple[str, ...]:
    names = [name.strip() for text in texts if text for name in (text, *_ARTIST_BREAK.split(text))]
    return tuple(name for name in dict.fromkeys(names) if name and not _VARIOUS.fullmatch(plain(name)))


def people_of(candidate: Candidate, film: Film, listed: Agreement) -> Agreement:
    """Return whether the artists and credits are people of the film; against if none is, of those that it names."""
    people = (*film.composers, *film.song_producers, *(a for album in film.listings for a in _listed_artists(album)))
    people = tuple(name for name in people if not _VARIOUS.fullmatch(plain(name)))
    artists = artists_of(candidate)
    credits = credits_in(candidate.description)
    if any(_names(person, artist) for person in people for artist in (*artists, *credits)):
        return Agreement.FOR
    if is_label_channel(candidate.uploader) and named_people(candidate, film):
        return Agreement.FOR
    if listed is Agreement.FOR or not artists:
        return Agreement.UNKNOWN
    if people and any(_COVER_ARTISTS.search(plain(artist)) for artist in artists):
        return Agreement.AGAINST
    return Agreement.UNKNOWN


def _has_album_artist(candidate: Candidate, film: Film) -> bool:
    """Return whether an album has an artist who can be compared; "Various Artists" and singers on it say nothing."""
    album_artist = candidate.album_artist or ""
    return bool(album_artist) and not _VARIOUS.fullmatch(plain(album_artist)) and is_comparable(candidate, film)


def _listed_artists(album: AlbumListing) -> Iterable[str]:
    yield from album.artists
    for track in album.tracks:
        yield from track.artists


def _names(person: str, text: str) -> bool:
    """Return whether a text names a person: all words in order, or a name with its words reordered or middle names.

    A name of one word must be the whole text: "Her" is not "Heritage Orchestra", and many songs contain "Prince". One
    without a letter or digit, such as that of the band "!!!", is never recognised.
    """
    name, words = _spelled(person), _spelled(text)
    if not name:
        return False
    if len(name) == 1:
        return "".join(words) == name[0]
    if contains(name, words) or sorted(name) == sorted(words):
        return True
    return len(words) <= MAX_NAME_WORDS and words[:1] + words[-1:] == (name[0], name[-1]) and set(name) <= set(words)


@lru_cache(maxsize=16384)
def _spelled(name: str) -> tuple[str, ...]:
    """Return the words of a name with doubled letters written once: "Keeravaani" and "Keeravani" are one man."""
    return tuple(re.sub(r"(\D)\1+", r"\1", word) for word in words_of(name).words)


def named_people(candidate: Candidate, film: Film) -> bool:
    """Return whether a video's title or description names one of the film's composers as a section or a phrase."""
    texts = _SECTION_BREAK.split(f"{candidate.title}\n{candidate.description or ''}")
    return any(_names(person, text) for person in (*film.composers, *film.song_producers) for text in texts)


def own_channel(candidate: Candidate, film: Film) -> str | None:
    """Return whose official channel a video is on: the film's `composer`, a `label` of its music, or None.

    A label is the film's if its article names it; another well-known one must name the film's composer with the video.
    """
    owners = owners_of(candidate.uploader)
    if any(same_owner(one, person) for one in owners for person in (*film.composers, *film.song_producers)):
        return "composer"
    if any(same_owner(one, label) for one in owners for label in _labels(film)):
        return "label"
    if is_label_channel(candidate.uploader) and named_people(candidate, film):
        return "label"
    return None


def label_of(candidate: Candidate, film: Film) -> Agreement:
    """Return whether the delivery names a label of the film's music, as the deliverer or the owner of the rights."""
    stated = {essence_of(name) for name in labels_in(candidate.description)} - {""}
    return Agreement.FOR if any(essence_of(label) in stated for label in _labels(film)) else Agreement.UNKNOWN


def _labels(film: Film) -> tuple[str, ...]:
    return (*film.record_labels, *(album.record_label for album in film.listings if album.record_label))


def track_listed(candidate: Candidate, film: Film) -> Agreement:
    """Return whether a listed album of the film has the recording by title, and by length if both lengths are known.

    Against only if its album is a listed one without it; an album in the results of a search is none of its tracks.
    """
    verdict, is_track = Agreement.UNKNOWN, not same_name(candidate.title, candidate.album)
    for album in film.listings:
        if any(_is_listed_track(track, candidate) for track in album.tracks):
            return Agreement.FOR
        if album.tracks and is_track and same_name(album.title, candidate.album):
            verdict = Agreement.AGAINST
    return verdict


def _is_listed_track(track: ListedTrack, candidate: Candidate) -> bool:
    """Return whether title and length agree; a list without lengths is evidence by titles that are no common words."""
    parts = [candidate.title, *_TRACK_BREAK.split(candidate.title)]
    if not any(same_name(track.title, part) for part in parts):
        return False
    if track.seconds is not None and candidate.duration_seconds is not None:
        return abs(track.seconds - candidate.duration_seconds) <= LISTED_LENGTH_SECONDS
    distinct = [word for word in words_of(track.title).words if word not in soundtrack_words.NEUTRAL_WORDS]
    return track.seconds is None and len(distinct) >= MIN_DISTINCT_WORDS


def named_share(candidate: Candidate, film: Film) -> float:
    """Return the share of the film's composers that a recording's artists or a video's title name, in 0…1."""
    texts = (*artists_of(candidate), *_SECTION_BREAK.split(candidate.title))
    named = [any(_names(person, text) for text in texts) for person in film.composers]
    return sum(named) / len(named) if named else 0.0


def is_comparable(candidate: Candidate, film: Film) -> bool:
    """Return whether artists and the film's people are written in one script, so that a difference means something."""
    return bool(_scripts(artists_of(candidate)) & _scripts((*film.composers, *film.song_producers)))


def _scripts(names: Iterable[str]) -> set[str]:
    """Return the scripts of names, by the first word of the Unicode name of their letters: LATIN, THAI."""
    return {unicodedata.name(letter, "").split(" ")[0] for name in names for letter in name if letter.isalpha()}
