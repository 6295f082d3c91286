"""Labels that publish soundtracks, their channels on YouTube, and the descriptions of what they deliver.

A channel's name states its owners; two names may be of one owner. Of a recording that a label delivered, YouTube
generates the description, a paragraph each: "Provided to YouTube by LABEL", "TRACK · ARTIST · ARTIST", ALBUM, "℗ YEAR
OWNER", "Released on: DATE", credits. Raise `verdict.RULE_VERSION` when a label or a word changes.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache

from tasks.soundtracks.candidate_recordings import Candidate
from tasks.soundtracks.matching.normalise import plain, same_name, words_of

DELIVERED = "provided to youtube by"
"""First words of the description of a recording that a label delivered."""
TOPIC = re.compile(r"\s+-\s+topic$")
"""End of the name of a channel that YouTube makes of an artist's deliveries."""
_CREDIT = re.compile(r"(?im)^(?:composer(?: lyricist)?|music composer|producer|conductor|music)\s*:\s*(.+)$")
_COPYRIGHT = re.compile(r"[℗©]\s*(?:\d{4}\s+)?([^\n℗©]+)")
_RELEASED = re.compile(r"(?m)^(?:Released on:|℗)\s*(\d{4})")

# fmt: off
LABELS = (
    "WaterTower Music", "Milan Records", "Lakeshore Records", "Varèse Sarabande", "Sony Music",
    "Sony Soundtracks", "Sony Classical", "Hollywood Records", "Walt Disney Records", "Disney Music",
    "Back Lot Music", "La-La Land Records", "Netflix Music", "Universal Pictures", "Universal Music",
    "Warner Records", "Warner Music", "Warner Classics", "Decca Records", "Deutsche Grammophon",
    "Capitol Records", "Island Records", "Interscope Records", "Columbia Records", "Atlantic Records", "Mondo",
    "Intrada", "Quartet Records", "Fox Music", "Paramount Music", "A24 Music", "Invada Records",
    "Nonesuch Records", "Silva Screen Records", "MovieScore Media", "Music Box Records", "T-Series",
    "Zee Music Company", "Saregama", "YRF", "Eros Now Music", "Lahari Music", "Aditya Music", "Think Music",
    "Tips Official", "Tips Industries", "Muzik247", "Manorama Music", "Mango Music", "Madhura Audio",
    "Anand Audio", "Jhankar Music", "Venus", "Shemaroo Filmi Gaane", "Ultra Bollywood", "Junglee Music",
    "Star Music India", "Satyam Audios", "Goodwill Entertainments", "Millennium Audios", "SVF Music",
    "Amara Muzik", "Sun Music", "Divo Music", "Jio Studios", "Stone Music Entertainment", "Genie Music",
    "Kakao Entertainment", "Danal Entertainment", "Pony Canyon", "King Records", "Avex", "Toho Animation",
    "Aniplex", "Victor Entertainment", "Nippon Columbia", "VAP", "Because Music", "Wagram Music",
    "Cristal Records", "22D Music", "CAM Sugar", "Sugar Music", "Digitmovies", "Colosseum Records", "Muyap",
    "DMC", "Kalan Müzik", "Pasaj Müzik", "Мелодия", "Союз Мьюзик", "Som Livre", "Rock Records", "滾石唱片",
)

# fmt: on
"""Labels that publish soundtracks; a channel of theirs is weaker evidence than a delivery."""

# fmt: off
CHANNEL_WORDS = frozenset(
    {
        "audio", "bengali", "bhojpuri", "bollywood", "carnatic", "channel", "classics", "co", "company", "corp",
        "corporation", "east", "entertainment", "evergreen", "films", "global", "gmbh", "group", "gujarati",
        "hindi", "hits", "inc", "india", "industries", "international", "intl", "japan", "kannada", "korea",
        "label", "limited", "llc", "ltd", "malayalam", "marathi", "movies", "music", "north", "official",
        "private", "productions", "punjab", "punjabi", "pvt", "recordings", "records", "regional", "russia",
        "songs", "soundtracks", "south", "studio", "studios", "tamil", "telugu", "the", "tv", "uk", "us", "vevo",
        "video", "walt", "worldwide",
        "africa", "arabia", "asia", "australia", "brasil", "brazil", "canada", "china", "deutschland", "espana",
        "europe", "france", "germany", "hong", "indonesia", "italia", "italy", "kong", "latin", "malaysia", "mexico",
        "nordic", "philippines", "poland", "polska", "portugal", "scandinavia", "singapore", "spain", "taiwan",
        "thailand", "turkey", "turkiye", "ukraine", "usa", "vietnam",
        "discos", "disques", "dischi", "musica", "musik", "musique", "muzik", "oficial", "officiel", "offiziell",
        "plak", "resmi", "schallplatten", "ufficiale",
        "公式", "官方", "唱片", "音乐", "音樂", "音楽", "頻道", "频道", "チャンネル", "ミュージック", "レコード",
        "공식", "뮤직", "채널", "музыка", "официальный", "канал", "фирма", "студия",
    }
)

