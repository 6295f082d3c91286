"""SQL views over the lake's Parquet, beside the metrics: films, tracks, outcomes, segments, versions.

A view over no file cannot be made in DuckDB, so what does not exist yet is an empty view with its columns. A view
names the parts of the moment it was defined, so `storage.metrics.refresh_views` is called after each step.
Pictures and mels are left out: SQL wants the plain columns beside them.
"""

from __future__ import annotations

import duckdb

from storage import tables
from storage.lake import Lake
from storage.schemas import TABLES

BLOBS = {"thumbnails": ("jpeg",), "tracks": ("fingerprint",)}
"""Columns that no query wants to see."""

VERSION_FILES: dict[str, tuple[str, str, str]] = {
    "dataset_films": (
        "films.parquet",
        "film_id VARCHAR, title VARCHAR, year SMALLINT, split VARCHAR, plot VARCHAR[], tags VARCHAR[], "
        "thumbnail_sha256 VARCHAR, url VARCHAR, revision_id BIGINT, licence VARCHAR",
        "* EXCLUDE (thumbnail)",
    ),
    "dataset_tracks": (
        "tracks.parquet",
        "film_id VARCHAR, track_id VARCHAR, split VARCHAR, title VARCHAR, artist VARCHAR, album VARCHAR, "
        "source VARCHAR, url VARCHAR, licence VARCHAR, duration_seconds DOUBLE, segments INTEGER",
        "*",
    ),
    "segments": (
        "segments.parquet",
        "film_id VARCHAR, track_id VARCHAR, split VARCHAR, shard VARCHAR, row INTEGER, segment INTEGER, "
        "start_seconds FLOAT",
        "*",
    ),
    "exclusions": ("exclusions.parquet", "kind VARCHAR, item VARCHAR, rule VARCHAR, value VARCHAR", "*"),
}
"""View -> (file of a data-set version, its columns for when there is none, what to select)."""


def define_lake_views(connection: duckdb.DuckDBPyConnection, lake: Lake, *, temporary: bool = False) -> None:
    """Define the views over Parquet; temporary ones hide the stored ones and need no right to write."""
    if not lake.is_local:
        connection.register_filesystem(lake.filesystem)
    kind = "TEMP VIEW" if temporary else "VIEW"
    for name, select in _lake_views(lake).items():
        connection.execute(f"CREATE OR REPLACE {kind} {name} AS {select}")


def _lake_views(lake: Lake) -> dict[str, str]:
    views = {}
    for table in TABLES.values():
        if tables.parts(lake, table):
            views[table.name] = f"SELECT * {_without(BLOBS.get(table.name, ()))} FROM {tables.latest_sql(lake, table)}"
    versions = lake.list("datasets", suffix=".parquet") if lake.exists("datasets") else []
    for name, (file, columns, wanted) in VERSION_FILES.items():
        found = [path for path in versions if path.endswith(f"/{file}")]
        views[name] = _version_sql(lake, found, wanted) if found else _empty_sql("dataset_version VARCHAR, " + columns)
    return views


def _version_sql(lake: Lake, files: list[str], wanted: str) -> str:
    names = ", ".join("'" + lake.uri(name).replace("'", "''") + "'" for name in files)
    selected = wanted.replace("* EXCLUDE (", "* EXCLUDE (filename, ") if "EXCLUDE" in wanted else "* EXCLUDE (filename)"
    return (
        f"SELECT regexp_extract(filename, 'datasets/([^/]+)/', 1) AS dataset_version, {selected} "
        f"FROM read_parquet([{names}], filename=true, union_by_name=true)"
    )


def _empty_sql(columns: str) -> str:
    typed = ", ".join(
        f"CAST(NULL AS {kind}) AS {name}" for name, kind in (c.split(" ", 1) for c in columns.split(", "))
    )
    return f"SELECT {typed} WHERE false"


def _without(columns: tuple[str, ...]) -> str:
    return f"EXCLUDE ({', '.join(columns)})" if columns else ""
