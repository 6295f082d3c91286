"""Define the SQL views over the lake's Parquet: films, tracks, outcomes, segments, versions, mels.

DuckDB cannot define a view over no file, so a view of what does not exist yet is empty and has its columns. A view
names the parts that exist when it is defined, so `storage.metrics.database.refresh_views` is called after each step.
Binary columns (thumbnails, fingerprints) are left out.
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
"""View -> the file of every data-set version that it reads; `dataset_version` names the version of each row."""


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
    for name, select in STATUS_VIEWS.items():
        connection.execute(f"CREATE OR REPLACE {kind} {name} AS {select}")


def define_mel_view(
    connection: duckdb.DuckDBPyConnection, lake: Lake, *, temporary: bool = False, only_intact: bool = False
) -> list[str]:
    """Define `mels`: the plain columns of every shard, one row per segment; `shard` and `row` are those of `segments`.

    It is separate from the others because defining it lists every shard and opens one. When that one is damaged, or
    with `only_intact`, every shard is checked and the view covers the intact ones, so that the rest can still be
    queried. Returns the shards that it leaves out; `needledrop verify` reports what is wrong with each.
    """
    shards = list_shards(lake)
    if not only_intact:
        all_shards = [lake.uri("mels") + "/year=*/page=*.parquet"] if shards else []
        try:
            _define_mels(connection, all_shards, temporary=temporary)
        except (duckdb.InvalidInputException, duckdb.IOException, duckdb.SerializationException):
            only_intact = True
        else:
            return []
    damaged = [shard for shard in shards if any(shard_damage(lake, shard, None, deep=False))]
    intact = [lake.uri(shard) for shard in shards if shard not in set(damaged)]
    _define_mels(connection, intact, temporary=temporary)
    return damaged


def _define_mels(connection: duckdb.DuckDBPyConnection, files: list[str], *, temporary: bool) -> None:
    measures = ", ".join(name for name in COLUMNS.names if name not in ("film_id", "track_id"))
    names = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
    select = (
        "SELECT film_id, track_id, year::SMALLINT AS year, regexp_extract(filename, 'mels/[^/]+/[^/]+$') AS shard, "
        f"file_row_number::INTEGER AS row, {measures} FROM read_parquet("
        f"[{names}], filename=true, file_row_number=true, hive_partitioning=true)"
    )
    identifiers = [("film_id", pa.string()), ("track_id", pa.string()), ("year", pa.int16()), ("shard", pa.string())]
    if not files:
        select = _empty_select(pa.schema([*identifiers, ("row", pa.int32()), *list(COLUMNS)[2:]]))
    connection.execute(f"CREATE OR REPLACE {'TEMP VIEW' if temporary else 'VIEW'} mels AS {select}")


def _version_sql(lake: Lake, versions: list[str], file: datasets.VersionFile) -> str:
    names = ", ".join("'" + datasets.file_uri(lake, v, file.name).replace("'", "''") + "'" for v in versions)
    return (
        f"SELECT regexp_extract(filename, '{datasets.FOLDER}/([^/]+)/[^/]+$', 1) AS dataset_version, "
        f"{', '.join(_plain(file.schema))} FROM read_parquet([{names}], filename=true, union_by_name=true)"
    )


def _empty_version_sql(file: datasets.VersionFile) -> str:
    return _empty_select(
        pa.schema([("dataset_version", pa.string()), *(file.schema.field(n) for n in _plain(file.schema))])
    )


def _empty_select(columns: pa.Schema) -> str:
    with duckdb.connect() as connection:
        empty = connection.from_arrow(columns.empty_table())
        typed = [f"CAST(NULL AS {kind}) AS {name}" for name, kind in zip(empty.columns, empty.types, strict=True)]
    return f"SELECT {', '.join(typed)} WHERE false"


def _plain(schema: pa.Schema) -> list[str]:
    return [field.name for field in schema if not pa.types.is_binary(field.type)]
