"""Find the stored pages that have to be parsed again: the parser is newer, or a crash came before film or outcome."""

from __future__ import annotations

from collections.abc import Iterator

from storage.lake.lake import Lake
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import FILMS, OUTCOMES, PAGES
from tasks.films.models import Page
from tasks.films.parsing.article import PARSER_VERSION
from tasks.films.stored_pages import newest_rows, page_of_row


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
