"""Mel shards: what they hold, and the reader that gathers segments from them at the speed of memory.

A shard is one Parquet file a film and one row a 9.92 s segment. The `mel` column is required, of
fixed size, uncompressed, and one page a row group; so a row is a byte range, the reader maps the
file and copies rows without decoding, and DuckDB reads the same file. The parameters stand in the
file's metadata: a reader refuses a shard whose numbers would mean something else.
"""

from __future__ import annotations

import mmap
import resource
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from storage.errors import LakeError
from storage.lake.lake import Lake
from storage.mels.checksums import check_seal
from storage.mels.settings import MelSettings, check_settings

MEL_COLUMN = "mel"
PAGE_HEADER_LIMIT_BYTES = 60
"""One page header with a checksum is 30 to 42 bytes; two would be more than this."""
MEMORY_PAGE_BYTES = mmap.PAGESIZE
SPARE_FILES = 512
"""Open files left for everything else: Python keeps one a mapped shard, and a process often starts with 1,024."""


def shard_path(film_id: str, year: int) -> str:
    """Where a film's shard stands, relative to the lake."""
    return f"mels/year={year}/page={film_id}.parquet"


class MelReader:
    """Random segments out of many shards, copied straight into the caller's buffer.

    Segments are known by position: the rows of the shards, in the order given, one after another.
    `ref_db` (float32, one a position) is what `decibels` needs beside the stored values.
    """

    def __init__(self, lake: Lake, shards: Sequence[str], settings: MelSettings) -> None:
        """Map every shard and read its metadata.

        Raises `LakeError` for a shard that is missing, damaged, or of other parameters, and where this
        process may not keep so many files open.
        """
        self.settings = settings
        self.shards = list(shards)
        _allow_open_files(len(self.shards) + SPARE_FILES)
        opened = [_open_shard(lake, shard, settings) for shard in self.shards]
        self._bytes = [shard.data for shard in opened]
        self._maps = [shard.mapping for shard in opened]
        rows = np.array([len(shard.offsets) for shard in opened], np.int64)
        self.first_position = np.concatenate([[0], np.cumsum(rows)])
        self._file = np.repeat(np.arange(len(opened)), rows)
        self._offset = _joined([shard.offsets for shard in opened], np.int64)
        self.ref_db = _joined([shard.ref_db for shard in opened], np.float32)

    def __len__(self) -> int:
        return len(self._offset)

    def locate(self, shards: Sequence[str] | pa.ChunkedArray, rows: Sequence[int] | NDArray[Any]) -> NDArray[np.int64]:
        """Positions of (shard, row) pairs, as a data-set version's segment index names them.

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
        """Copy segments into `out`, shape (n, bands, frames) of the stored type, contiguous."""
        size = self.settings.segment_bytes
        # Between memory views a slice is copied by memmove, a quarter faster than between NumPy arrays.
        into, sources, at = out.reshape(-1).view(np.uint8).data, self._bytes, 0
        for file, start in zip(self._file[positions].tolist(), self._offset[positions].tolist(), strict=True):
            into[at : at + size] = sources[file][start : start + size]
            at += size

    def read_ahead(self, positions: NDArray[np.integer[Any]]) -> None:
        """Ask the system to fetch these segments from disk while the caller does something else."""
        size = self.settings.segment_bytes
        for file, start in zip(self._file[positions].tolist(), self._offset[positions].tolist(), strict=True):
            begin = start - start % MEMORY_PAGE_BYTES
            self._maps[file].madvise(mmap.MADV_WILLNEED, begin, start + size - begin)


@dataclass(frozen=True)
class _OpenShard:
    mapping: mmap.mmap
    data: memoryview
    offsets: NDArray[np.int64]
    ref_db: NDArray[np.float32]


def _allow_open_files(wanted: int) -> None:
    """Raise this process's own limit as far as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise LakeError(f"So many shards take {wanted} open files, and {hard} are allowed; run ulimit -Hn {wanted}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _open_shard(lake: Lake, shard: str, settings: MelSettings) -> _OpenShard:
    path = lake.local_path(shard)
    try:
        with path.open("rb") as file:
            check_seal(file, shard)
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
    return _OpenShard(mapping, memoryview(mapping), offsets, ref_db)


def row_offsets(shard: str, metadata: pq.FileMetaData, segment_bytes: int) -> NDArray[np.int64]:
    """Where each row's mel stands in the file, in bytes.

    A required, plain, uncompressed column chunk of one page is a page header followed by the rows,
    so the rows begin at the chunk's end less their size. Raises `LakeError` for any other layout.
    """
    names = [metadata.schema.column(i).path for i in range(metadata.num_columns)]
    column = names.index(MEL_COLUMN)
    described = metadata.schema.column(column)
    found = []
    for group in range(metadata.num_row_groups):
        rows, chunk = metadata.row_group(group).num_rows, metadata.row_group(group).column(column)
        header = chunk.total_compressed_size - rows * segment_bytes
        plain = chunk.compression == "UNCOMPRESSED" and not chunk.has_dictionary_page
        if (
            not plain
            or described.length != segment_bytes
            or described.max_definition_level
            or not (0 < header < PAGE_HEADER_LIMIT_BYTES)
        ):
            raise LakeError(f"{shard} was not written by Needledrop: its mel column cannot be mapped; extract it again")
        found.append(chunk.data_page_offset + header + np.arange(rows, dtype=np.int64) * segment_bytes)
    return _joined(found, np.int64)


def _joined(arrays: Sequence[NDArray[Any]], dtype: type) -> NDArray[Any]:
    return np.concatenate(arrays) if arrays else np.empty(0, dtype)
