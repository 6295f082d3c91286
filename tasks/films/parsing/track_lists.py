"""Parse track lists: {{Track listing}}, numbered and bulleted lists, and tables; titles, artists and lengths.

Of what is no {{Track listing}} only what is safe is read: a numbered list, a bulleted list of quoted titles, a table
with a column of titles. A list may be written with a template ({{Ordered list}}), or with numbers in front of quoted
titles. A length is written with colons, primes or a template.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from tasks.films.parsing.names_and_dates import FEATURING, names_in
from tasks.films.parsing.plain_text import plain, without_references
from tasks.films.parsing.templates import first_parameter, template_items

MAX_NOTE_CHARACTERS = 1_000
MAX_TRACKS = 1_000
"""Bounds for vandalised pages: the longest real listings have some hundred tracks."""
MAX_TITLE_CHARACTERS = 2_000
"""Of wikitext that are parsed: an unclosed template may make a title of the rest of the article."""
MAX_LENGTH_SECONDS = 4 * 3600.0
_LENGTH = re.compile(r"(?:(\d{1,2})[:.])?(\d{1,3})[:.](\d{2})(?:[.,](\d{1,3}))?")
_LENGTH_WORDS = re.compile(r"min(?:ute)?s?\.?|approx\.?|c\.|~|\s|[()\[\]]", re.IGNORECASE)
_DURATION = re.compile(r"\{\{\s*(?:duration|durée|hms|time)\s*\|([^{}]*)\}\}", re.IGNORECASE)
_PRIMES = re.compile(r"(\d+)\s*['′’]\s*(\d{2})\s*(?:[\"″”]|''|′′|’’)?")
_SPELLED = re.compile(
    r"(?:(\d{1,2})\s*h(?:ours?|rs?)?\.?\s*)?(\d{1,3})\s*m(?:in(?:ute)?s?)?\.?[\s,]*(\d{1,2})\s*s(?:ec(?:ond)?s?)?\.?",
    re.IGNORECASE,
)
_REMARK = re.compile(r"(?<=\d)\s*\([^()\d]*\)$")
_TRACK_TITLE = re.compile(r"(?:title|titolo|titre|título|titel)\s*(\d{1,4})")
_PERFORMERS = re.compile(
    r"artist|singer|perform|vocal|band|sung|composer|music|cantante|interpret|chanteu", re.IGNORECASE
)
_NOTED_PERFORMERS = re.compile(
    r"(?:performed|sung|vocals?|voices?|singers?|feat(?:uring|\.)?|ft\.?)\s*(?:by\s*)?:?\s*(?P<names>.+)", re.IGNORECASE
)
_VERSION_NOTE = re.compile(
    r"(?:\S+ ){0,4}(?:fe)?male(?: \S+){0,2}|(?:\S+ ){0,4}(?:version|remix|mix|reprise|instrumental|theme|edit|duet"
    r"|acoustic|unplugged|karaoke|sad|live|demo|lullaby|lounge|bit)",
    re.IGNORECASE,
)
MIN_TRACKS = 2
MAX_TITLE_WORDS = 18
MAX_ARTIST_WORDS = 12
MAX_ITEM_CHARACTERS = 5_000
MAX_LISTS = 40
"""Lists written with a template that are read in one section: an unclosed one is searched to the end of it."""
_LENGTH_AT_END = re.compile(r"(?:[\s(\[–—-]*\b(\d{1,2}:\d{2}(?::\d{2})?)|\s*[(\[–—-]\s*(\d{1,2}:\d))\s*[)\]]?\s*$")
"""The length at the end of an item; one like "3:5", which may be two, only after a dash or in brackets."""
_QUOTED_START = re.compile(
    r"^[\s']*(?:\d{1,3}[.)]\s*)?[\"“”„«「『]((?:\[\[[^\]\n]*\]\]|\[(?!\[)|[^\"“”»」』\[\n])+)[\"“”»」』]\s*(.*)$",
    re.DOTALL,
)
_DASH = re.compile(r"^((?:\[\[[^\]\n]*\]\]|[^\[\n])+?)(?:\s*[–—]\s*|\s+-+\s*|\s*-\s+)(.*)$", re.DOTALL)
_BY = re.compile(
    r"^[\s,:–—-]*(?:(?:danc(?:ed|ing)(?: and)? ?)?(?:performed|sung|composed|written|arranged|music|vocals?"
    r"|singers?)?(?: and \w+)?\s*(?:by\b)?)"
    r"[\s:–—-]*",
    re.IGNORECASE,
)
_BY_AND_FROM = re.compile(r"\s(?:in|from|while)\s+(?=['A-Z\[]).*|\sfrom\s.*|\s(?:with )?danc(?:ed|ing)\b.*", re.DOTALL)
_SENTENCE_END = re.compile(r"(?<=[a-z\]]{3})[.;]\s.*|(?<=\w{4})\.\s.*", re.DOTALL)
_NUMBERED = re.compile(r"^#(?![#:*;])\s*(.+)$", re.MULTILINE)
_BULLETED = re.compile(r"^\*(?![*:#;])\s*(.+)$", re.MULTILINE)
_NUMBERED_BY_HAND = re.compile(r"^[ \t:]*\d{1,3}[.)](.+?)(?:<br ?/?>)?$", re.MULTILINE)
_ORDERED_TEMPLATE = re.compile(r"\{\{\s*(?:ordered|numbered)[ _]list\s*(?=\|)", re.IGNORECASE)
_BULLETED_TEMPLATE = re.compile(r"\{\{\s*(?:bulleted[ _]list|unbulleted[ _]list|ulist|ubl)\s*(?=\|)", re.IGNORECASE)
_TABLE = re.compile(r"^[ \t:]*\{\|(.*?)^[ \t:]*\|\}", re.MULTILINE | re.DOTALL)
_ROW = re.compile(r"^[ \t]*\|-+.*$", re.MULTILINE)
_CELL_START = re.compile(r"^[ \t]*[|!](?![}+-])", re.MULTILINE)
_CELL_BORDER = re.compile(r"\|\||!!")
_ATTRIBUTES = re.compile(r"^((?:\s*[\w-]+\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s|\"']+))+)\s*\|(?!\|)")
_SPAN = re.compile(r"(row|col)span\s*=\s*[\"']?\s*(\d{1,3})", re.IGNORECASE)
_COLUMNS = {
    "title": re.compile(
        r"(?:song|track|cue|music)?\s*(?:title|name)s?|songs?(?: ?/ ?music)?(?: title)?|tracks?|titolo|brano"
        r"|titre|título|canción"
    ),
    "length": re.compile(r"(?:length|duration|time|running time|durata|durée|duración)(?:\s*\(.*\))?"),
    "artists": re.compile(r"(?:singer|artist|performer|vocal|playback|sung by|performed by|vocalist|interpret).*"),
    "composers": re.compile(r"(?:composer|music|composed by|music director|musica|music by).*"),
}
"""How the head of a table's column is called, in lower case."""


