"""Parse the soundtrack albums of an article: its album boxes and track lists, and the link to an album's own article.

The same for a film's article, whose soundtrack section describes the album, and for the album's own article. Several
listings are one album where the further ones are its discs, sides or bonus tracks, and albums of their own where
they are a version in another language, or the score next to the songs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from tasks.films.parsing.infobox import find_infobox
from tasks.films.parsing.names_and_dates import iso_date, names_in
from tasks.films.parsing.plain_text import plain, without_comments
from tasks.films.parsing.templates import first_parameter, template_parameters
from tasks.films.parsing.track_lists import (
    MAX_NOTE_CHARACTERS,
    MAX_TRACKS,
    AlbumListing,
    ListedTrack,
    TrackList,
    listed_tracks,
    tracks_of_template,
)

MAX_ALBUMS = 40
"""A bound for vandalised pages."""

_HEADING = re.compile(r"^(={2,6})[ \t]*([^=\n].*?)[ \t]*\1[ \t]*$", re.MULTILINE)
_ALBUM_BOX = re.compile(
    r"\{\{\s*(?:template:)?\s*(?:infobox[ _](?:album|soundtrack|ep|box[ _]set)|album)\s*(?=\||\})", re.I
)
_TRACK_LISTING = re.compile(
    r"\{\{\s*(?:template:)?\s*(?:track[ _]?list(?:ing)?|tracks|tracce|pistes|lista de canciones"
    r"|lista de faixas)\s*(?=\||\})",
    re.I,
)
SOUNDTRACK_HEADING = re.compile(
    r"sound ?-?track|track ?-?list|\bsongs?\b|\bscores?\b|\bmusic\b|musical numbers|\balbums?\b|colonna sonora"
    r"|tracce|bande[ -](?:originale|son)|musique|filmmusik|soundtrack|banda sonora|trilha sonora|música|musica"
    r"|canciones|canções"
    r"|саундтрек|музыка|サウンドトラック|音楽|原声|原聲|사운드트랙|음악|muzyka|müzik|गीत|संगीत|பாடல்|పాటలు",
    re.IGNORECASE,
)
_OTHER_HEADING = re.compile(r"video|reception|review|critic|chart|award|accolade|nominat|personnel|credits", re.I)
_LIST_HEADING = re.compile(
    r"sound ?-?track|track ?-?list|\bsongs?\b|musical numbers|album|colonna|banda|bande|trilha|tracce", re.I
)
_PART = re.compile(
    r"\b(?:dis[ck]|cd|side|part|lp|tape|cassette|reel|act)\s*(?:no\.?\s*)?"
    r"(?:\d+|one|two|three|four|five|six|[a-h]|[ivx]+)\b"
    r"|\bbonus\b|\badditional\b|\bdeluxe\b|\bexpanded\b|\bextended\b|\bspecial edition\b|\bhidden\b|\bexclusive\b"
    r"|\bre-?issue",
    re.IGNORECASE,
)
_GENERIC = re.compile(
    r"(?:the |official |original |complete |full |all |film |movie )*(?:track[ -]?list(?:ing)?s?|songs?(?: list)?"
    r"|list of songs"
    r"|tracks|sound ?tracks?|music|soundtrack album|album|tracce|pistes|(?:original )?motion picture soundtrack"
    r"|musical numbers)[:.]?",
    re.IGNORECASE,
)
_LISTING_WORDS = re.compile(
    r"[\s:–—-]*(?:the )?(?:\btrack[ -]?list(?:ing)?|\btracks?\b|\bsong list)[:.\s]*$", re.IGNORECASE
)
_QUALIFIER = re.compile(r"\s*\([^()]*\)$")
_MAIN = re.compile(
    r"\{\{\s*(?:main(?: article)?|main article|see also|see|further(?: information)?|details|vedi anche"
    r"|article détaillé"
    r"|article principal)\s*\|((?:[^{}]|\{\{!\}\})*)\}\}",
    re.IGNORECASE,
)
_LINK_TO_ALBUM = re.compile(
    r"\[\[\s*([^\[\]|#\n]*(?:sound ?track|score|album|music (?:of|from|in) )[^\[\]|#\n]*)", re.IGNORECASE
)
_ALBUM_NAME = re.compile(r"sound ?track|\bscore\b|\balbum\b|^music (?:of|from|in)\b|\bsongs\b|\bmusic\b", re.IGNORECASE)
_NO_ALBUM_NAME = re.compile(r"^(?:lists? of|category:|file:|template:|wikipedia:|:)", re.IGNORECASE)


@dataclass(frozen=True)
class Soundtrack:
    """The albums that an article lists, and whom their boxes name: producers and record labels."""

    listings: tuple[AlbumListing, ...] = ()
    producers: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    has_box: bool = False
    """Whether there is an album's infobox."""


