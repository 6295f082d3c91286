"""SQL views over the lake's Parquet, beside the metrics: films, tracks, outcomes, segments, versions.

A view over no file cannot be made in DuckDB, so what does not exist yet is an empty view with its columns. A view
names the parts of the moment it was defined, so `storage.metrics.records.refresh_views` is called after each step.
Pictures and fingerprints are left out: SQL wants the plain columns beside them.
"""

from __future__ import annotations

import duckdb
import pyarrow as pa

from storage.datasets import versions as datasets
from storage.lake.lake import Lake
from storage.mels.layout import COLUMNS, list_shards
from storage.mels.verify import shard_damage
from storage.tables import tables
from storage.tables.schemas import TABLES
from storage.views.status_views import STATUS_VIEWS

VERSION_VIEWS = {
    "dataset_films": datasets.FILMS_FILE,
    "dataset_tracks": datasets.TRACKS_FILE,
    "segments": datasets.SEGMENTS_FILE,
    "exclusions": datasets.EXCLUSIONS_FILE,
}
"""View -> the file of every data-set version that it shows, with the version's name in `dataset_version`."""


def define_lake_views(connection: duckdb.DuckDBPyConnection, lake: Lake, *, temporary: bool = False) -> None:
    """Define the views over Parquet; temporary ones hide the stored ones and need no right to write."""
    kind = "TEMP VIEW" if temporary else "VIEW"
    for table in TABLES.values():
        if tables.parts(lake, table):
            wanted = ", ".join(_plain(table.schema))
            connection.execute(
                f"CREATE OR REPLACE {kind} {table.name} AS SELECT {wanted} FROM {tables.latest_sql(lake, table)}"
            )
    versions = datasets.names(lake)
    for name, file in VERSION_VIEWS.items():
        select = _version_sql(lake, versions, file) if versions else _empty_sql(file)
        connection.execute(f"CREATE OR REPLACE {kind} {name} AS {select}")
    for name, select in STATUS_VIEWS.items():
        connection.execute(f"CREATE OR REPLACE {kind} {name} AS {select}")


def define_mel_view(
    connection: duckdb.DuckDBPyConnection, lake: Lake, *, temporary: bool = False, only_whole: bool = False
) -> list[str]:
    """Define `mels`, the plain columns of every shard, one row a segment; `shard` and `row` are those of `segments`.

    Apart from the others, because making it lists every shard and opens one. Where that one is damaged, or
    `only_whole` asks for it, every shard is looked at and the view is over those that are whole, so that all
    else can still be asked. Returns the shards that it leaves out; `needledrop verify` says what each has.
    """
    shards = list_shards(lake)
    if not only_whole:
        every = [lake.uri("mels") + "/year=*/page=*.parquet"] if shards else []
        try:
            _define_mels(connection, every, temporary=temporary)
        except (duckdb.InvalidInputException, duckdb.IOException, duckdb.SerializationException):
            only_whole = True
        else:
            return []
    damaged = [shard for shard in shards if any(shard_damage(lake, shard, None, deep=False))]
    whole = [lake.uri(shard) for shard in shards if shard not in set(damaged)]
    _define_mels(connection, whole, temporary=temporary)
    return damaged


def _define_mels(connection: duckdb.DuckDBPyConnection, files: list[str], *, temporary: bool) -> None:
    plain = ", ".join(name for name in COLUMNS.names if name not in ("film_id", "track_id"))
    names = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
    select = (
        "SELECT film_id, track_id, year::SMALLINT AS year, regexp_extract(filename, 'mels/[^/]+/[^/]+$') AS shard, "
        f"file_row_number::INTEGER AS row, {plain} FROM read_parquet("
        f"[{names}], filename=true, file_row_number=true, hive_partitioning=true)"
    )
    first = [("film_id", pa.string()), ("track_id", pa.string()), ("year", pa.int16()), ("shard", pa.string())]
    if not files:
        select = _no_rows(pa.schema([*first, ("row", pa.int32()), *list(COLUMNS)[2:]]))
    connection.execute(f"CREATE OR REPLACE {'TEMP VIEW' if temporary else 'VIEW'} mels AS {select}")


def _version_sql(lake: Lake, versions: list[str], file: datasets.VersionFile) -> str:
    names = ", ".join("'" + datasets.file_uri(lake, v, file.name).replace("'", "''") + "'" for v in versions)
    return (
        f"SELECT regexp_extract(filename, '{datasets.FOLDER}/([^/]+)/[^/]+$', 1) AS dataset_version, "
        f"{', '.join(_plain(file.schema))} FROM read_parquet([{names}], filename=true, union_by_name=true)"
    )


def _empty_sql(file: datasets.VersionFile) -> str:
    return _no_rows(pa.schema([("dataset_version", pa.string()), *(file.schema.field(n) for n in _plain(file.schema))]))


def _no_rows(columns: pa.Schema) -> str:
    with duckdb.connect() as connection:
        empty = connection.from_arrow(columns.empty_table())
        typed = [f"CAST(NULL AS {kind}) AS {name}" for name, kind in zip(empty.columns, empty.types, strict=True)]
    return f"SELECT {', '.join(typed)} WHERE false"


def _plain(schema: pa.Schema) -> list[str]:
    return [field.name for field in schema if not pa.types.is_binary(field.type)]
