"""Define the SQL views over the lake's Parquet: films, tracks, outcomes, segments, versions, status.

DuckDB cannot define a view over no file, so a view of what does not exist yet is empty and has its columns. A view
names the parts that exist when it is defined, so `storage.metrics.database.refresh_views` is called after each step.
Binary columns (thumbnails, fingerprints) are left out. The status views (progress, failures, waiting, missing, dead
tracks, runs, refreshes) select from the views of the tables, so `needledrop sql` and the status screen agree.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import duckdb
import pyarrow as pa

from storage.datasets import versions as datasets
from storage.lake.lake import Lake
from storage.libraries.library import create_library_tables, files_table, library_names, tracks_table
from storage.tables import tables
from storage.tables.schemas import TABLES, Table
from storage.views.review_views import REVIEW_VIEWS
from storage.views.status_views import STATUS_VIEWS

VERSION_VIEWS = {
    "dataset_films": datasets.FILMS_FILE,
    "dataset_tracks": datasets.TRACKS_FILE,
    "segments": datasets.SEGMENTS_FILE,
    "exclusions": datasets.EXCLUSIONS_FILE,
}
"""View -> the file of every data-set version that it reads; `dataset_version` names the version of each row."""

LIBRARY_VIEWS = {"library_files": files_table, "library_tracks": tracks_table}
"""View -> the table of every library that it reads; `library` names the library of each row."""


def define_lake_views(connection: duckdb.DuckDBPyConnection, lake: Lake, *, temporary: bool = False) -> None:
    """Define the views over Parquet; temporary ones hide the stored ones and need no write access."""
    kind = "TEMP VIEW" if temporary else "VIEW"
    for table in TABLES.values():
        if tables.parts(lake, table):
            columns = ", ".join(_plain(table.schema))
            connection.execute(
                f"CREATE OR REPLACE {kind} {table.name} AS SELECT {columns} FROM {tables.latest_sql(lake, table)}"
            )
    versions = datasets.names(lake)
    for name, file in VERSION_VIEWS.items():
        select = _version_sql(lake, versions, file) if versions else _empty_version_sql(file)
        connection.execute(f"CREATE OR REPLACE {kind} {name} AS {select}")
    libraries = library_names(lake)
    for library in libraries:
        create_library_tables(lake, library)
    for name, table_of in LIBRARY_VIEWS.items():
        connection.execute(f"CREATE OR REPLACE {kind} {name} AS {_library_sql(lake, libraries, table_of)}")
    for name, select in {**STATUS_VIEWS, **REVIEW_VIEWS}.items():
        connection.execute(f"CREATE OR REPLACE {kind} {name} AS {select}")


def _version_sql(lake: Lake, versions: list[str], file: datasets.VersionFile) -> str:
    names = ", ".join("'" + datasets.file_uri(lake, v, file.name).replace("'", "''") + "'" for v in versions)
    return (
        f"SELECT regexp_extract(filename, '{datasets.FOLDER}/([^/]+)/[^/]+$', 1) AS dataset_version, "
        f"{', '.join(_plain(file.schema))} FROM read_parquet([{names}], filename=true, union_by_name=true)"
    )


def _empty_version_sql(file: datasets.VersionFile) -> str:
    return empty_select(
        pa.schema([("dataset_version", pa.string()), *(file.schema.field(n) for n in _plain(file.schema))])
    )


def _library_sql(lake: Lake, libraries: list[str], table_of: Callable[[str], Table]) -> str:
    columns = [(name, table_of("any").schema.field(name).type) for name in _plain(table_of("any").schema)]
    if not libraries:
        return empty_select(pa.schema([("library", pa.string()), *columns]))
    names = ", ".join(name for name, _ in columns)
    return " UNION ALL ".join(
        f"SELECT '{library}' AS library, {names} FROM {tables.latest_sql(lake, table_of(library))}"
        for library in libraries
    )


@cache
def empty_select(columns: pa.Schema) -> str:
    """Return a query without rows; DuckDB says which of its types each column has, once per process."""
    with duckdb.connect() as connection:
        empty = connection.from_arrow(columns.empty_table())
        typed = [f"CAST(NULL AS {kind}) AS {name}" for name, kind in zip(empty.columns, empty.types, strict=True)]
    return f"SELECT {', '.join(typed)} WHERE false"


def _plain(schema: pa.Schema) -> list[str]:
    return [field.name for field in schema if not pa.types.is_binary(field.type)]
