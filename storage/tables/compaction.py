"""Merging many small parts of a table into one, so that years of refreshes stay quick to read.

A merged part holds every row of the parts it replaces, in their order, and names them in its metadata. Its
commit is the moment they stop to count (`tables.live_parts`), so a crash before or after it loses and
doubles nothing. The replaced files are removed an hour later, when nobody reads them any more.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import LakeError
from storage.lake.lake import Lake
from storage.tables.parts import REPLACES_KEY, Part, live_parts, replaced_by, stored_parts
from storage.tables.schemas import Table

MERGE_AT = 128
"""Small parts that are merged at once: reading so many takes DuckDB a twentieth of a second."""
REMOVE_AFTER_SECONDS = 3600
"""A query that began before the merge may still read the replaced parts."""


def compact(lake: Lake, table: Table) -> str | None:
    """Merge the oldest `MERGE_AT` small parts if there are so many; returns the merged part's path.

    Always the oldest ones, so that two processes that do this at once write the same file.
    """
    stored = stored_parts(lake, table)
    small = [part for part in live_parts(lake, stored) if not part.is_merged and part.number]
    if len(small) < MERGE_AT:
        return None
    _remove_replaced(lake, stored)
    chosen = small[:MERGE_AT]
    path = f"{table.name}/part-{chosen[-1].number:09d}-from-{chosen[0].number:09d}.parquet"
    _merge(lake, table, chosen, path)
    return path


def _merge(lake: Lake, table: Table, chosen: list[Part], path: str) -> None:
    """Write the rows of parts, a part at a time; columns that an older part lacks are null."""
    names = [part.path for part in chosen]
    schema = table.schema.with_metadata({REPLACES_KEY: json.dumps(names).encode()})
    with (
        lake.staged(path) as target,
        pq.ParquetWriter(target, schema, compression="zstd", write_page_checksum=True) as writer,
    ):
        for name in names:
            rows = _read(lake, name)
            for field in table.schema:
                if field.name not in rows.schema.names:
                    rows = rows.append_column(field, pa.nulls(rows.num_rows, field.type))
            writer.write_table(rows.select(schema.names).cast(schema))


def _read(lake: Lake, name: str) -> pa.Table:
    try:
        return pq.read_table(lake.local_path(name), partitioning=None)
    except (pa.ArrowException, OSError) as error:
        raise LakeError(f"{name} cannot be read ({error}); `needledrop verify` names the damage") from error


def _remove_replaced(lake: Lake, stored: list[Part]) -> None:
    """Remove what merged parts have stood for long enough."""
    now = datetime.now(UTC)
    standing = {part.path for part in stored}
    for part in stored:
        if part.is_merged and (now - lake.modified(part.path)).total_seconds() > REMOVE_AFTER_SECONDS:
            for name in replaced_by(lake, part.path):
                if name in standing:
                    lake.remove(name)