@dataclass(frozen=True, slots=True)
class ListedTrack:
    """A track of a listing. `seconds` is None if no length is given."""

    title: str
    seconds: float | None = None
    artists: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AlbumListing:
    """The track list of a film's soundtrack album, from its article, the album's article or MusicBrainz."""

    title: str
    artists: tuple[str, ...] = ()
    record_label: str | None = None
    release_date: str | None = None
    """ISO 8601, as precise as the source: "1994", "1994-09" or "1994-09-27"."""
    tracks: tuple[ListedTrack, ...] = ()


@dataclass(frozen=True)
class TrackList:
    """A list of tracks; the number of its first one, which may continue the list before it."""

    tracks: tuple[ListedTrack, ...]
    headline: str
    first_number: int = 1
    producers: tuple[str, ...] = ()


def tracks_of_template(parameters: dict[str, str], heading: str) -> TrackList:
    """Return the tracks of a {{Track listing}}, whose headline is by default the heading that it is under."""
    numbered = sorted({int(m[1]) for key in parameters if (m := _TRACK_TITLE.fullmatch(key))})[:MAX_TRACKS]
    column = parameters.get("extra_column", "")
    everywhere = names_in(first_parameter(parameters, "all_music", "music_credits_all", "all_writing"))
    tracks = tuple(track for n in numbered if (track := _track(parameters, n, column, everywhere)))
    extras = [parameters.get(f"extra{n}", "") for n in numbered] if "produc" in column.lower() else []
    producers = tuple(name for extra in extras for name in names_in(extra))
    headline = plain(parameters.get("headline", "")[:MAX_NOTE_CHARACTERS]) or heading
    return TrackList(tracks, headline.strip('"“” '), numbered[0] if numbered else 1, producers)


