"""What a run changed in the lake, and how its counts compare with those of the run before it.

The counts of the steps say what was done (pages read, thumbnails made); the changes say how the tables differ
afterwards from what they held before the run, which is what an operator compares between two runs.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from storage.lake.lake import Lake
from storage.records.outcomes import Stage
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import FILMS, OUTCOMES, TRACKS
from storage.views.lake_views import define_lake_views

_BEFORE_AND_AFTER = """
WITH recorded AS (
    SELECT {key} AS key, {value} AS value, recorded_at >= $since AS is_new, {row_order} AS row_order
    FROM {rows} WHERE {condition}
), changed AS (
    SELECT key, arg_max(value, row_order) AS after FROM recorded WHERE is_new GROUP BY key
), earlier AS (
    SELECT key, arg_max(value, row_order) AS before FROM recorded SEMI JOIN changed USING (key)
    WHERE NOT is_new GROUP BY key
)
SELECT {counts} FROM changed LEFT JOIN earlier USING (key)
"""
_FILMS = {
    "key": "film_id",
    "value": "{'revision': revision_id, 'is_present': coalesce(state, 'present') = 'present'}",
    "condition": "true",
    "counts": """
        count(*) FILTER (after.is_present AND NOT coalesce(before.is_present, false)) AS films_new,
        count(*) FILTER (after.is_present AND before.is_present
            AND after.revision IS DISTINCT FROM before.revision) AS films_changed,
        count(*) FILTER (before.is_present AND NOT after.is_present) AS films_gone
    """,
}
_TRACKS = {
    "key": "{'film': film_id, 'track': track_id}",
    "value": "coalesce(segments, 0) > 0",
    "condition": "true",
    "counts": """
        count(*) FILTER (after AND NOT coalesce(before, false)) AS tracks_new,
        count(*) FILTER (before AND NOT after) AS tracks_removed
    """,
}
_AVAILABILITY = {
    "key": "item",
    "value": "status",
    "condition": f"stage = '{Stage.AVAILABILITY}' AND status <> 'skipped'",
    "counts": """
        count(*) FILTER (after = 'failed' AND before IS DISTINCT FROM 'failed') AS tracks_dead,
        count(*) FILTER (after = 'ok' AND before = 'failed') AS tracks_back
    """,
}


def changes_since(lake: Lake, since: datetime) -> dict[str, int]:
    """Count the films that are new, changed or deleted, and the tracks new, removed, dead or back, since a moment."""
    changes: dict[str, int] = {}
    with duckdb_connection.connect(lake) as connection:
        for table, question in ((FILMS, _FILMS), (TRACKS, _TRACKS), (OUTCOMES, _AVAILABILITY)):
            rows = tables.rows_sql(lake, table)
            query = _BEFORE_AND_AFTER.format(rows=rows, row_order=tables.ROW_ORDER, **question)
            [counts] = duckdb_connection.fetch_rows(connection, query, since=since)
            changes |= counts
    return changes


def run_counts(lake: Lake, flow_run_id: str) -> list[dict[str, Any]]:
    """Return the counts of a finished run next to those of the run of the same flow before it.

    One dictionary per count: name, this_run, run_before (None for a first run) and more, the difference.
    """
    with duckdb_connection.connect(lake) as connection:
        define_lake_views(connection, lake, temporary=True)
        query = "SELECT name, this_run, run_before, more FROM run_counts WHERE flow_run_id = ? ORDER BY name"
        return duckdb_connection.fetch_rows(connection, query, flow_run_id)
