"""The manifest of a version: what identifies it, checksums of its inputs, counts, shares, licences."""

from __future__ import annotations

from typing import Any

import duckdb

from tasks.curation.duplicates import count_recordings
from tasks.curation.exclusions_and_splits import CurationSettings, split_sql

_FILM_CONTENT = "film_id, title, year, split, plot_sha256, tags, thumbnail_sha256, licence"

_TRACK_CONTENT = (
    "film_id, track_id, split, title, artist, album, source, licence, audio_sha256, shard, first_row, segments"
)
_INPUTS = {
    "films": ("* EXCLUDE (thumbnail_sha256)", "candidate_films", "film_id"),
    "thumbnails": (
        "film_id, thumbnail_sha256",
        "(FROM candidate_films WHERE thumbnail_sha256 IS NOT NULL)",
        "film_id",
    ),
    "tracks": ("* EXCLUDE (in_lake, has_fingerprint)", "candidate_tracks", "film_id, track_id"),
    "shards": (
        "shard, audio_sha256, first_row, segments",
        "(SELECT DISTINCT shard, audio_sha256, first_row, segments FROM candidate_tracks WHERE in_lake)",
        "shard, first_row, audio_sha256",
    ),
}
"""Input -> (columns, source, key). A shard is identified by the audio it was made from and the row of each track."""

_SPLITS = """
SELECT split, count(*) AS films, min(year) AS first_year, max(year) AS last_year, sum(tracks) AS tracks,
       sum(segments) AS segments, sum(seconds) / 3600 AS hours
FROM split_films LEFT JOIN (
    SELECT film_id, count(*) AS tracks, sum(segments) AS segments, sum(duration_seconds) AS seconds
    FROM tracks GROUP BY film_id) USING (film_id)
GROUP BY split ORDER BY first_year
"""

_COUNTS = """
SELECT (SELECT count(*) FROM films) AS films, (SELECT count(*) FROM tracks) AS tracks,
       (SELECT coalesce(sum(segments), 0) FROM tracks) AS segments,
       (SELECT coalesce(sum(duration_seconds), 0) / 3600 FROM tracks) AS hours,
       (SELECT count(*) FROM tag_counts WHERE tag NOT IN (SELECT item FROM exclusions WHERE kind = 'tag')) AS tags,
       (SELECT count(*) FROM candidate_films) AS candidate_films,
       (SELECT count(*) FROM candidate_tracks) AS candidate_tracks,
       (SELECT count(*) FROM tag_counts) AS candidate_tags
"""


def summarise(connection: duckdb.DuckDBPyConnection, settings: CurationSettings) -> dict[str, Any]:
    """Return inputs, counts, splits, recordings that several tracks are, exclusions by rule, licences and sources."""
    return {
        "inputs": {name: digest_of(connection, *query) for name, query in _INPUTS.items()},
        "counts": _rounded(_rows(connection, _COUNTS)[0]),
        "splits": {row.pop("split"): _rounded(row) for row in _rows(connection, _SPLITS)},
        "recordings": _rounded(count_recordings(connection, split_sql(settings))),
        "exclusions": _excluded(connection),
        "licences": {
            "films": _shares(connection, "films", "licence"),
            "tracks": _shares(connection, "tracks", "licence"),
        },
        "sources": _shares(connection, "tracks", "source"),
    }


def _excluded(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {"film": {}, "track": {}, "tag": {}}
    query = "SELECT kind, rule, count(*) FROM exclusions GROUP BY kind, rule ORDER BY kind, rule"
    for kind, rule, count in connection.execute(query).fetchall():
        counts[kind][rule] = count
    return counts


def _shares(connection: duckdb.DuckDBPyConnection, table: str, column: str) -> dict[str, int]:
    return dict(connection.execute(f"SELECT {column}, count(*) FROM {table} GROUP BY ALL ORDER BY ALL").fetchall())


def _rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = connection.sql(query).to_arrow_table().to_pylist()
    return rows


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    """Return counts as integers and hours to a thousandth: the order of summing must not change the bytes."""
    return {name: round(float(value or 0), 3) if name == "hours" else int(value or 0) for name, value in row.items()}


def version_content(connection: duckdb.DuckDBPyConnection, settings: CurationSettings) -> dict[str, Any]:
    """Return what identifies a version: its films, its tracks and the rules, not when or by which run it was made."""
    return {
        "parameters": settings.as_parameters(),
        "films": digest_of(connection, _FILM_CONTENT, "split_films", "film_id"),
        "tracks": digest_of(connection, _TRACK_CONTENT, "split_tracks", "film_id, track_id"),
    }


def digest_of(connection: duckdb.DuckDBPyConnection, columns: str, source: str, key: str) -> dict[str, Any]:
    """Return the number of rows and one SHA-256 of these columns, independent of files and order.

    `key` orders the rows and is among the columns.
    """
    query = (
        f"SELECT count(*), sha256(coalesce(string_agg(digest, '' ORDER BY {key}), '')) "
        f"FROM (SELECT {key}, sha256(to_json(t)::VARCHAR) AS digest FROM (SELECT {columns} FROM {source}) t)"
    )
    [(rows, digest)] = connection.execute(query).fetchall()
    return {"rows": rows, "sha256": digest}