def _track(parameters: dict[str, str], number: int, column: str, everywhere: Sequence[str]) -> ListedTrack | None:
    """Return one track, or None for a number without a title. Its artists are performers, then composers."""
    title = track_title(_numbered(parameters, number, "title", "titolo", "titre", "título", "titel"))
    if not title:
        return None
    noted_text = parameters.get(f"note{number}", "")[:MAX_NOTE_CHARACTERS]
    note = plain(noted_text).strip("() ")
    if _VERSION_NOTE.fullmatch(note) and note.lower() not in title.lower():
        title = f"{title} ({note})"
    extra = parameters.get(f"extra{number}", "") if not column or _PERFORMERS.search(column) else ""
    noted = _NOTED_PERFORMERS.search(noted_text)
    values = [extra, noted["names"] if noted else "", _numbered(parameters, number, "artist", "artista", "interprete")]
    values.append(_numbered(parameters, number, "music", "musica", "musique"))
    credited = [name for value in values for name in names_in(value)]
    credited += names_in(parameters.get(f"writer{number}", "")) or everywhere
    length = _numbered(parameters, number, "length", "durata", "temps", "durée", "duración", "duração")
    return ListedTrack(title, seconds_of(length), tuple(dict.fromkeys(credited)))


def _numbered(parameters: dict[str, str], number: int, *keys: str) -> str:
    return next((value for key in keys if (value := parameters.get(f"{key}{number}"))), "")


def track_title(value: str) -> str:
    """Return a track's title as a reader sees it, without the quotation marks around it."""
    shown = plain(without_references(value[:MAX_TITLE_CHARACTERS]))
    quoted = _QUOTED_START.match(shown)
    return (f"{quoted[1].strip()} {quoted[2].strip()}" if quoted else shown).strip().strip('"“”').strip()


def listed_tracks(section: str, *, bullets: bool) -> list[ListedTrack]:
    """Return the tracks of the first numbered list, table or (with `bullets`) list of quoted titles in a section."""
    section = without_references(section)
    last = section.rfind("|}") + 2  # no table closes after it; searching from every opening would be quadratic
    outside = _TABLE.sub("", section[:last]) + section[last:] if last >= 2 else section
    numbered = _NUMBERED.findall(outside) or _template_items(_ORDERED_TEMPLATE, outside)
    found = _from_items(numbered, must_be_quoted=False)
    found = found or _from_items(_NUMBERED_BY_HAND.findall(outside), must_be_quoted=True)
    tables = _TABLE.findall(section[:last]) if last >= 2 else []
    found = found or next((tracks for table in tables if (tracks := _from_table(table))), [])
    if found or not bullets:
        return found
    return _from_items(_BULLETED.findall(outside) or _template_items(_BULLETED_TEMPLATE, outside), must_be_quoted=True)