@dataclass
class _Album:
    """An album while its listings are gathered; `box` are the parameters of its infobox."""

    box: dict[str, str]
    section: int
    headline: str = ""
    tracks: list[ListedTrack] = field(default_factory=list)
    last_number: int = 0


@dataclass(frozen=True)
class _Section:
    level: int
    heading: str
    start: int
    end: int


def parse_soundtrack(title: str, text: str) -> Soundtrack:
    """Parse the albums of an article with this title; `text` has no comments. An album may have no track."""
    boxes = {
        match.start(): template_parameters(text, match.end()) for match in islice(_ALBUM_BOX.finditer(text), MAX_ALBUMS)
    }
    if not boxes and not _TRACK_LISTING.search(text) and not SOUNDTRACK_HEADING.search(text):
        return Soundtrack()
    sections = _sections(text)
    first_heading = sections[0].end
    is_album_page = any(start < first_heading for start in boxes)
    albums: list[_Album] = []
    producers: list[str] = []
    for position, listing in _in_order(text, sections, boxes):
        top = 0 if is_album_page else _top_section(sections, position)
        if listing is None:
            albums.append(_Album(boxes[position], top))
        elif listing.tracks:
            producers += listing.producers
            _add(albums, listing, top)
    base = _QUALIFIER.sub("", title)
    producers += [name for album in albums for name in names_in(first_parameter(album.box, "producer", "produttore"))]
    stated = [first_parameter(album.box, "label", "etichetta", "discográfica") for album in albums]
    labels = [name for value in stated for name in names_in(value)]
    listings = tuple(_listing(album, base) for album in albums[:MAX_ALBUMS])
    return Soundtrack(listings, tuple(dict.fromkeys(producers)), tuple(dict.fromkeys(labels)), bool(boxes))


def album_listings(title: str, wikitext: str) -> tuple[AlbumListing, ...]:
    """Return the albums that an album's own article lists; none if it is not about a soundtrack album but a film."""
    text = without_comments(wikitext)
    return () if find_infobox(text).is_film else parse_soundtrack(title, text).listings


def album_page(title: str, text: str) -> str | None:
    """Return the title of the linked article about a film's soundtrack album, or None.

    A hatnote of a soundtrack section names it; elsewhere a link counts only if it has the film's name.
    """
    own = _letters(title)
    for section in _sections(text):
        if SOUNDTRACK_HEADING.search(section.heading):
            for hatnote in _MAIN.finditer(text, section.start, section.end):
                arguments = [re.sub(r"^\s*[1-9]\s*=|\[\[|\]\]", "", part) for part in hatnote[1].split("|")]
                names = [re.split(r"#|\{\{!", part)[0].strip() for part in arguments if "=" not in part]
                albums = [name for name in names if name and not _NO_ALBUM_NAME.match(name) and _letters(name) != own]
                is_main = hatnote[0][2:].lstrip().lower().startswith("main")
                best = next(
                    (name for name in albums if _ALBUM_NAME.search(name)), albums[0] if albums and is_main else None
                )
                if best:
                    return _page_title(best)
    film = _letters(_QUALIFIER.sub("", title))
    for link in _LINK_TO_ALBUM.finditer(text):
        name = link[1].strip()
        named = _letters(re.sub(r"^music (?:of|from|in)\s+", "", _QUALIFIER.sub("", name), flags=re.IGNORECASE))
        is_other = _letters(name) == own or _NO_ALBUM_NAME.match(name) or not _ALBUM_NAME.search(name)
        if film and not is_other and (named == film or (named.startswith(film) and ":" in name)):
            return _page_title(name)
    return None


def _sections(text: str) -> list[_Section]:
    """Return the lead and the sections of a text, each to the next heading of any level."""
    headings = list(_HEADING.finditer(text))
    ends = [*(match.start() for match in headings), len(text)]
    found = [_Section(1, "", 0, ends[0])]
    return found + [
        _Section(len(match[1]), match[2], match.end(), end) for match, end in zip(headings, ends[1:], strict=True)
    ]


