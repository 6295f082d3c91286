"""Write or rewrite a film's mel shard.

Segments are written as they are decoded, one row group at a time, so a film with hours of music needs
no more memory than one row group. The film's `tracks` rows go into the file's metadata: if the
process dies between this commit and theirs, the next run finds them here (`storage.mels.reader`) and nothing is lost.

A shard is rewritten from its rows to append recordings or to erase one. Rows keep their numbers in both cases, so
that the segment index of every data-set version remains valid.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import NeedledropError
from storage.lake.lake import Lake
from storage.mels.reader import TRACKS_KEY, TrackMels, Tracks, read_mels
from storage.mels.settings_and_shard_format import (
    COLUMNS,
    MEL_COLUMN,
    ONE_PAGE_BYTES,
    ROW_GROUP_ROWS,
    SETTINGS_KEY,
    MelSettings,
    film_id_of,
    insert_checksums,
    shard_path,
    shard_schema,
    year_of,
)


class ShardWriter:
    """Append tracks to one shard; `write_shard` opens it."""

    def __init__(self, path: Path, film_id: str, settings: MelSettings) -> None:
        self.film_id = film_id
        self.settings = settings
        self.rows = 0
        self.is_finished = False
        self._waiting: list[pa.Table] = []
        self.schema = shard_schema(settings.segment_bytes).with_metadata({SETTINGS_KEY: settings.to_json()})
        self._parquet = pq.ParquetWriter(
            path,
            self.schema,
            compression={**dict.fromkeys(COLUMNS.names, "ZSTD"), MEL_COLUMN: "NONE"},
            use_dictionary=["film_id", "track_id"],
            write_statistics=list(COLUMNS.names),
            data_page_size=ONE_PAGE_BYTES,
            write_page_checksum=True,
        )

    def append(self, track_id: str, mels: TrackMels) -> int:
        """Append a track's segments; returns the row number of its first."""
        first, count = self.rows, len(mels)
        starts = np.arange(count, dtype=np.float32) * np.float32(self.settings.segment_seconds)
        stored = pa.py_buffer(np.ascontiguousarray(mels.stored))
        values = [
            pa.array([self.film_id] * count, pa.string()),
            pa.array([track_id] * count, pa.string()),
            pa.array(np.arange(count, dtype=np.int32)),
            pa.array(starts),
            pa.array(mels.ref_db),
            pa.array(mels.peak),
            pa.array(mels.silent),
            pa.array(mels.clipped_fraction),
            pa.array(mels.padded_seconds),
            pa.Array.from_buffers(pa.binary(self.settings.segment_bytes), count, [None, stored]),
        ]
        self._waiting.append(pa.Table.from_arrays(values, schema=self.schema))
        self.rows += count
        while sum(map(len, self._waiting)) >= ROW_GROUP_ROWS:
            self._write_group()
        return first

    def _write_group(self) -> None:
        table = pa.concat_tables(self._waiting)
        group, rest = table.slice(0, ROW_GROUP_ROWS), table.slice(ROW_GROUP_ROWS)
        self._parquet.write_table(group.combine_chunks(), row_group_size=ROW_GROUP_ROWS)
        self._waiting = [rest] if len(rest) else []

    def finish(self, tracks: Sequence[Mapping[str, Any]]) -> None:
        """Write the remaining segments and the film's `tracks` rows, and close the file."""
        if self._waiting:
            self._write_group()
        self._parquet.add_key_value_metadata({TRACKS_KEY: json.dumps(list(tracks), default=_to_json).encode()})
        self.close()
        self.is_finished = True

    def close(self) -> None:
        """Close the file."""
        self._parquet.close()


@contextmanager
def write_shard(
    lake: Lake, film_id: str, year: int, settings: MelSettings, *, replace: bool = False
) -> Iterator[ShardWriter]:
    """Open a writer for a film's shard, which is committed on leaving the block without an error.

    Raises `LakeError` when the lake cannot be written, or when the film has a shard and it is not to be replaced, and
    `NeedledropError` when the block did not call `finish`; nothing is committed then.
    """
    with lake.staged(shard_path(film_id, year), replace=replace) as path:
        writer = ShardWriter(path, film_id, settings)
        try:
            yield writer
        finally:
            writer.close()
        if not writer.is_finished:
            raise NeedledropError(f"The shard of {film_id} was not finished; call `finish` with its tracks rows")
        insert_checksums(path)


def _to_json(value: Any) -> dict[str, str]:
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, datetime):
        return {"time": value.isoformat()}
    raise TypeError(f"A tracks row cannot hold {type(value).__name__}")


def add_tracks(lake: Lake, shard: str, added: Tracks, rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Append recordings to a film's shard; `rows` are the film's `tracks` rows, complete.

    Returns the first row of each added recording.
    """
    settings, tracks = read_mels(lake, shard)
    first_rows = {}
    total = sum(len(mels) for _track_id, mels in tracks)
    for track_id, mels in added:
        first_rows[track_id] = total
        total += len(mels)
    numbered = [{**row, "first_row": first_rows.get(row["track_id"], row.get("first_row"))} for row in rows]
    rewrite_shard(lake, shard, settings, [*tracks, *added], numbered)
    return first_rows


def rewrite_shard(
    lake: Lake, shard: str, settings: MelSettings, tracks: Tracks, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Write a shard again: rows keep their numbers where its tracks come first and are as long as before."""
    with write_shard(lake, film_id_of(shard), year_of(shard), settings, replace=True) as writer:
        for track_id, mels in tracks:
            writer.append(track_id, mels)
        writer.finish(rows)