def _template_items(template: re.Pattern[str], section: str) -> list[str]:
    """Return the items of the lists that are written with a template, of at most `MAX_LISTS`."""
    starts = islice(template.finditer(section), MAX_LISTS)
    return [item for match in starts for item in template_items(section, match.end())]


def _from_items(items: Sequence[str], *, must_be_quoted: bool) -> list[ListedTrack]:
    """Return the tracks that list items name, or none if most of the items are no tracks."""
    tracks = [track for item in items if (track := _from_item(item, must_be_quoted=must_be_quoted))]
    return tracks if len(tracks) >= MIN_TRACKS and 2 * len(tracks) > len(items) else []


def _from_item(item: str, *, must_be_quoted: bool) -> ListedTrack | None:
    """Return the track of `"Title" – Singer (3:05)` or `Singer – "Title"`, in which only the title is certain."""
    item = item[:MAX_ITEM_CHARACTERS].strip()
    length = _LENGTH_AT_END.search(item)
    item = item[: length.start()] if length else item
    quoted, dashed = _QUOTED_START.match(item), _DASH.match(item)
    by = ""
    if not quoted and dashed and len(dashed[1].split()) <= MAX_ARTIST_WORDS:  # `Singer – "Title"`
        quoted = _QUOTED_START.match(dashed[2])
        by = f"{dashed[1]}, " if quoted else ""
    if must_be_quoted and not quoted:
        return None
    parts = quoted or dashed
    title, tail = (track_title(parts[1]), parts[2]) if parts else (track_title(item), "")
    aside = re.match(r"\(([^()]{1,30})\)\s*", tail) if quoted else None
    if aside and not FEATURING.match(aside[1]):
        title, tail = f"{title} ({track_title(aside[1])})", tail[aside.end() :]
    if not title or len(title.split()) > MAX_TITLE_WORDS:
        return None
    credit = _BY_AND_FROM.sub("", f" {_BY.sub('', _SENTENCE_END.sub('', FEATURING.sub(', ', tail)))}")
    credited = names_in(by + credit) if len(tail.split()) <= 25 else ()
    return ListedTrack(title, seconds_of(length[1] or length[2]) if length else None, credited)


def _from_table(table: str) -> list[ListedTrack]:
    """Return the tracks of a table that has a column of titles, or none."""
    rows = list(_rows(table))
    for index, row in enumerate(rows[:3]):
        numbers = {n for n in range(len(row)) if _is_number(rows[index + 1 :], n)}
        columns = _columns(["" if n in numbers else cell for n, cell in enumerate(row)])
        if "title" in columns:
            tracks = [track for cells in rows[index + 1 :] if (track := _from_row(cells, columns))]
            return tracks if len(tracks) >= MIN_TRACKS else []
    return []


def _is_number(rows: Sequence[Sequence[str]], column: int) -> bool:
    """Return whether all cells of a column are numbers: then "Track" is over the tracks' numbers, not their titles."""
    cells = [plain(row[column]).strip(" .") for row in rows if column < len(row)]
    return bool(cells) and all(cell.isdecimal() for cell in cells)


def _columns(row: Sequence[str]) -> dict[str, int]:
    """Return which column is what, by the cells of a table's head."""
    columns: dict[str, int] = {}
    for index, cell in enumerate(row):
        name = plain(cell).strip(" '\".:").lower()
        for kind, pattern in _COLUMNS.items():
            if kind not in columns and pattern.fullmatch(name):
                columns[kind] = index
                break
    return columns


def _from_row(cells: Sequence[str], columns: dict[str, int]) -> ListedTrack | None:
    def cell(kind: str) -> str:
        return cells[columns[kind]] if kind in columns and columns[kind] < len(cells) else ""

    title = track_title(cell("title"))
    if not title or len(title.split()) > MAX_TITLE_WORDS or re.fullmatch(r"total(?: length)?:?", title, re.IGNORECASE):
        return None
    credited = [name for kind in ("artists", "composers") for name in names_in(cell(kind))]
    return ListedTrack(title, seconds_of(cell("length")), tuple(dict.fromkeys(credited)))


