"""Read mel shards: random segments of many at memory speed, or a whole shard with the `tracks` rows that it carries.

A row's mel is a byte range of its file (`storage/mels/settings_and_shard_format.py`), so the reader maps the files and
copies rows without decoding. It refuses a shard with a wrong checksum or with other parameters than its own.
"""

from __future__ import annotations

import json
import mmap
import resource
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from storage.errors import LakeError
from storage.lake.lake import Lake
from storage.lake.object_store import store_errors
from storage.mels.settings_and_shard_format import (
    MEL_COLUMN,
    MelSettings,
    check_settings,
    parse_settings,
    row_offsets,
    verify_checksums,
)

TRACKS_KEY = b"needledrop.tracks"
FOOTER_BLOCK_BYTES = 1 << 18
"""Read at once from an object store: a footer with its rows is smaller."""
SPARE_FILES = 512
"""Open files left for everything else: Python keeps one per mapped shard; the usual limit is 1,024."""


class MelReader:
    """Copy random segments of many shards straight into the caller's buffer.

    Segments are addressed by position: the rows of the shards, in the order given, one after another.
    `ref_db` (float32, one per position) is what `decibels` needs next to the stored values.
    """

    def __init__(self, lake: Lake, shards: Sequence[str], settings: MelSettings) -> None:
        """Map every shard and read its metadata.

        Raises `LakeError` for a shard that is missing, damaged, or of other parameters, and when the
        process may not open so many files.
        """
        self.settings = settings
        self.shards = list(shards)
        allow_open_files(len(self.shards) + SPARE_FILES)
        opened = [_open_shard(lake, shard, settings) for shard in self.shards]
        self._maps = [shard.mapping for shard in opened]
        self._bytes = [np.frombuffer(shard.mapping, np.uint8) for shard in opened]
        rows = np.array([len(shard.offsets) for shard in opened], np.int64)
        self.first_position = np.concatenate([[0], np.cumsum(rows)])
        self._file = np.repeat(np.arange(len(opened)), rows)
        self._offset = _joined([shard.offsets for shard in opened], np.int64)
        self.ref_db = _joined([shard.ref_db for shard in opened], np.float32)

    def __len__(self) -> int:
        return len(self._offset)

    def locate(self, shards: Sequence[str] | pa.ChunkedArray, rows: Sequence[int] | NDArray[Any]) -> NDArray[np.int64]:
        """Return the positions of (shard, row) pairs, as the segment index of a data-set version names them.

        Raises `LakeError` for a shard that this reader has not opened or a row that it does not have.
        """
        row_numbers = np.asarray(rows, np.int64)
        names = (
            shards if isinstance(shards, pa.ChunkedArray) else pa.chunked_array([pa.array(list(shards), pa.string())])
        )
        file = np.asarray(pc.index_in(names, value_set=pa.array(self.shards, pa.string())).fill_null(-1), np.int64)
        if (file < 0).any():
            raise LakeError(f"Shard {names[int(np.argmax(file < 0))]} was not opened; collect soundtracks again")
        positions = self.first_position[file] + row_numbers
        outside = (row_numbers < 0) | (positions >= self.first_position[file + 1])
        if outside.any():
            wrong = int(np.argmax(outside))
            raise LakeError(f"Shard {names[wrong]} has no row {row_numbers[wrong]}; make the data set version again")
        return np.asarray(positions)

    def gather(self, positions: NDArray[np.integer[Any]], out: NDArray[Any]) -> None:
        """Copy segments into `out`, shape (n, bands, frames) of the stored type, contiguous.

        Other threads run meanwhile, also while a page comes from disk.
        """
        size, target = self.settings.segment_bytes, out.view(np.uint8).reshape(len(out), -1)
        places = zip(self._file[positions].tolist(), self._offset[positions].tolist(), strict=True)
        for row, (file, start) in zip(target, places, strict=True):
            np.copyto(row, self._bytes[file][start : start + size])  # releases the interpreter; a memory view would not

    def read_ahead(self, positions: NDArray[np.integer[Any]]) -> None:
        """Ask the system to fetch these segments from disk while the caller does something else."""
        size = self.settings.segment_bytes
        for file, start in zip(self._file[positions].tolist(), self._offset[positions].tolist(), strict=True):
            begin = start - start % mmap.PAGESIZE
            self._maps[file].madvise(mmap.MADV_WILLNEED, begin, start + size - begin)


@dataclass(frozen=True)
class _OpenShard:
    mapping: mmap.mmap
    offsets: NDArray[np.int64]
    ref_db: NDArray[np.float32]


def _open_shard(lake: Lake, shard: str, settings: MelSettings) -> _OpenShard:
    path = lake.local_path(shard)
    try:
        with path.open("rb") as file:
            verify_checksums(file, shard)
            parquet = pq.ParquetFile(file)
            check_settings(shard, parquet.schema_arrow.metadata or {}, settings)
            offsets = row_offsets(shard, parquet.metadata, settings.segment_bytes)
            ref_db = parquet.read(["ref_db"])["ref_db"].to_numpy().astype(np.float32)
            mapping = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    except FileNotFoundError as error:
        raise LakeError(f"{shard} is not in the lake; collect soundtracks again") from error
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise LakeError(f"{shard} is damaged ({error}); delete it and collect soundtracks again") from error
    if len(offsets) and offsets[-1] + settings.segment_bytes > len(mapping):
        raise LakeError(f"{shard} is shorter than its metadata says; delete it and collect soundtracks again")
    return _OpenShard(mapping, offsets, ref_db)


def _joined(arrays: Sequence[NDArray[Any]], dtype: type) -> NDArray[Any]:
    return np.concatenate(arrays) if arrays else np.empty(0, dtype)


def allow_open_files(files: int) -> None:
    """Raise this process's limit of open files; raises `LakeError` when the system does not allow so many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= files:
        return
    if hard != resource.RLIM_INFINITY and hard < files:
        raise LakeError(f"So many shards need {files} open files, and {hard} are allowed; run ulimit -Hn {files}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))


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


def decibels(stored: NDArray[Any], ref_db: NDArray[np.float32], settings: MelSettings) -> NDArray[np.float32]:
    """Convert stored values to float32 decibels relative to a full-scale power of 1, shape (n, bands, frames).

    `ref_db` is each segment's maximum, shape (n,). Training does the same on its device.
    """
    values = stored.astype(np.float32)
    if settings.encoding == "float16":
        return values
    values *= np.float32(settings.span_db / 255)
    values += (ref_db.astype(np.float32) - np.float32(settings.span_db))[:, None, None]
    return values