def _in_order(
    text: str, sections: Sequence[_Section], boxes: dict[int, dict[str, str]]
) -> Iterator[tuple[int, TrackList | None]]:
    """Yield the position of every album's box (None) and every listing, in the order of the text."""
    found: list[tuple[int, TrackList | None]] = [(start, None) for start in boxes]
    templates = list(_TRACK_LISTING.finditer(text))
    for match in templates[: MAX_ALBUMS * 2]:
        section = next(s for s in reversed(sections) if s.start <= match.start())
        found.append((match.start(), tracks_of_template(template_parameters(text, match.end()), _sub_heading(section))))
    for section in _soundtrack_sections(sections):
        if not any(section.start <= match.start() < section.end for match in templates):
            bullets = bool(_LIST_HEADING.search(section.heading))
            tracks = listed_tracks(text[section.start : section.end], bullets=bullets)
            found.append((section.end - 1, TrackList(tuple(tracks), _sub_heading(section))))
    return iter(sorted(found, key=lambda item: (item[0], item[1] is not None)))


def _soundtrack_sections(sections: Sequence[_Section]) -> Iterator[_Section]:
    """Yield the sections about the soundtrack and their sub-sections, without those about its reception."""
    inside = 0
    for section in sections[1:]:
        if inside and section.level <= inside:
            inside = 0
        if _OTHER_HEADING.search(section.heading):
            continue
        if not inside and SOUNDTRACK_HEADING.search(section.heading):
            inside = section.level
        if inside:
            yield section


def _add(albums: list[_Album], listing: TrackList, section: int) -> None:
    """Add a listing to the album it belongs to, or as a further album."""
    here = [album for album in albums if album.section == section]
    last = here[-1] if here else None
    continues = last is not None and listing.first_number > 1 and listing.first_number == last.last_number + 1
    if last is None or (last.tracks and not continues and not _PART.search(listing.headline)):
        box = last.box if last and (not listing.headline or section == 0) else {}
        last = _Album(dict(box), section)
        albums.append(last)
    if not last.tracks and not _PART.search(listing.headline):
        last.headline = listing.headline
    known = {track.title.casefold() for track in last.tracks}
    last.tracks += [track for track in listing.tracks if track.title.casefold() not in known]
    last.last_number = listing.first_number + len(listing.tracks) - 1


def _listing(album: _Album, film: str) -> AlbumListing:
    name = plain(first_parameter(album.box, "name", "titolo", "nombre", "titre")[:MAX_NOTE_CHARACTERS]).strip('"“” ')
    label = next(iter(names_in(first_parameter(album.box, "label", "etichetta", "discográfica"))), None)
    return AlbumListing(
        title=_album_title(name, album.headline, film),
        artists=names_in(first_parameter(album.box, "artist", "artista")),
        record_label=label,
        release_date=iso_date(first_parameter(album.box, "released", "data", "release_date", "lanzamiento")),
        tracks=tuple(replace(track) for track in album.tracks[:MAX_TRACKS]),
    )


def _album_title(name: str, headline: str, film: str) -> str:
    """Return the box's name, else a headline that has the film's name, else the film's name and the headline."""
    shown = _LISTING_WORDS.sub("", headline.replace("''", "")).strip('"“”:–— ')
    if not shown or _GENERIC.fullmatch(shown) or _letters(shown) in (_letters(film), _letters(name)):
        return name or film
    if name and re.search(rf"(?<!\w){re.escape(shown)}(?!\w)", name, re.IGNORECASE):
        return name or film
    if _letters(film) and _letters(film) in _letters(shown):
        return shown
    return name if name and len(shown) > 60 else f"{name or film} ({shown.strip('()')})"


def _top_section(sections: Sequence[_Section], position: int) -> int:
    """Return the number of the section of level 2 that a position is in."""
    starts = [section.start for section in sections if section.level <= 2]
    return sum(start <= position for start in starts)


def _sub_heading(section: _Section) -> str:
    """Return the heading of a sub-section, which may name a version or a disc; that of a section names no album."""
    return plain(section.heading) if section.level > 2 else ""


def _letters(name: str) -> str:
    return re.sub(r"\W|_", "", name).casefold()


def _page_title(name: str) -> str:
    name = " ".join(name.replace("_", " ").split())
    return name[:1].upper() + name[1:]
