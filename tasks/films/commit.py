"""Commit pages: the one path after a page's text is at hand, wherever it came from.

A page row keeps the wikitext, so that a newer parser can read it again without a fetch; a film row keeps
what was read; an outcome says what became of the page. They are committed in that order, and what a crash
left out is found by comparing them (`stale_pages`), so no batch is ever half done for good.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from mwparserfromhell.parser import ParserError

from storage.lake.lake import Lake
from storage.records import outcomes
from storage.records.outcomes import Outcome, Stage, Status
from storage.tables import tables
from storage.tables.schemas import FILMS, OUTCOMES, PAGES, Table
from tasks.films.models import Page
from tasks.films.parsing.article import PARSER_VERSION, Article, parse_article

PRESENT = "present"
GONE = "gone"
"""Of a page: deleted, merged or moved away. Of a film: that, or its page is not of a film (any more)."""


@dataclass(frozen=True)
class Known:
    """What the lake already has of a page. `categories` is None for a page that came from an export."""

    page_id: int
    title: str
    revision_id: int
    state: str
    categories: tuple[str, ...] | None


def known_pages(lake: Lake, wiki: str | None = None) -> dict[str, Known]:
    """Every page the lake has, by film id; of one wiki if it is named."""
    with tables.connect(lake) as connection:
        rows = connection.execute(
            f"SELECT film_id, page_id, title, revision_id, state, categories FROM {tables.latest_sql(lake, PAGES)} "
            "WHERE $1 IS NULL OR wiki = $1",
            [wiki],
        ).fetchall()
    return {
        key: Known(page_id, title, revision_id, state, None if names is None else tuple(names))
        for key, page_id, title, revision_id, state, names in rows
    }


def listed_items(lake: Lake) -> set[str]:
    """Every page that has an outcome of stage film."""
    with tables.connect(lake) as connection:
        query = f"SELECT item FROM {tables.latest_sql(lake, OUTCOMES)} WHERE stage = ?"
        return {item for (item,) in connection.execute(query, [str(Stage.FILM)]).fetchall()}


def commit_pages(lake: Lake, pages: Sequence[Page], run_id: str) -> Counter[str]:
    """Read and commit a batch of pages; returns how many ended with which reason."""
    tables.append(lake, PAGES, [{**asdict(page), "film_id": page.film_id, "state": PRESENT} for page in pages], run_id)
    return commit_readings(lake, pages, run_id)


def commit_readings(lake: Lake, pages: Sequence[Page], run_id: str) -> Counter[str]:
    """Read pages whose text the lake has, and commit the films and the outcomes."""
    rows, ended = [], []
    for page in pages:
        started = time.perf_counter()
        article = _read(page)
        rows.append(_film_row(page, article))
        ended.append(_outcome(page, article, time.perf_counter() - started))
    tables.append(lake, FILMS, rows, run_id)
    outcomes.record(lake, ended, run_id)
    return Counter(outcome.reason for outcome in ended)


def commit_others(lake: Lake, ended: Sequence[Outcome], run_id: str) -> Counter[str]:
    """Commit the outcomes of pages that carry no mark of a film, of which nothing else is kept."""
    if ended:
        outcomes.record(lake, ended, run_id)
    return Counter(outcome.reason for outcome in ended)


def commit_gone(lake: Lake, gone: dict[str, str], run_id: str) -> Counter[str]:
    """Mark pages as gone (film id to the sentence that says why); they keep their rows, and lose their place."""
    if not gone:
        return Counter()
    for table in (PAGES, FILMS):
        present = [row for row in _rows_of(lake, table, gone) if row["state"] == PRESENT]
        tables.append(lake, table, [_without_provenance({**row, "state": GONE}) for row in present], run_id)
    ended = [Outcome(Stage.FILM, item, Status.SKIPPED, "missing", message=why) for item, why in gone.items()]
    outcomes.record(lake, ended, run_id)
    return Counter(gone=len(gone))


def commit_categories(lake: Lake, categories: dict[str, tuple[str, ...]], run_id: str) -> Counter[str]:
    """Give kept pages their new categories (by film id), and read them again."""
    kept = [_page(row) for row in _rows_of(lake, PAGES, categories)]
    return commit_pages(lake, [replace(page, categories=categories[page.film_id]) for page in kept], run_id)


def stale_pages(lake: Lake, batch: int) -> Iterator[list[Page]]:
    """Kept pages to be read again: read by an older parser, or a crash came between page, film and outcome."""
    with tables.connect(lake) as connection:
        stale = connection.execute(
            f"SELECT p.film_id FROM {tables.latest_sql(lake, PAGES)} p "
            f"LEFT JOIN {tables.latest_sql(lake, FILMS)} f USING (film_id) "
            f"LEFT JOIN {tables.latest_sql(lake, OUTCOMES)} o ON o.stage = 'film' AND o.item = p.film_id "
            "WHERE p.state = 'present' AND (f.parser_version IS NULL OR f.parser_version < ? "
            "OR f.recorded_at < p.recorded_at OR o.item IS NULL OR o.recorded_at < f.recorded_at) ORDER BY 1",
            [PARSER_VERSION],
        ).fetchall()
    for start in range(0, len(stale), batch):
        rows = _rows_of(lake, PAGES, [film_id for (film_id,) in stale[start : start + batch]])
        yield [_page(row) for row in rows]


def other_page(page: Page, is_redirect: bool) -> Outcome:
    """The outcome of a page that carries no mark of a film."""
    if is_redirect:
        return Outcome(Stage.FILM, page.film_id, Status.SKIPPED, "redirect", message=f"{page.title} only redirects")
    why = f"{page.title} has neither a film infobox nor a category of films"
    return Outcome(Stage.FILM, page.film_id, Status.SKIPPED, "not_a_film", message=why)


def _read(page: Page) -> Article:
    try:
        return parse_article(page.title, page.wikitext, page.categories)
    except (ParserError, RecursionError) as error:
        return Article("damaged_page", f"{page.title} cannot be parsed: {error}")


def _film_row(page: Page, article: Article) -> dict[str, Any]:
    row = {**asdict(page), "film_id": page.film_id}
    del row["wikitext"], row["categories"]
    return {
        **row,
        "year": article.year,
        "plot": list(article.plot),
        "tags": list(article.tags),
        "image": page.image or article.image,
        "names": list(article.names),
        "state": GONE if article.reason else PRESENT,
        "parser_version": PARSER_VERSION,
    }


def _outcome(page: Page, article: Article, seconds: float) -> Outcome:
    """A film without a plot or a year is kept; the outcome says what it lacks, and curation decides."""
    if article.reason == "damaged_page":
        return Outcome(Stage.FILM, page.film_id, Status.FAILED, "damaged_page", message=article.why, seconds=seconds)
    if article.reason:
        return Outcome(Stage.FILM, page.film_id, Status.SKIPPED, article.reason, message=article.why, seconds=seconds)
    if not article.plot:
        why = f"{page.title} has no section that tells its plot" + ("" if article.year else ", and no year")
        return Outcome(Stage.FILM, page.film_id, Status.SKIPPED, "no_plot", message=why, seconds=seconds)
    if article.year is None:
        why = f"{page.title} has neither a category of its year nor a release date"
        return Outcome(Stage.FILM, page.film_id, Status.SKIPPED, "no_year", message=why, seconds=seconds)
    return outcomes.ok(Stage.FILM, page.film_id, seconds=seconds)


def _rows_of(lake: Lake, table: Table, film_ids: Iterable[str]) -> list[dict[str, Any]]:
    with tables.connect(lake) as connection:
        query = f"SELECT * FROM {tables.latest_sql(lake, table)} WHERE film_id IN (SELECT unnest(?)) ORDER BY film_id"
        found = connection.execute(query, [list(film_ids)])
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _without_provenance(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ("run_id", "recorded_at")}


def _page(row: dict[str, Any]) -> Page:
    names = row["categories"]
    fields = {name: row[name] for name in Page.__dataclass_fields__}
    return Page(**{**fields, "categories": None if names is None else tuple(names)})
