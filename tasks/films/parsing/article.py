"""Parse an article: whether it is about a film; its plot, tags, year, image, titles, and whose music is in it.

The same for pages from the Action API and from an export. A page that is not about one film has a reason; a film
without a plot or a year is a film all the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from tasks.films.parsing.alternative_titles_and_imdb_id import alternative_titles, imdb_id
from tasks.films.parsing.infobox import IMDB_KEYS, LANGUAGE_KEYS, MUSIC_KEYS, Infobox, find_infobox, languages_in
from tasks.films.parsing.names_and_dates import names_in
from tasks.films.parsing.plain_text import without_comments
from tasks.films.parsing.plot import plot_paragraphs
from tasks.films.parsing.soundtrack_albums import album_page, parse_soundtrack
from tasks.films.parsing.track_lists import AlbumListing

PARSER_VERSION = 7
"""Raise it whenever the result changes: stored pages of an older version are then parsed again, without a fetch."""

_FILM_MARK = re.compile(
    r"\{\{\s*(?:template:)?\s*(?:infobox[ _][^|}\n<]*film|infobox movie|infobox hollywood cartoon|film\s*\|)"
    r"|films\s*(?:\||\]\])",
    re.IGNORECASE,
)
_REDIRECT = re.compile(
    r"\s*#(?:redirect|rinvia|redirección|weiterleitung|redirection|reindirizza)\s*:?\s*\[\[", re.IGNORECASE
)
_CATEGORY = re.compile(r"\[\[\s*[Cc](?i:ategory)\s*:\s*([^\[\]|{}\n]+)(?=\||\]\])")
_HIDDEN = re.compile(r"<(nowiki|includeonly|pre)\b[^<>]*>.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_MAY_HIDE = re.compile(r"<(?:nowiki|includeonly|pre)\b")
_YEAR_FILMS = re.compile(r"(1[89]\d\d|20\d\d) films")
_YEAR_KIND_FILMS = re.compile(r"(1[89]\d\d|20\d\d) .*films")
_DISAMBIGUATION = re.compile(r"\{\{\s*(?:disambig\w*|dab|hndis|film disambiguation|disamb\w*)[^{}]*\}\}", re.IGNORECASE)
_LIST_TITLE = re.compile(r"(?:lists? of|timeline of|index of|outline of|filmography)\b|.* filmography$", re.IGNORECASE)
_SERIES_TITLE = re.compile(
    r".*\((?:\d{4} )?(?:film|movie|media|film and television)? ?(?:series|franchise|trilogy|saga|duology)\)$",
    re.IGNORECASE,
)
_SERIES_CATEGORY = re.compile(
    r"(?:film series|film franchises|media franchises|.* film series(?: .*)?|film trilogies|mass media franchises .*)",
    re.IGNORECASE,
)
_TELEVISION_TITLE = re.compile(
    r".*\((?:.* )?(?:tv|television|web|anime|manga) ?(?:series|serial|miniseries|program(?:me)?|show)\)$", re.IGNORECASE
)
_NOT_A_FILM_BOX = re.compile(
    r"infobox (?:television(?! film)|tv|animanga|anime|manga|person|actor|actress|comedian|presenter|writer|artist"
    r"|musical artist|singer|album|song|single|soundtrack|musical composition|book|novel|short story|comic"
    r"|graphic novel|video game|vg|character|fictional|company|organi[sz]ation|film awards|film festival|award|play"
    r"|musical|opera|franchise|media franchise|event|settlement|building|venue|radio|podcast|website|toy|game|language"
    r"|country|cinema market|theatre|dance|military|school|university|royalty|officeholder|criminal|sports?"
    r"|football|ship|newspaper|magazine|journal|software|deity|literary|poem)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Article:
    """A parsed page. `reason` is empty for a film, else `redirect` or `not_a_film`, and `why` explains it."""

    reason: str
    why: str
    plot: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    year: int | None = None
    image: str | None = None
    names: tuple[str, ...] = ()
    """Alternative titles from the first sentence and the infobox."""
    composers: tuple[str, ...] = ()
    song_producers: tuple[str, ...] = ()
    record_labels: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    imdb_id: str | None = None
    album_page: str | None = None
    """Title of the linked article about the soundtrack album."""
    listings: tuple[AlbumListing, ...] = ()


def looks_like_film(text: str) -> bool:
    """Return whether a page may be about a film: a fast test that filters the pages of a dump."""
    return bool(_FILM_MARK.search(text))


def parse_article(title: str, text: str, categories: Sequence[str] | None = None) -> Article:
    """Parse one page. `categories` are those that the wiki listed; if None they are found in the text."""
    text = without_comments(text.replace("\r\n", "\n"))
    if _REDIRECT.match(text):
        return Article("redirect", f"{title} only redirects to another page")
    names = [_category_name(c) for c in categories] if categories is not None else categories_in(text)
    box = find_infobox(text)
    why = why_not_a_film(title, text, names, box)
    if why:
        return Article("not_a_film", why)
    soundtrack = parse_soundtrack(title, text)
    return Article(
        reason="",
        why="",
        plot=tuple(plot_paragraphs(text)),
        tags=tuple(dict.fromkeys(name for name in names if name.endswith("films"))),
        year=release_year(names, box),
        image=box.image,
        names=alternative_titles(title, text, box.native_name),
        composers=names_in(box.first(MUSIC_KEYS)),
        song_producers=soundtrack.producers,
        record_labels=soundtrack.labels,
        languages=languages_in(box.first(LANGUAGE_KEYS)),
        imdb_id=imdb_id(text, box.first(IMDB_KEYS)),
        album_page=album_page(title, text),
        listings=soundtrack.listings,
    )


def categories_in(text: str) -> list[str]:
    """Return the category names in the text, in order, without sort keys; those that templates add are not seen."""
    if _MAY_HIDE.search(text):
        last = text.rfind("</") + 40  # nothing closes after it
        text = _HIDDEN.sub("", text[:last]) + text[last:] if last >= 40 else text
    return list(dict.fromkeys(_category_name(name) for name in _CATEGORY.findall(text)))


def release_year(categories: Iterable[str], box: Infobox) -> int | None:
    """Return the earliest year of "YYYY films", else of "YYYY … films", else of the infobox's release date."""
    names = list(categories)
    for pattern in (_YEAR_FILMS, _YEAR_KIND_FILMS):
        years = [int(match[1]) for name in names if (match := pattern.fullmatch(name))]
        if years:
            return min(years)
    return box.release_year


