"""Writing a film's mel shard, and reading back the `tracks` rows that it carries.

Segments are written as they are decoded, a row group at a time, so a film with hours of music needs
no more memory than one row group. The film's `tracks` rows go into the file's metadata: should the
process die between this commit and theirs, the next run finds them here and nothing is lost.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from storage.errors import LakeError
from storage.lake.lake import Lake
from storage.mels.checksums import check_seal, seal
from storage.mels.reader import MEL_COLUMN, shard_path
from storage.mels.settings import SETTINGS_KEY, MelSettings

TRACKS_KEY = b"needledrop.tracks"
ROW_GROUP_ROWS = 256
"""32 MB of uint8 mels: bounds the writer's memory and keeps headers below a ten-thousandth of a shard."""
ONE_PAGE_BYTES = 1 << 30

COLUMNS = pa.schema(
    [
        pa.field("film_id", pa.string(), nullable=False),
        pa.field("track_id", pa.string(), nullable=False),
        pa.field("segment", pa.int32(), nullable=False),  # counted within its track
        pa.field("start_seconds", pa.float32(), nullable=False),
        pa.field("ref_db", pa.float32(), nullable=False),  # the segment's maximum
        pa.field("peak", pa.float32(), nullable=False),  # largest magnitude of a mono sample; full scale is 1
        pa.field("silent", pa.bool_(), nullable=False),
        pa.field("clipped_fraction", pa.float32(), nullable=False),  # share of samples at full scale
        pa.field("padded_seconds", pa.float32(), nullable=False),  # silence added to a short track
    ]
)
"""The plain columns of a shard, for SQL; the mel column follows them."""


def columns(settings: MelSettings) -> pa.Schema:
    """All columns of a shard."""
    return COLUMNS.append(pa.field(MEL_COLUMN, pa.binary(settings.segment_bytes), nullable=False))


@dataclass(frozen=True)
class TrackMels:
    """One track's segments, ready to store: arrays whose first axis is the segment."""

    stored: NDArray[Any]  # (n, bands, frames) of the settings' type
    ref_db: NDArray[np.float32]
    peak: NDArray[np.float32]
    silent: NDArray[np.bool_]
    clipped_fraction: NDArray[np.float32]
    padded_seconds: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.stored)


class ShardWriter:
    """Appends tracks to one shard; made by `write_shard`."""

    def __init__(self, path: Path, film_id: str, settings: MelSettings) -> None:
        self.film_id = film_id
        self.settings = settings
        self.rows = 0
        self._waiting: list[pa.Table] = []
        self.schema = columns(settings).with_metadata({SETTINGS_KEY: settings.to_json()})
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
        """Add a track's segments; returns the row number of its first."""
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
        """Write what is waiting and the film's `tracks` rows, and close the file."""
        if self._waiting:
            self._write_group()
        self._parquet.add_key_value_metadata({TRACKS_KEY: json.dumps(list(tracks), default=_to_json).encode()})
        self.close()

    def close(self) -> None:
        """Let the file go."""
        self._parquet.close()


@contextmanager
def write_shard(lake: Lake, film_id: str, year: int, settings: MelSettings) -> Iterator[ShardWriter]:
    """A writer for a film's shard, which is committed on leaving if `finish` was called and rows exist.

    Raises `LakeError` when the lake cannot be written.
    """
    with lake.staged(shard_path(film_id, year)) as path:
        writer = ShardWriter(path, film_id, settings)
        try:
            yield writer
        finally:
            writer.close()
        seal(path)


def read_tracks(lake: Lake, shard: str) -> list[dict[str, Any]]:
    """The film's `tracks` rows that a shard carries; raises `LakeError` when it carries none."""
    try:
        with lake.local_path(shard).open("rb") as file:
            check_seal(file, shard)
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
