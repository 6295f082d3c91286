"""Define the SQL views with one row per segment: `mels`, `audio_embeddings`, and the encoders that made these.

They are separate from the other views because defining one lists every file and opens some. A damaged file is left
out, so that the rest can still be queried.
"""

from __future__ import annotations

from dataclasses import asdict

import duckdb
import pyarrow as pa

from storage.audio_embeddings.cards import list_encoders, read_card
from storage.audio_embeddings.files import COLUMNS as EMBEDDING_COLUMNS
from storage.audio_embeddings.files import list_embeddings
from storage.audio_embeddings.verify import embeddings_damage
from storage.lake.lake import Lake
from storage.mels.layout import COLUMNS, list_shards
from storage.mels.verify import shard_damage
from storage.views.lake_views import empty_select

DAMAGED = (duckdb.InvalidInputException, duckdb.IOException, duckdb.SerializationException)
"""Raised for a file that cannot be read."""


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
        except DAMAGED:
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
        select = empty_select(pa.schema([*identifiers, ("row", pa.int32()), *list(COLUMNS)[2:]]))
    connection.execute(f"CREATE OR REPLACE {'TEMP VIEW' if temporary else 'VIEW'} mels AS {select}")


def define_audio_views(
    connection: duckdb.DuckDBPyConnection, lake: Lake, *, temporary: bool = False, only_intact: bool = False
) -> list[str]:
    """Define `audio_embeddings`, one row per encoder and segment, and `audio_encoders`, what is known of each encoder.

    Like `define_mel_view`, of which it is the counterpart: returns the damaged files that the view leaves out.
    """
    _define_encoders(connection, lake, temporary=temporary)
    files = list_embeddings(lake)
    if not only_intact:
        try:
            _define_embeddings(connection, [lake.uri(file) for file in files], temporary=temporary)
        except DAMAGED:
            pass  # which file it is, is looked for below
        else:
            return []
    damaged = [file for file in files if any(embeddings_damage(lake, file, {}, deep=False))]
    intact = [lake.uri(file) for file in files if file not in set(damaged)]
    _define_embeddings(connection, intact, temporary=temporary)
    return damaged


def _define_embeddings(connection: duckdb.DuckDBPyConnection, files: list[str], *, temporary: bool) -> None:
    names = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
    select = (
        "SELECT regexp_extract(filename, 'audio_embeddings/([^/]+)/[^/]+/[^/]+$', 1) AS encoder, film_id, track_id, "
        f"year::SMALLINT AS year, segment, start_seconds, embedding FROM read_parquet([{names}], filename=true, "
        "hive_partitioning=true)"
    )
    if not names:
        plain = [("encoder", pa.string()), ("film_id", pa.string()), ("track_id", pa.string()), ("year", pa.int16())]
        select = empty_select(pa.schema([*plain, *list(EMBEDDING_COLUMNS)[2:], ("embedding", pa.list_(pa.float32()))]))
    connection.execute(f"CREATE OR REPLACE {'TEMP VIEW' if temporary else 'VIEW'} audio_embeddings AS {select}")


def _define_encoders(connection: duckdb.DuckDBPyConnection, lake: Lake, *, temporary: bool) -> None:
    cards = [{"encoder": folder, **asdict(read_card(lake, folder))} for folder in list_encoders(lake)]
    rows = pa.Table.from_pylist(cards, schema=_ENCODERS)
    kind = "TEMP VIEW" if temporary else "VIEW"
    connection.execute(f"CREATE OR REPLACE {kind} audio_encoders AS {_literal_select(rows)}")


_ENCODERS = pa.schema(
    [
        ("encoder", pa.string()),
        ("name", pa.string()),
        ("model_type", pa.string()),
        ("licence", pa.string()),
        ("sample_rate_hz", pa.int32()),
        ("window_seconds", pa.float64()),
        ("dimensions", pa.int32()),
        ("has_text", pa.bool_()),
        ("revision", pa.string()),
        ("weights_sha256", pa.string()),
    ]
)
"""The columns of `audio_encoders`: the folder of an encoder's embeddings, and its card."""


def _literal_select(rows: pa.Table) -> str:
    """Return a few rows as SQL text, which a stored view may hold."""
    if not len(rows):
        return empty_select(rows.schema)
    with duckdb.connect() as connection:
        types = connection.from_arrow(rows).types
    lines = [
        ", ".join(
            f"{_literal(row[name])}::{kind} AS {name}" for name, kind in zip(rows.column_names, types, strict=True)
        )
        for row in rows.to_pylist()
    ]
    return " UNION ALL ".join(f"SELECT {line}" for line in lines)


def _literal(value: object) -> str:
    return "NULL" if value is None else "'" + str(value).replace("'", "''") + "'"
