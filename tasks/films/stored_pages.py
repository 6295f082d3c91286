"""Read what the lake has of pages and films, and find the pages to parse again.

A page is parsed again when the parser is newer, or when a crash came before its film or its outcome was committed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from storage.lake.lake import Lake
from storage.records.outcomes import Stage
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import FILMS, OUTCOMES, PAGES, Table
from tasks.films.parsing.article import PARSER_VERSION
from tasks.films.wiki.site_and_pages import Page

PRESENT = "present"
DELETED = "gone"
"""The state of a page that was deleted, merged or moved away, and of a film whose page is that or about no film."""


@dataclass(frozen=True)
class StoredPage:
    """A page in the lake without its text. `categories` is None if it came from an export."""

    page_id: int
    title: str
    revision_id: int
    state: str
    categories: tuple[str, ...] | None


def stored_pages(lake: Lake, wiki: str | None = None) -> dict[str, StoredPage]:
    """Return every page in the lake by film id, or only those of one wiki."""
    with duckdb_connection.connect(lake) as connection:
        rows = connection.execute(
            f"SELECT film_id, page_id, title, revision_id, state, categories FROM {tables.latest_sql(lake, PAGES)} "
            "WHERE $1 IS NULL OR wiki = $1",
            [wiki],
        ).fetchall()
    return {
        key: StoredPage(page_id, title, revision_id, state, None if names is None else tuple(names))
        for key, page_id, title, revision_id, state, names in rows
    }


def items_with_outcome(lake: Lake) -> set[str]:
    """Return every page that has an outcome of stage film."""
    with duckdb_connection.connect(lake) as connection:
        query = f"SELECT item FROM {tables.latest_sql(lake, OUTCOMES)} WHERE stage = ?"
        return {item for (item,) in connection.execute(query, [str(Stage.FILM)]).fetchall()}


def newest_rows(lake: Lake, table: Table, film_ids: Iterable[str]) -> list[dict[str, Any]]:
    """Return the newest rows of these films in a table with the key `film_id`, ordered by it."""
    with duckdb_connection.connect(lake) as connection:
        query = f"SELECT * FROM {tables.latest_sql(lake, table)} WHERE film_id IN (SELECT unnest(?)) ORDER BY film_id"
        return duckdb_connection.fetch_rows(connection, query, list(film_ids))


def page_of_row(row: dict[str, Any]) -> Page:
    """Return the page of a row of `pages`."""
    names = row["categories"]
    fields = {name: row[name] for name in Page.__dataclass_fields__}
    return Page(**{**fields, "categories": None if names is None else tuple(names)})


def stale_pages(lake: Lake, batch_size: int) -> Iterator[list[Page]]:
    """Yield batches of pages to parse again: after a change of the parser, or a crash before film or outcome."""
    with duckdb_connection.connect(lake) as connection:
        stale = connection.execute(
            f"SELECT p.film_id FROM {tables.latest_sql(lake, PAGES)} p "
            f"LEFT JOIN {tables.latest_sql(lake, FILMS)} f USING (film_id) "
            f"LEFT JOIN {tables.latest_sql(lake, OUTCOMES)} o ON o.stage = 'film' AND o.item = p.film_id "
            "WHERE p.state = 'present' AND (f.parser_version IS NULL OR f.parser_version < ? "
            "OR f.recorded_at < p.recorded_at OR o.item IS NULL OR o.recorded_at < f.recorded_at) ORDER BY 1",
            [PARSER_VERSION],
        ).fetchall()
    for start in range(0, len(stale), batch_size):
        rows = newest_rows(lake, PAGES, [film_id for (film_id,) in stale[start : start + batch_size]])
        yield [page_of_row(row) for row in rows]
