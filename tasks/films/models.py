"""Pages of a wiki, from the Action API or an XML export alike: `Page`, and keys, addresses and licences."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qs, quote, unquote, urlsplit

WIKIPEDIA_LICENCE = "CC BY-SA 4.0"
"""The licence of the text of every Wikipedia since June 2023."""
UNKNOWN_LICENCE = "not stated"


@dataclass(frozen=True)
class Page:
    """One revision of one page. `categories` is None if the source lists none and they must be found in the text."""

    wiki: str
    page_id: int
    revision_id: int
    revision_time: datetime | None
    title: str
    url: str
    wikitext: str
    source: str
    licence: str
    categories: tuple[str, ...] | None = None
    image: str | None = None
    image_url: str | None = None
    image_non_free: bool | None = None
    wikidata_id: str | None = None

    @property
    def film_id(self) -> str:
        """The key of the page in every table: `WIKI-PAGEID`."""
        return film_id(self.wiki, self.page_id)


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


def film_id(wiki: str, page_id: int) -> str:
    """Return the key of a page in every table, which is safe as a file name."""
    return f"{wiki}-{page_id}"


def wiki_name(dbname: str | None, base_url: str) -> str:
    """Return a wiki's short name: that of its database, else one made of its address (en.wikipedia.org: enwiki)."""
    if dbname and re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", dbname):
        return dbname
    host = urlsplit(base_url).hostname or ""
    labels = [label for label in host.split(".") if label not in ("www", "m")]
    if len(labels) >= 3 and labels[-2] == "wikipedia":
        return re.sub(r"[^a-z0-9]", "_", labels[0]) + "wiki"
    return re.sub(r"[^A-Za-z0-9]+", "_", host).strip("_") or "wiki"


def page_url(base_url: str, title: str) -> str:
    """Return a page's canonical address, given the address of another page of the wiki (its main page)."""
    return base_url.rsplit("/", 1)[0] + "/" + quote(title.replace(" ", "_"), safe="/:@!$*(),;'~")


def page_of_address(address: str) -> str | int:
    """Return the title or the page id that the address of an article names."""
    parts = urlsplit(address)
    query = parse_qs(parts.query)
    for key in ("curid", "pageid"):
        if key in query and query[key][0].isdecimal():
            return int(query[key][0])
    if "title" in query:
        return query["title"][0].replace("_", " ")
    return unquote(parts.path.split("/wiki/", 1)[-1]).replace("_", " ")


def text_licence(base_url: str) -> str:
    """Return the licence of a wiki's text, which is known only for Wikipedia."""
    host = urlsplit(base_url).hostname or ""
    return WIKIPEDIA_LICENCE if host == "wikipedia.org" or host.endswith(".wikipedia.org") else UNKNOWN_LICENCE