def why_not_a_film(title: str, text: str, categories: Sequence[str], box: Infobox) -> str:  # noqa: PLR0911  one return per rule
    """Return a sentence that states why a page is not about one film, or an empty string if it is.

    A film is a page with a film infobox or in a "YYYY films" category, unless it is a list, a disambiguation, a
    series of films, or an article on something else (a programme, a book, a person) that merely mentions a film.
    """
    in_year = any(_YEAR_FILMS.fullmatch(name) for name in categories)
    if not box.is_film and _is_disambiguation(text, categories):
        return f"{title} is a disambiguation page"
    if (not (box.is_film and in_year) and _LIST_TITLE.match(title)) or any(
        name.startswith("Lists of") for name in categories
    ):
        return f"{title} is a list"
    if _TELEVISION_TITLE.match(title):
        return f"{title} is a television or web series"
    if _SERIES_TITLE.match(title) or (not in_year and any(_SERIES_CATEGORY.fullmatch(name) for name in categories)):
        return f"{title} is a series of films"
    is_named_film = title.endswith("film)") and any(_YEAR_KIND_FILMS.fullmatch(name) for name in categories)
    is_film_in_other_box = is_named_film or (in_year and _is_television_film(categories, box))
    if _NOT_A_FILM_BOX.match(box.opening) and not is_film_in_other_box:
        return f"{title} opens with {{{{{box.opening}}}}}"
    if box.is_film or in_year or is_named_film:
        return ""
    if not box.name and any(_YEAR_KIND_FILMS.fullmatch(name) for name in categories):
        return ""
    return f"{title} has neither a film infobox nor a category of its year's films"


def _is_disambiguation(text: str, categories: Sequence[str]) -> bool:
    is_marked = "__DISAMBIG__" in text or _DISAMBIGUATION.search(text)
    return bool(is_marked) or any("disambiguation pages" in name.lower() for name in categories)


def _is_television_film(categories: Sequence[str], box: Infobox) -> bool:
    """Return whether it is a television film, many of which open with a television programme's infobox."""
    return "television" in box.opening and any(name.endswith("television films") for name in categories)


@lru_cache(maxsize=65536)
def _category_name(name: str) -> str:
    """Return a category's name as the wiki stores it: no underscores, first letter upper. Cached: names repeat."""
    name = " ".join(name.replace("_", " ").split())
    return name[:1].upper() + name[1:]
