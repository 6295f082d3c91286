"""Append-only tables of the lake: folders of Parquet parts, where the newest row of a key counts.

Parts are numbered, and the rows of one part count in their order, so "newest" never depends on a clock. Parts are
never edited; a correction is a newer row. Many small parts are merged from time to time (`storage/tables/parts.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from storage.errors import InputError, LakeError
from storage.lake.lake import VERSION_FILE, Lake, lake_at, open_lake
from storage.tables.duckdb_connection import connect
from storage.tables.parts import compact, empty_part_path, live_parts, next_part_path, stored_parts
from storage.tables.schemas import TABLES, Table


def append(lake: Lake, table: Table, rows: Sequence[Mapping[str, Any]], run_id: str) -> str | None:
    """Commit rows as one new part; returns its path, or None for no rows.

    Columns that a row lacks are null; `run_id` and `recorded_at` are filled in.
    Raises `LakeError` for a column that the table does not have.
    """
    if not rows:
        return None
    names = set(table.schema.names)
    unknown = {name for row in rows for name in row} - names
    if unknown:
        raise LakeError(f"{table.name} has no column {', '.join(sorted(unknown))}; see storage/tables/schemas.py")
    now = datetime.now(UTC)
    filled = [{**row, "run_id": run_id, "recorded_at": row.get("recorded_at", now)} for row in rows]
    data = pa.Table.from_pylist(filled, schema=table.schema)
    path = next_part_path(lake, table)
    lake.write_table(data, path)
    compact(lake, table)
    return path


def parts(lake: Lake, table: Table) -> list[str]:
    """Return the committed parts that count, oldest first, as paths relative to the lake."""
    return [part.path for part in live_parts(lake, stored_parts(lake, table))]


ROW_ORDER = "(file_index::BIGINT << 40) | file_row_number"
"""SQL: the position of a row of `rows_sql` among all rows ever recorded: the index of its part, then its row there."""


def latest_sql(lake: Lake, table: Table, keys: str = "true") -> str:
    """Return a SELECT of the newest row of every key, for use inside larger queries.

    `keys` is a condition on the key's columns, applied first: rows that it leaves out take no memory.

    The newest rows are found from the keys alone, so that images and texts of older rows are never held in memory;
    and a row's position is one number, because file names next to two million keys would fill the memory.
    """
    columns = ", ".join(table.schema.names)
    ordered = f"(SELECT *, {ROW_ORDER} AS row_order FROM {rows_sql(lake, table)} WHERE {keys})"
    newest = f"(SELECT max(row_order) AS row_order FROM {ordered} GROUP BY {_short_key(table)})"
    return f"(SELECT {columns} FROM {ordered} SEMI JOIN {newest} USING (row_order))"


def _short_key(table: Table) -> str:
    """Return SQL for a table's key in 16 bytes: two million pairs of names would take ten times as many."""
    return table.key[0] if len(table.key) == 1 else f"md5_number(concat_ws('/', {', '.join(table.key)}))"


def rows_sql(lake: Lake, table: Table) -> str:
    """Return SQL for every row ever recorded; `ROW_ORDER` orders them as they were recorded."""
    files = ", ".join("'" + lake.uri(name).replace("'", "''") + "'" for name in parts(lake, table))
    return f"read_parquet([{files}], file_row_number=true, union_by_name=true)"


def latest(lake: Lake, table: Table, columns: Iterable[str] | None = None) -> pa.Table:
    """Return the newest row of every key, ordered by key, as an Arrow table."""
    selected = ", ".join(columns) if columns is not None else "*"
    with connect(lake) as connection:
        query = f"SELECT {selected} FROM {latest_sql(lake, table)} ORDER BY {', '.join(table.key)}"
        return connection.sql(query).to_arrow_table()


def create_tables(lake: Lake) -> None:
    """Give every table an empty part of the present schema, so that SQL finds its columns from the start.

    The part is named by a digest of the schema: a schema with a new column gets a new empty part.
    """
    for table in TABLES.values():
        path = empty_part_path(table)
        if not lake.exists(path):
            lake.write_table(table.schema.empty_table(), path)


def open_tables(root: str) -> Lake:
    """Open the lake at a root URL, creating it and its tables if needed; every step starts with this."""
    lake = open_lake(root)
    create_tables(lake)
    return lake


def open_existing(root: str) -> Lake:
    """Open a lake that must exist, so that a mistyped root does not create an empty one.

    Raises `InputError` when there is no lake at `root`.
    """
    if not lake_at(root).exists(VERSION_FILE):
        raise InputError(
            f"There is no lake at {root}; give the root of one with --lake, or make one with `needledrop refresh`, "
            "`needledrop films` or `needledrop demo`"
        )
    return open_tables(root)
