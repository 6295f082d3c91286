"""What a run changed in the lake, counted from the lake itself: what is new beside what stood there before it began.

The steps' own counts say what was done (pages read, pictures made); these say what is different afterwards,
which is what an operator compares between two runs.
"""

from __future__ import annotations

from datetime import datetime

from duckdb import DuckDBPyConnection

from storage.lake.lake import Lake
from storage.records.outcomes import Stage
from storage.tables import tables
from storage.tables.schemas import FILMS, OUTCOMES, TRACKS

_BEFORE_AND_AFTER = """
WITH stated AS (
    SELECT {key} AS key, {value} AS value, recorded_at >= $since AS is_new,
        {{'filename': filename, 'row': file_row_number}} AS place
    FROM {rows} WHERE {condition}
), after AS (
    SELECT key, arg_max(value, place) AS now FROM stated WHERE is_new GROUP BY key
), before AS (
    SELECT key, arg_max(value, place) AS was FROM stated SEMI JOIN after USING (key) WHERE NOT is_new GROUP BY key
)
SELECT {counts} FROM after LEFT JOIN before USING (key)
"""
_FILMS = {
    "key": "film_id",
    "value": "{'revision': revision_id, 'is_there': coalesce(state, 'present') = 'present'}",
    "condition": "true",
    "counts": """
        count(*) FILTER (now.is_there AND NOT coalesce(was.is_there, false)) AS films_new,
        count(*) FILTER (now.is_there AND was.is_there AND now.revision IS DISTINCT FROM was.revision) AS films_changed,
        count(*) FILTER (was.is_there AND NOT now.is_there) AS films_gone
    """,
}
_TRACKS = {
    "key": "{'film': film_id, 'track': track_id}",
    "value": "coalesce(segments, 0) > 0",
    "condition": "true",
    "counts": """
        count(*) FILTER (now AND NOT coalesce(was, false)) AS tracks_new,
        count(*) FILTER (was AND NOT now) AS tracks_removed
    """,
}
_AVAILABILITY = {
    "key": "item",
    "value": "status",
    "condition": f"stage = '{Stage.AVAILABILITY}' AND status <> 'skipped'",
    "counts": """
        count(*) FILTER (now = 'failed' AND was IS DISTINCT FROM 'failed') AS tracks_dead,
        count(*) FILTER (now = 'ok' AND was = 'failed') AS tracks_back
    """,
}


def changes_since(lake: Lake, since: datetime) -> dict[str, int]:
    """Films that are new, changed or gone, and tracks that are new, removed, dead or back, since a moment."""
    found: dict[str, int] = {}
    with tables.connect(lake) as connection:
        for table, question in ((FILMS, _FILMS), (TRACKS, _TRACKS), (OUTCOMES, _AVAILABILITY)):
            query = _BEFORE_AND_AFTER.format(rows=tables.rows_sql(lake, table), **question)
            found |= _one_row(connection, query, since)
    return found


def not_done_since(lake: Lake, since: datetime) -> dict[str, int]:
    """STAGE_REASON -> how many items ended so since a moment and were not done after all, the most first."""
    query = (
        f"SELECT stage || '_' || reason, count(*) FROM {tables.latest_sql(lake, OUTCOMES)} "
        "WHERE status <> 'ok' AND recorded_at >= ? GROUP BY ALL ORDER BY 2 DESC, 1"
    )
    with tables.connect(lake) as connection:
        return dict(connection.execute(query, [since]).fetchall())


def _one_row(connection: DuckDBPyConnection, query: str, since: datetime) -> dict[str, int]:
    answer = connection.execute(query, {"since": since})
    names = [column[0] for column in answer.description or ()]
    return dict(zip(names, answer.fetchone() or (), strict=True))
