"""Exclude rare tags: a tag that only one film has identifies that film and does not generalise.

Tags are counted by distinct films of the version, after every other filter, as the MTG-Jamendo data set counts
artists and not tracks.
"""

from __future__ import annotations

import duckdb

from tasks.curation.settings import CurationSettings


def count_tags(connection: duckdb.DuckDBPyConnection) -> None:
    """Create `tag_counts` (tag, films): how many distinct films of the version have each tag."""
    connection.execute(
        """
        CREATE OR REPLACE TABLE tag_counts AS
        SELECT tag, count(DISTINCT film_id) AS films
        FROM (SELECT film_id, unnest(tags) AS tag FROM films) GROUP BY tag ORDER BY tag
        """
    )


def films_without_tag(settings: CurationSettings) -> str:
    """Return a SELECT of the films all of whose tags are rare, with how many tags they had."""
    return f"""
        SELECT film_id, len(tags) || ' tags, all rare' AS value FROM films
        WHERE film_id NOT IN (
            SELECT film_id FROM (SELECT film_id, unnest(tags) AS tag FROM films)
            JOIN tag_counts USING (tag) WHERE tag_counts.films >= {settings.min_films_per_tag})
    """


def exclude_rare_tags(connection: duckdb.DuckDBPyConnection, settings: CurationSettings) -> None:
    """Keep only the common tags in `films`, each once and in the page's order; insert exclusions for the rest."""
    rare = f"films < {settings.min_films_per_tag}"
    connection.execute(f"INSERT INTO exclusions SELECT 'tag', tag, 'rare', films::VARCHAR FROM tag_counts WHERE {rare}")
    connection.execute(
        f"""
        CREATE TABLE kept_tags AS
        SELECT film_id, list(tag ORDER BY position) AS tags FROM (
            SELECT film_id, tag, min(position) AS position
            FROM (SELECT film_id, unnest(tags) AS tag, generate_subscripts(tags, 1) AS position FROM films)
            WHERE tag IN (SELECT tag FROM tag_counts WHERE NOT ({rare}))
            GROUP BY film_id, tag)
        GROUP BY film_id
        """
    )
    connection.execute(
        "CREATE OR REPLACE TABLE films AS SELECT f.* REPLACE (coalesce(k.tags, []) AS tags) "
        "FROM films f LEFT JOIN kept_tags k USING (film_id)"
    )
