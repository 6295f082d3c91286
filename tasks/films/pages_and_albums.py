"""A page of a wiki, from the Action API or an XML export alike; the albums and tracks that are listed for a film."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

PRESENT = "present"
DELETED = "gone"
"""The state of a page that was deleted, merged or moved away, and of a film whose page is that or about no film."""


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