def _rows(table: str) -> Iterator[list[str]]:
    """Yield the cells of each row, with those that span rows or columns repeated."""
    spanning: dict[int, tuple[int, str]] = {}
    for source in _ROW.split(table):
        row: list[str] = []
        for cell, rows, columns in _cells(source):
            _repeat(row, spanning)
            for _ in range(min(columns, 30)):
                if rows > 1:
                    spanning[len(row)] = (rows - 1, cell)
                row.append(cell)
        _repeat(row, spanning)
        if row:
            yield row


def _repeat(row: list[str], spanning: dict[int, tuple[int, str]]) -> None:
    """Add the cells of earlier rows that reach down to the next columns of this one."""
    while len(row) in spanning:
        rows, cell = spanning.pop(len(row))
        if rows > 1:
            spanning[len(row)] = (rows - 1, cell)
        row.append(cell)


def _cells(source: str) -> Iterator[tuple[str, int, int]]:
    """Yield the text of each cell of a row, and how many rows and columns it spans."""
    starts = [match.end() for match in _CELL_START.finditer(source)]
    ends = [*starts[1:], len(source) + 1]
    for start, end in zip(starts, ends, strict=False):  # without a cell there is still one end
        for piece in _CELL_BORDER.split(source[start : max(start, end - 1)]):
            attributes = _ATTRIBUTES.match(piece)
            spans = {kind.lower(): int(count) for kind, count in _SPAN.findall(attributes[1])} if attributes else {}
            yield piece[attributes.end() :] if attributes else piece, spans.get("row", 1), spans.get("col", 1)


def seconds_of(value: str) -> float | None:
    """Return a length such as "3:05", "1:02:03" or "3.05" in seconds, or None where it is none or may be two.

    "3:5" may be 3:05 or 3:50, so it is None: a wrong length would speak against the right recording.
    """
    value = without_references(value[:MAX_TITLE_CHARACTERS]).strip()
    duration = _DURATION.search(value)
    if duration:
        value = _duration(duration[1])
    shown = _REMARK.sub("", plain(value) if "{" in value or "<" in value else value)
    if spelled := _SPELLED.fullmatch(shown):
        shown = f"{spelled[1] or 0}:{int(spelled[2]):02d}:{int(spelled[3]):02d}"
    primes = _PRIMES.fullmatch(shown)
    text = f"{primes[1]}:{primes[2]}" if primes else _LENGTH_WORDS.sub("", shown)
    match = _LENGTH.fullmatch(text.replace("：", ":").strip("'"))
    if not match or int(match[3]) >= 60 or (match[1] and int(match[2]) >= 60):
        return None
    fraction = int(match[4]) / 10 ** len(match[4]) if match[4] else 0.0
    seconds = int(match[1] or 0) * 3600 + int(match[2]) * 60 + int(match[3]) + fraction
    return seconds if 0 < seconds <= MAX_LENGTH_SECONDS else None


def _duration(arguments: str) -> str:
    """Return {{Duration|h=1|m=2|s=3}}, {{Duration|3:05}}, {{hms|0|3|5}} or {{Durée|3|05}} as h:mm:ss."""
    parts = [part.strip() for part in arguments.split("|")]
    named = dict(part.replace(" ", "").split("=", 1) for part in parts if "=" in part)
    plain_parts = [part for part in parts if "=" not in part]
    if named:
        numbers = [named.get(key, "") or "0" for key in ("h", "m", "s")]
    elif len(plain_parts) in (2, 3):
        numbers = [part or "0" for part in ("0", *plain_parts)[-3:]]
    else:
        return plain_parts[0] if plain_parts else ""
    if not all(re.fullmatch(r"\d{1,3}", number, re.ASCII) for number in numbers):
        return ""
    hours, minutes, seconds = (int(number) for number in numbers)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