# fmt: on
"""Words that do not make a channel or a company another one: "Sony Music Taiwan" is "Sony Music"."""

CHANNEL_ENDING = re.compile(
    r"(?:music|official|records|soundtracks?|channel|staff|india|south|公式|官方|唱片|音乐|音樂|頻道|频道|チャンネル|뮤직|공식|채널)+$"
)
"""The same words at the end of a name that is written as one word."""

LABEL_IN_TWO_SCRIPTS = re.compile(
    r"[^\W_a-zA-Z]*(?:唱片|音乐|音樂|レコード|ミュージック|뮤직|레코드|엔터테인먼트)\s+([a-zA-Z][\w&.'\- ]+)"
)
"""A channel of a label in its own script and in Latin letters, which are the group."""


def is_label_channel(channel: str | None) -> bool:
    """Return whether a channel is one of a label that publishes soundtracks."""
    return any(essence_of(owner) in _LABEL_ESSENCES for owner in owners_of(channel))


def owners_of(channel: str | None) -> list[str]:
    """Return the owners that a channel's name states: "Lahari Music | T-Series" has two.

    A label may be named in two scripts: "滾石唱片 ROCK RECORDS".
    """
    owners = re.split(r"\s*[|/]\s*", channel or "")
    return [*owners, *(match[1] for owner in owners if (match := LABEL_IN_TWO_SCRIPTS.fullmatch(owner)))]


def same_owner(channel: str, owner: str) -> bool:
    """Return whether a channel bears an owner's name, but for words like "Official", "Music" or "VEVO"."""
    return same_name(channel, owner) or essence_of(channel) == essence_of(owner) != ""


@lru_cache(maxsize=4096)
def essence_of(name: str) -> str:
    """Return what distinguishes the name of a channel or company: "Sony Music India", "SonyMusicVEVO" are "sony"."""
    words = words_of(re.sub(r"(?i)\(.*?\)|vevo$", " ", name)).words
    distinct = [word for word in words if word not in CHANNEL_WORDS]
    if len(words) == 1:
        distinct = [CHANNEL_ENDING.sub("", words[0])]
    return "".join(distinct)


_LABEL_ESSENCES = frozenset(essence_of(label) for label in LABELS) - {""}


def channel_name(uploader: str | None) -> str:
    """Return a channel's name without "Topic", "VEVO", "Official", "Music" or "Records" at its end."""
    return re.sub(r"(?i)\s+-\s+topic$|vevo$|\s+(?:official|music|records)$", "", uploader or "")


def is_delivered(candidate: Candidate) -> bool:
    """Return whether a label delivered this recording to YouTube.

    Anybody can copy the description of a delivery, so that counts only on a channel of its own artists.
    """
    if candidate.is_official_album or TOPIC.search(plain(candidate.uploader)):
        return True
    lines = _lines(candidate.description)
    if not lines or not plain(lines[0]).startswith(DELIVERED):
        return False
    artists = lines[1].split(" · ")[1:] if len(lines) > 1 else []
    return candidate.uploader is None or any(same_owner(candidate.uploader, artist) for artist in artists)


def _lines(text: str | None) -> list[str]:
    return [line.strip() for line in (text or "").splitlines() if line.strip()]


def with_delivery_notes(candidate: Candidate) -> Candidate:
    """Return the candidate with the album, artists and year that a delivery's description names."""
    lines = _lines(candidate.description)
    if len(lines) < 3 or not plain(lines[0]).startswith(DELIVERED) or not is_delivered(candidate):
        return candidate
    _track, *artists = (part.strip() for part in lines[1].split(" · "))
    is_album = not re.match(r"[℗©]|released on:|auto-generated", plain(lines[2]))
    album = candidate.album or (lines[2] if is_album else None)
    year = candidate.release_year or released_year(candidate.description)
    return replace(candidate, album=album, artist=candidate.artist or ", ".join(artists) or None, release_year=year)


def released_year(description: str | None) -> int | None:
    """Return the year that a delivery's description names, or None."""
    released = _RELEASED.search(description or "")
    return int(released[1]) if released else None


def credits_in(description: str | None) -> list[str]:
    """Return the people that a description credits as composer, producer, conductor or for the music."""
    return _CREDIT.findall(description or "")


def labels_in(description: str | None) -> list[str]:
    """Return the companies that a delivery's description names: the deliverer, and the owners of the rights."""
    text = description or ""
    if not plain(text).lstrip().startswith(DELIVERED):
        return []
    deliverer = text.lstrip()[len(DELIVERED) :].splitlines()[:1]
    return [*deliverer, *_COPYRIGHT.findall(text)]
