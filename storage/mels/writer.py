"""Write or rewrite a film's mel shard, and read back the `tracks` rows that it carries.

Segments are written as they are decoded, one row group at a time, so a film with hours of music needs
no more memory than one row group. The film's `tracks` rows go into the file's metadata: if the
process dies between this commit and theirs, the next run finds them here and nothing is lost.

A shard is rewritten from its rows to blank one recording or to append some. Rows keep their numbers in both cases, so
that the segment index of every data-set version remains valid.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from storage.errors import LakeError, NeedledropError
from storage.lake.lake import Lake
from storage.lake.object_store import store_errors
from storage.mels.checksums import insert_checksums, verify_checksums
from storage.mels.layout import COLUMNS, MEL_COLUMN, film_id_of, shard_path, shard_schema, year_of
from storage.mels.settings import SETTINGS_KEY, MelSettings, parse_settings

TRACKS_KEY = b"needledrop.tracks"
ROW_GROUP_ROWS = 256
"""32 MB of uint8 mels: bounds the writer's memory and keeps headers below a ten-thousandth of a shard."""
ONE_PAGE_BYTES = 1 << 30
FOOTER_BLOCK_BYTES = 1 << 18
"""Read at once from an object store: a footer with its rows is smaller."""


@dataclass(frozen=True)
class TrackMels:
    """One track's segments as they are stored: arrays whose first axis is the segment."""

    stored: NDArray[Any]  # (n, bands, frames) of the settings' type
    ref_db: NDArray[np.float32]
    peak: NDArray[np.float32]
    silent: NDArray[np.bool_]
    clipped_fraction: NDArray[np.float32]
    padded_seconds: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.stored)


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


def read_tracks(lake: Lake, shard: str) -> list[dict[str, Any]]:
    """Read the film's `tracks` rows that a shard carries; raises `LakeError` when it carries none."""
    try:
        # Not through the cache: of an object only its end is read.
        with (
            store_errors(lake.root),
            lake.filesystem.open(lake.uri(shard), "rb", block_size=FOOTER_BLOCK_BYTES) as file,
        ):
            verify_checksums(file, shard)
            metadata = pq.read_metadata(file).metadata or {}
        return list(json.loads(metadata[TRACKS_KEY], object_hook=_from_json))
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise LakeError(f"{shard} is damaged ({error}); delete it and collect soundtracks again") from error


def _to_json(value: Any) -> dict[str, str]:
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, datetime):
        return {"time": value.isoformat()}
    raise TypeError(f"A tracks row cannot hold {type(value).__name__}")


def _from_json(value: dict[str, Any]) -> Any:
    if value.keys() == {"hex"}:
        return bytes.fromhex(value["hex"])
    if value.keys() == {"time"}:
        return datetime.fromisoformat(value["time"])
    return value


Tracks = list[tuple[str, TrackMels]]


def read_mels(lake: Lake, shard: str) -> tuple[MelSettings, Tracks]:
    """Read a shard's settings and its recordings in row order; raises `LakeError` when it is damaged."""
    try:
        table = pq.ParquetFile(lake.local_path(shard)).read()
    except (pa.ArrowException, OSError) as error:
        raise LakeError(f"{shard} is damaged ({error}); delete it and collect soundtracks again") from error
    settings = parse_settings(shard, table.schema.metadata or {})
    ids = table["track_id"].to_pylist()
    tracks: Tracks = []
    start = 0
    for track_id, rows in groupby(ids):
        count = len(list(rows))
        tracks.append((track_id, _mels(table.slice(start, count), settings)))
        start += count
    return settings, tracks


def _mels(rows: pa.Table, settings: MelSettings) -> TrackMels:
    joined = b"".join(rows[MEL_COLUMN].to_pylist())
    return TrackMels(
        stored=np.frombuffer(joined, settings.dtype).reshape(len(rows), *settings.shape),
        **{
            name: rows[name].to_numpy().astype(rows.schema.field(name).type.to_pandas_dtype())
            for name in ("ref_db", "peak", "silent", "clipped_fraction", "padded_seconds")
        },
    )


def blank_track(lake: Lake, shard: str, track_id: str) -> None:
    """Replace the mels of a recording by silence; the other rows stay as they are."""
    settings, tracks = read_mels(lake, shard)
    blanked = [(name, _silence(mels) if name == track_id else mels) for name, mels in tracks]
    rows = [
        {**row, "decision": "rejected", "reason": "taken_down", "segments": None, "fingerprint": None}
        if row["track_id"] == track_id
        else row
        for row in read_tracks(lake, shard)
    ]
    _write(lake, shard, settings, blanked, rows)


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
    _write(lake, shard, settings, [*tracks, *added], numbered)
    return first_rows


def _write(lake: Lake, shard: str, settings: MelSettings, tracks: Tracks, rows: Sequence[Mapping[str, Any]]) -> None:
    with write_shard(lake, film_id_of(shard), year_of(shard), settings, replace=True) as writer:
        for track_id, mels in tracks:
            writer.append(track_id, mels)
        writer.finish(rows)


def _silence(mels: TrackMels) -> TrackMels:
    return replace(
        mels,
        stored=np.zeros_like(mels.stored),
        ref_db=np.full_like(mels.ref_db, -100.0),
        peak=np.zeros_like(mels.peak),
        silent=np.ones_like(mels.silent),
        clipped_fraction=np.zeros_like(mels.clipped_fraction),
    )
