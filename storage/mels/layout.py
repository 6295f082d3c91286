"""The layout of mel shards: their paths, their columns, and where in the file each row's mel starts.

A shard is one Parquet file per film with one row per 9.92 s segment. The `mel` column is required, of
fixed size, uncompressed, and one page per row group; so a row is a byte range that a reader may map, and
DuckDB reads the same file.
"""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from storage.errors import LakeError
from storage.lake.lake import Lake

FOLDER = "mels"
# The folder is called `page=`, as film ids end in the id of a Wikipedia page.
_SHARD_PATH = re.compile(rf"{FOLDER}/year=(?P<year>-?\d+)/page=(?P<film_id>[^/]+)\.parquet")
MEL_COLUMN = "mel"
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
PAGE_HEADER_LIMIT_BYTES = 60
"""One page header with a checksum is 30 to 42 bytes; two would be more than this."""


def shard_path(film_id: str, year: int) -> str:
    """Return the path of a film's shard, relative to the lake."""
    return f"{FOLDER}/year={year}/page={film_id}.parquet"


def film_id_of(shard: str) -> str:
    """Return the film of a shard path; raises `LakeError` for any other path."""
    return _match(shard)["film_id"]


def year_of(shard: str) -> int:
    """Return the year of a shard path; raises `LakeError` for any other path."""
    return int(_match(shard)["year"])


def _match(shard: str) -> re.Match[str]:
    match = _SHARD_PATH.fullmatch(shard)
    if match is None:
        raise LakeError(f"{shard} is not the path of a mel shard; it must be {shard_path('FILM_ID', 2000)}")
    return match


def list_shards(lake: Lake) -> list[str]:
    """Return the paths of all shards, sorted."""
    return [path for path in lake.list(FOLDER, suffix=".parquet") if _SHARD_PATH.fullmatch(path)]


def done_films(lake: Lake) -> dict[str, str]:
    """Return film_id -> shard of every film whose music is committed."""
    return {film_id_of(shard): shard for shard in list_shards(lake)}


def shard_schema(segment_bytes: int) -> pa.Schema:
    """Return all columns of a shard whose segments have so many stored bytes."""
    return COLUMNS.append(pa.field(MEL_COLUMN, pa.binary(segment_bytes), nullable=False))


def row_offsets(shard: str, metadata: pq.FileMetaData, segment_bytes: int) -> NDArray[np.int64]:
    """Return the byte offset of each row's mel in the file, shape (rows,).

    A required, plain, uncompressed column chunk of one page is a page header followed by the rows,
    so the rows begin at the chunk's end minus their size. Raises `LakeError` for any other layout.
    """
    names = [metadata.schema.column(i).path for i in range(metadata.num_columns)]
    column = names.index(MEL_COLUMN)
    mel = metadata.schema.column(column)
    offsets = [np.empty(0, np.int64)]
    for group in range(metadata.num_row_groups):
        rows, chunk = metadata.row_group(group).num_rows, metadata.row_group(group).column(column)
        header_bytes = chunk.total_compressed_size - rows * segment_bytes
        is_plain = chunk.compression == "UNCOMPRESSED" and not chunk.has_dictionary_page
        is_required = mel.length == segment_bytes and not mel.max_definition_level
        if not (is_plain and is_required and 0 < header_bytes < PAGE_HEADER_LIMIT_BYTES):
            raise LakeError(f"{shard} was not written by Needledrop: its mel column cannot be mapped; extract it again")
        offsets.append(chunk.data_page_offset + header_bytes + np.arange(rows, dtype=np.int64) * segment_bytes)
    return np.concatenate(offsets)
