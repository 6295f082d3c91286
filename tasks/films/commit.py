"""Commit pages to the lake: the wikitext, the albums and the film parsed from it, and the outcome.

A page row keeps the wikitext, so that a newer parser can parse it again without a fetch; listings and a film row have
what was parsed; an outcome states the result. They are committed in this order, and `stored_pages.py` finds what a
crash left incomplete by comparing pages, films and outcomes.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from mwparserfromhell.parser import ParserError

from storage.lake.lake import Lake
from storage.records import outcomes
from storage.records.outcomes import Outcome, Stage, Status
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import ALBUM_LISTINGS, FILMS, PAGES
from tasks.films.parsing.article import PARSER_VERSION, Article, parse_article
from tasks.films.parsing.track_lists import AlbumListing
from tasks.films.stored_pages import DELETED, PRESENT, newest_rows, page_of_row
from tasks.films.wiki.site_and_pages import Page

ARTICLE = "article"
"""The kind of listings that a film's own article has: `article:1`, `article:2`, …"""
_LISTED_EVIDENCE = ("names", "composers", "song_producers", "record_labels", "languages")


def commit_pages(lake: Lake, pages: Sequence[Page], run_id: str) -> Counter[str]:
    """Commit pages and the films parsed from them; return the number of outcomes by reason."""
    tables.append(lake, PAGES, [{**asdict(page), "film_id": page.film_id, "state": PRESENT} for page in pages], run_id)
    return commit_films(lake, pages, run_id)


def commit_films(lake: Lake, pages: Sequence[Page], run_id: str) -> Counter[str]:
    """Parse pages that are in the lake and commit the films; return the number of outcomes by reason."""
    rows, results, listings = [], [], {}
    known = _wikidata_ids(lake, [page.film_id for page in pages])
    for page in pages:
        started = time.perf_counter()
        article = _parse(page)
        rows.append(_film_row(page, article, page.wikidata_id or known.get(page.film_id)))
        listings[page.film_id] = listing_rows(page.film_id, ARTICLE, article.listings, page)
        results.append(_outcome(page, article, time.perf_counter() - started))
    commit_listings(lake, ARTICLE, listings, run_id)
    tables.append(lake, FILMS, rows, run_id)
    return commit_outcomes(lake, results, run_id)


def listing_rows(film_id: str, kind: str, listings: Sequence[AlbumListing], page: Page) -> list[dict[str, Any]]:
    """Return the rows of the albums that a page lists, numbered in its order."""
    provenance = {"source": page.source, "url": page.url, "revision_id": page.revision_id, "licence": page.licence}
    return [
        {"film_id": film_id, "listing": f"{kind}:{number}", **asdict(album), **provenance}
        for number, album in enumerate(listings, 1)
    ]


def commit_listings(lake: Lake, kind: str, listings: Mapping[str, Sequence[dict[str, Any]]], run_id: str) -> None:
    """Commit the albums of films (film id -> rows) from one kind of source, and mark those that it lists no more."""
    with duckdb_connection.connect(lake) as connection:
        listed = tables.latest_sql(lake, ALBUM_LISTINGS, f"split_part(listing, ':', 1) = '{kind}'")
        query = f"SELECT film_id, listing FROM {listed} WHERE state = ? AND film_id IN (SELECT unnest(?))"
        earlier = connection.execute(query, [PRESENT, list(listings)]).fetchall()
    rows = [{**row, "state": PRESENT, "parser_version": PARSER_VERSION} for one in listings.values() for row in one]
    now = {(row["film_id"], row["listing"]) for row in rows}
    gone = [{"film_id": film, "listing": key, "state": DELETED} for film, key in earlier if (film, key) not in now]
    tables.append(lake, ALBUM_LISTINGS, [*rows, *gone], run_id)


def commit_wikidata_ids(lake: Lake, ids: Mapping[str, str], run_id: str) -> None:
    """Add Wikidata ids to films (film id -> "Q42").

    The rows keep the time at which they were recorded: nothing was parsed again, and outcomes stay newer than they.
    """
    rows = newest_rows(lake, FILMS, ids)
    tables.append(lake, FILMS, [{**row, "wikidata_id": ids[row["film_id"]]} for row in rows], run_id)


