"""Append-only tables of the lake: a folder of Parquet parts, where the newest row of a key counts.

A part is named by its number, `part-000000012-1f3a.parquet`, one above the highest that stands there,
and rows of one part count in their order, so "newest" never depends on a clock. Parts are never edited; a
correction is a newer row. `storage.compaction` merges many small parts into one that replaces them.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa

from storage.errors import LakeError
from storage.lake import Lake, open_lake
from storage.schemas import TABLES, Table

_PART = re.compile(r"part-(\d{9})-(?:[0-9a-f]{4}|from-(\d{9}))\.parquet$")


@dataclass(frozen=True)
class Part:
    """One committed part: its path in the lake and the numbers it stands for (one, unless merged)."""

    path: str
    first: int
    last: int

    @property
    def is_merged(self) -> bool:
        """Whether this part replaces several earlier ones."""
        return "-from-" in self.path


def append(lake: Lake, table: Table, rows: Sequence[Mapping[str, Any]], run_id: str) -> str | None:
    """Commit rows as one new part; returns its path, or None for no rows.

    Columns that a row does not give are null; `run_id` and `recorded_at` are filled in here.
    Raises `LakeError` for a column that the table does not have.
    """
    if not rows:
        return None
    names = set(table.schema.names)
    unknown = {name for row in rows for name in row} - names
    if unknown:
        raise LakeError(f"{table.name} has no column {', '.join(sorted(unknown))}; see storage/schemas.py")
    now = datetime.now(UTC)
    filled = [{**row, "run_id": run_id, "recorded_at": row.get("recorded_at", now)} for row in rows]
    data = pa.Table.from_pylist(filled, schema=table.schema)
    path = f"{table.name}/part-{_next_number(lake, table):09d}-{secrets.token_hex(2)}.parquet"
    lake.write_table(data, path)
    return path


def parts(lake: Lake, table: Table) -> list[str]:
    """The committed parts that count, oldest first, as paths relative to the lake."""
    return [part.path for part in live_parts(lake, table)]


def live_parts(lake: Lake, table: Table) -> list[Part]:
    """The parts that count, oldest first: those that no merged part stands for."""
    found = all_parts(lake, table)
    merged = [part for part in found if part.is_merged]
    return [part for part in found if not any(_replaces(m, part) for m in merged)]


def all_parts(lake: Lake, table: Table) -> list[Part]:
    """Every part that stands in the folder, also those already merged and not yet removed."""
    found = []
    for path in lake.list(table.name, suffix=".parquet"):
        match = _PART.search(path)
        if match:
            last = int(match.group(1))
            found.append(Part(path, int(match.group(2)) if match.group(2) else last, last))
    return found


def _replaces(merged: Part, part: Part) -> bool:
    """Whether `merged` holds the rows of `part`. The empty parts of a schema, number 0, are never merged."""
    return merged.path != part.path and merged.first <= part.first and part.last <= merged.last


def latest_sql(lake: Lake, table: Table) -> str:
    """A SELECT of the newest row of every key, for use inside larger queries.

    Which rows are newest is found from the keys alone, so that pictures and texts of older rows are
    never held in memory.
    """
    columns = ", ".join(table.schema.names)
    key = ", ".join(table.key)
    rows = rows_sql(lake, table)
    newest = (
        f"(SELECT unnest(max({{'filename': filename, 'file_row_number': file_row_number}})) FROM {rows} GROUP BY {key})"
    )
    return f"(SELECT {columns} FROM {rows} SEMI JOIN {newest} USING (filename, file_row_number))"


def rows_sql(lake: Lake, table: Table) -> str:
    """Every row ever recorded, with `filename` and `file_row_number`, whose order is the order of recording."""
    files = ", ".join("'" + lake.uri(name).replace("'", "''") + "'" for name in parts(lake, table))
    return f"read_parquet([{files}], filename=true, file_row_number=true, union_by_name=true)"


def latest(lake: Lake, table: Table, columns: Iterable[str] | None = None) -> pa.Table:
    """The newest row of every key, ordered by key, as an Arrow table."""
    wanted = ", ".join(columns) if columns is not None else "*"
    with connect(lake) as connection:
        query = f"SELECT {wanted} FROM {latest_sql(lake, table)} ORDER BY {', '.join(table.key)}"
        return connection.sql(query).to_arrow_table()


def connect(lake: Lake) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB that can read the lake's Parquet, wherever the lake is."""
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    connection.execute("SET TimeZone = 'UTC'")
    if not lake.is_local:
        connection.register_filesystem(lake.filesystem)
    return connection


def _next_number(lake: Lake, table: Table) -> int:
    return max((part.last for part in all_parts(lake, table)), default=0) + 1


def lay_out(lake: Lake) -> None:
    """Give every table an empty part of today's schema, so that SQL finds its columns from the start.

    The part is named by a hash of the schema: when a column is added, so is a part that knows it.
    """
    for table in TABLES.values():
        digest = hashlib.sha256(str(table.schema).encode()).hexdigest()[:4]
        path = f"{table.name}/part-000000000-{digest}.parquet"
        if not lake.exists(path):
            lake.write_table(table.schema.empty_table(), path)


def open_tables(root: str) -> Lake:
    """Open the lake at a root URL with every table laid out: what every step starts with."""
    lake = open_lake(root)
    lay_out(lake)
    return lake
