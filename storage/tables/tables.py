"""Append-only tables of the lake: a folder of Parquet parts, where the newest row of a key counts.

A part is named by its number, `part-000000012-1f3a.parquet`, one above the highest that stands there,
and rows of one part count in their order, so "newest" never depends on a clock. Parts are never edited; a
correction is a newer row. When many small parts have gathered, they are merged (`storage/tables/compaction.py`).
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from storage.errors import LakeError
from storage.lake.lake import Lake, open_lake
from storage.tables.compaction import compact
from storage.tables.parts import live_parts, stored_parts
from storage.tables.schemas import TABLES, Table

MEMORY_LIMIT = "1GB"
"""For a DuckDB connection; beyond it, it spills to a temporary folder. Leaves room for Arrow's writers."""
LITTLE_MEMORY = "256MB"
"""For queries that count and look up: they must not disturb what works beside them."""
SPILL_PREFIX = "needledrop-spill-"


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
        raise LakeError(f"{table.name} has no column {', '.join(sorted(unknown))}; see storage/tables/schemas.py")
    now = datetime.now(UTC)
    filled = [{**row, "run_id": run_id, "recorded_at": row.get("recorded_at", now)} for row in rows]
    data = pa.Table.from_pylist(filled, schema=table.schema)
    number = max((part.number for part in stored_parts(lake, table)), default=0) + 1
    path = f"{table.name}/part-{number:09d}-{secrets.token_hex(2)}.parquet"
    lake.write_table(data, path)
    compact(lake, table)
    return path


def parts(lake: Lake, table: Table) -> list[str]:
    """The committed parts that count, oldest first, as paths relative to the lake."""
    return [part.path for part in live_parts(lake, stored_parts(lake, table))]


def latest_sql(lake: Lake, table: Table, keys: str = "true") -> str:
    """A SELECT of the newest row of every key, for use inside larger queries.

    Which rows are newest is found from the keys alone, so that pictures and texts of older rows are never held in
    memory; and a row's place is one number, because the names of files beside two million keys would fill it.
    `keys` is a condition on the key's columns, looked at first: what is not asked about costs no memory at all.
    """
    columns = ", ".join(table.schema.names)
    placed = f"(SELECT *, {_PLACE} AS place FROM {rows_sql(lake, table)} WHERE {keys})"
    newest = f"(SELECT max(place) AS place FROM {placed} GROUP BY {_short_key(table)})"
    return f"(SELECT {columns} FROM {placed} SEMI JOIN {newest} USING (place))"


def _short_key(table: Table) -> str:
    """What tells a table's keys apart in 16 bytes: two million pairs of names would take ten times as many."""
    return table.key[0] if len(table.key) == 1 else f"md5_number(concat_ws('/', {', '.join(table.key)}))"


def rows_sql(lake: Lake, table: Table) -> str:
    """Every row ever recorded, with `filename` and `file_row_number`, whose order is the order of recording."""
    files = ", ".join("'" + lake.uri(name).replace("'", "''") + "'" for name in parts(lake, table))
    return f"read_parquet([{files}], filename=true, file_row_number=true, union_by_name=true)"


_PLACE = "(file_index::BIGINT << 40) | file_row_number"
"""Where a row stands among all rows ever recorded: its part's place in the list of parts, then its row there."""


def latest(lake: Lake, table: Table, columns: Iterable[str] | None = None) -> pa.Table:
    """The newest row of every key, ordered by key, as an Arrow table."""
    wanted = ", ".join(columns) if columns is not None else "*"
    with connect(lake) as connection:
        query = f"SELECT {wanted} FROM {latest_sql(lake, table)} ORDER BY {', '.join(table.key)}"
        return connection.sql(query).to_arrow_table()


@contextmanager
def connect(lake: Lake, memory_limit: str = MEMORY_LIMIT) -> Iterator[duckdb.DuckDBPyConnection]:
    """An in-memory DuckDB that can read the lake's Parquet, wherever the lake is, in bounded memory.

    Raises `LakeError` when a file of the lake turns out to be damaged, or there is no room to work in.
    """
    with duckdb.connect(config={"autoinstall_known_extensions": "false"}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"SET memory_limit = '{memory_limit}'")
        connection.execute("SET temp_directory = ?", [_spill_folder()])
        if not lake.is_local:
            connection.register_filesystem(lake.filesystem)
        with lake_errors():
            yield connection


def _spill_folder() -> str:
    """Where a connection puts what does not fit; DuckDB makes it when it is needed and removes it in the end."""
    return str(Path(tempfile.gettempdir(), f"{SPILL_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"))


def sweep_spills() -> None:
    """Remove what processes that were killed on this machine had spilled."""
    for folder in Path(tempfile.gettempdir()).glob(f"{SPILL_PREFIX}*"):
        process = folder.name.removeprefix(SPILL_PREFIX).split("-")[0]
        if Path("/proc").exists() and not Path("/proc", process).exists():
            shutil.rmtree(folder, ignore_errors=True)


_CANNOT_WRITE = ("Could not write", "No space left", "Read-only file system", "Permission denied")


@contextmanager
def lake_errors() -> Iterator[None]:
    """DuckDB's errors about files, disk and memory as `LakeError`."""
    try:
        yield
    except (duckdb.IOException, duckdb.InvalidInputException, duckdb.SerializationException) as error:
        said = str(error).splitlines()[0]
        if any(sign in said for sign in _CANNOT_WRITE):
            raise LakeError(f"{said}; make room or make it writable, and run the same command again") from error
        raise LakeError(f"A file of the lake cannot be read ({said}); `needledrop verify` names the damage") from error
    except duckdb.OutOfMemoryException as error:
        said = str(error).splitlines()[0]
        raise LakeError(f"No memory or temporary space is left ({said}); set TMPDIR to a larger disk") from error
    except duckdb.Error as error:
        if "Corrupt database file" not in str(error):
            raise
        said = str(error).splitlines()[0]
        raise LakeError(f"needledrop.duckdb is damaged ({said}); restore it, or delete it and train again") from error


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