def _wikidata_ids(lake: Lake, film_ids: Sequence[str]) -> dict[str, str]:
    """Return the Wikidata ids that films have already: no article names its own, so parsing again must keep them."""
    with duckdb_connection.connect(lake) as connection:
        newest = tables.latest_sql(lake, FILMS, "film_id IN (SELECT unnest($1))")
        query = f"SELECT film_id, wikidata_id FROM {newest} WHERE wikidata_id IS NOT NULL"
        return dict(connection.execute(query, [list(film_ids)]).fetchall())


def commit_outcomes(lake: Lake, results: Sequence[Outcome], run_id: str) -> Counter[str]:
    """Commit outcomes; return their number by reason."""
    if results:
        outcomes.record(lake, results, run_id)
    return Counter(outcome.reason for outcome in results)


def commit_deletions(lake: Lake, deleted: Mapping[str, str], run_id: str) -> Counter[str]:
    """Mark pages (film id -> explanation) and their films as deleted; their rows stay."""
    if not deleted:
        return Counter()
    for table in (PAGES, FILMS):
        present = [row for row in newest_rows(lake, table, deleted) if row["state"] == PRESENT]
        tables.append(lake, table, [_without_provenance({**row, "state": DELETED}) for row in present], run_id)
    results = [Outcome(Stage.FILM, item, Status.SKIPPED, "missing", message=why) for item, why in deleted.items()]
    outcomes.record(lake, results, run_id)
    return Counter(gone=len(deleted))


def commit_categories(lake: Lake, categories: Mapping[str, tuple[str, ...]], run_id: str) -> Counter[str]:
    """Replace the categories of pages in the lake (by film id) and parse these again."""
    pages = [page_of_row(row) for row in newest_rows(lake, PAGES, categories)]
    return commit_pages(lake, [replace(page, categories=categories[page.film_id]) for page in pages], run_id)


def outcome_of_other_page(page: Page, *, is_redirect: bool) -> Outcome:
    """Return the outcome of a page that looks like no film."""
    if is_redirect:
        return Outcome(Stage.FILM, page.film_id, Status.SKIPPED, "redirect", message=f"{page.title} only redirects")
    why = f"{page.title} has neither a film infobox nor a category of films"
    return Outcome(Stage.FILM, page.film_id, Status.SKIPPED, "not_a_film", message=why)


def _parse(page: Page) -> Article:
    try:
        return parse_article(page.title, page.wikitext, page.categories)
    except (ParserError, RecursionError) as error:
        return Article("damaged_page", f"{page.title} cannot be parsed: {error}")


def _film_row(page: Page, article: Article, wikidata_id: str | None) -> dict[str, Any]:
    row = {**asdict(page), "film_id": page.film_id}
    del row["wikitext"], row["categories"]
    return {
        **row,
        "year": article.year,
        "plot": list(article.plot),
        "tags": list(article.tags),
        "image": page.image or article.image,
        **{name: list(getattr(article, name)) for name in _LISTED_EVIDENCE},
        "imdb_id": article.imdb_id,
        "wikidata_id": wikidata_id,
        "album_page": article.album_page,
        "state": DELETED if article.reason else PRESENT,
        "parser_version": PARSER_VERSION,
    }


def _outcome(page: Page, article: Article, seconds: float) -> Outcome:
    """Return the outcome of a parsed page. A film without plot or year is kept: curation decides about it."""
    if article.reason == "damaged_page":
        return Outcome(Stage.FILM, page.film_id, Status.FAILED, "damaged_page", message=article.why, seconds=seconds)
    if article.reason:
        return Outcome(Stage.FILM, page.film_id, Status.SKIPPED, article.reason, message=article.why, seconds=seconds)
    if not article.plot:
        why = f"{page.title} has no plot section" + ("" if article.year else ", and no year")
        return Outcome(Stage.FILM, page.film_id, Status.SKIPPED, "no_plot", message=why, seconds=seconds)
    if article.year is None:
        why = f"{page.title} has neither a category of its year nor a release date"
        return Outcome(Stage.FILM, page.film_id, Status.SKIPPED, "no_year", message=why, seconds=seconds)
    return outcomes.ok(Stage.FILM, page.film_id, seconds=seconds)


def _without_provenance(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ("run_id", "recorded_at")}
