"""Append-only tables of the lake: folders of Parquet parts, where the newest row of a key counts.

Parts are numbered, and the rows of one part count in their order, so "newest" never depends on a clock. Parts are
never edited; a correction is a newer row.

A part is named by its number, `part-000000012-1f3a.parquet`. Many small ones are merged from time to time. A merged
part, `merged-0b1c2d3e-part-000000128-from-000000001.parquet`, holds every row of the parts it replaces, in their order,
and names them in its metadata. The commit of a merged part is the moment at which the replaced ones stop to count
(`live_parts`), so a crash before or after it loses and doubles nothing. The replaced files are removed an hour later,
when no query reads them any more.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import LakeError
from storage.lake.lake import Lake, check_lake_exists, open_lake
from storage.tables.duckdb_connection import connect
from storage.tables.schemas import TABLES, Table

REPLACES_KEY = b"needledrop.replaces"
MERGE_AT = 128
"""Small parts that are merged at once: reading so many takes DuckDB a twentieth of a second."""
REMOVE_AFTER_SECONDS = 3600
"""A query that began before the merge may still read the replaced parts."""

# A merged part of an older version has no `merged-DIGEST-` before this; older versions find those that have.
_PART = re.compile(r"part-(\d{9})-(?:[0-9a-f]{4}|from-\d{9})\.parquet$")


@dataclass(frozen=True)
class Part:
    """One committed part. Rows count in the order of their parts."""

    number: int
    path: str

    @property
    def is_merged(self) -> bool:
        """Return whether this part replaces several earlier ones."""
        return "-from-" in self.path

    @property
    def order(self) -> tuple[int, bool, str]:
        """Return the sort key: the number; a merged part, whose rows are older, comes before others of its number."""
        return self.number, not self.is_merged, self.path


def stored_parts(lake: Lake, table: Table) -> list[Part]:
    """Return every part in the table's folder, oldest first, also those already replaced."""
    matches = [_PART.search(path) for path in lake.list(table.name, suffix=".parquet")]
    return sorted((Part(int(match.group(1)), match.string) for match in matches if match), key=lambda part: part.order)


def live_parts(lake: Lake, stored: Sequence[Part]) -> list[Part]:
    """Return the parts that count: those that no merged part replaces."""
    replaced = {path for paths in _replacements(lake, stored).values() for path in paths}
    return [part for part in stored if part.path not in replaced]


def next_part_path(lake: Lake, table: Table) -> str:
    """Return the path of a new part, numbered one above the highest that exists.

    Two writers may choose the same number at once; the random suffix keeps their files apart.
    """
    number = max((part.number for part in stored_parts(lake, table)), default=0) + 1
    return f"{table.name}/part-{number:09d}-{secrets.token_hex(2)}.parquet"


def empty_part_path(table: Table) -> str:
    """Return the path of the empty part that carries a table's present schema, named by a digest of it."""
    return f"{table.name}/part-000000000-{hashlib.sha256(str(table.schema).encode()).hexdigest()[:4]}.parquet"


def compact(lake: Lake, table: Table) -> str | None:
    """Merge the oldest `MERGE_AT` small parts if there are so many; returns the merged part's path, or None.

    The name holds a digest of the replaced names: two processes that merge the same parts at once write the same
    file, and two that see different ones never overwrite each other's.
    """
    stored = stored_parts(lake, table)
    small = [part for part in live_parts(lake, stored) if not part.is_merged and part.number]
    if len(small) < MERGE_AT:
        return None
    _remove_replaced(lake, stored)
    merging = small[:MERGE_AT]
    digest = hashlib.sha256("\n".join(part.path for part in merging).encode()).hexdigest()[:8]
    path = f"{table.name}/merged-{digest}-part-{merging[-1].number:09d}-from-{merging[0].number:09d}.parquet"
    _write_merged(lake, table, merging, path)
    return path


@lru_cache(maxsize=4096)
def replaced_by(lake: Lake, merged: str) -> tuple[str, ...]:
    """Return the paths that a merged part replaces. Files are never edited, so each is read once.

    Raises `LakeError` when the merged part is damaged.
    """
    try:
        metadata = pq.read_schema(lake.local_path(merged)).metadata or {}
        return tuple(json.loads(metadata.get(REPLACES_KEY, b"[]")))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise LakeError(f"{merged} cannot be read ({error}); `needledrop verify` names the damage") from error


def _replacements(lake: Lake, stored: Sequence[Part]) -> dict[str, tuple[str, ...]]:
    """Map each merged part to the paths that it replaces.

    When two processes merged overlapping sets of parts at once, the first by order counts; the second is replaced
    as a whole, and those of its rows that the first lacks count in the parts they came from.
    """
    replacements: dict[str, tuple[str, ...]] = {}
    replaced: dict[str, str] = {}
    for part in stored:
        if not part.is_merged:
            continue
        paths = replaced_by(lake, part.path)
        overlapping = next((replaced[path] for path in paths if path in replaced), None)
        if overlapping is not None:
            replacements[overlapping] += (part.path,)
        else:
            replacements[part.path] = paths
            replaced |= dict.fromkeys(paths, part.path)
    return replacements


def _write_merged(lake: Lake, table: Table, merging: Sequence[Part], path: str) -> None:
    """Write the rows of parts, one part at a time; columns that an older part lacks are null."""
    replaced = [part.path for part in merging]
    schema = table.schema.with_metadata({REPLACES_KEY: json.dumps(replaced).encode()})
    with (
        lake.staged(path) as target,
        pq.ParquetWriter(target, schema, compression="zstd", write_page_checksum=True) as writer,
    ):
        for name in replaced:
            rows = _read(lake, name)
            for field in table.schema:
                if field.name not in rows.schema.names:
                    rows = rows.append_column(field, pa.nulls(rows.num_rows, field.type))
            writer.write_table(rows.select(schema.names).cast(schema))


def _read(lake: Lake, path: str) -> pa.Table:
    try:
        return pq.read_table(lake.local_path(path), partitioning=None)
    except (pa.ArrowException, OSError) as error:
        raise LakeError(f"{path} cannot be read ({error}); `needledrop verify` names the damage") from error


def _remove_replaced(lake: Lake, stored: Sequence[Part]) -> None:
    """Remove the parts that were replaced more than `REMOVE_AFTER_SECONDS` ago."""
    now = datetime.now(UTC)
    existing = {part.path for part in stored}
    for merged, replaced in _replacements(lake, stored).items():
        if (now - lake.modified(merged)).total_seconds() > REMOVE_AFTER_SECONDS:
            for path in existing.intersection(replaced):
                lake.remove(path)


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
    check_lake_exists(root)
    return open_tables(root)
