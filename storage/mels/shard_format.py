"""The format of mel shards: their paths and columns, where in the file each row's mel starts, and their checksums.

A shard is one Parquet file per film with one row per 9.92 s segment. The `mel` column is required, of
fixed size, uncompressed, and one page per row group; so a row is a byte range that a reader may map, and
DuckDB reads the same file.

Parquet keeps checksums of its pages' content but none of their headers or of the footer, and a parser
given a footer with one wrong bit may accept it or crash the process. So a finished shard gets a magic number
and two SHA-256, of its footer and of its pages, between the last page and the footer, where the format leaves space
(readers find the footer from the file's end and the pages by their offsets); it remains a Parquet file that any reader
opens. Together the two cover every byte before and after them.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
from pathlib import Path
from typing import BinaryIO

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

PARQUET_MAGIC = b"PAR1"
TAIL = struct.Struct("<I4s")
"""The last eight bytes of a Parquet file: the footer's length and the format's magic number."""
CHECKSUMS = struct.Struct("<4s32s32s")
"""Our magic number, the SHA-256 of footer and tail, and that of everything before these checksums."""
CHECKSUMS_MAGIC = b"NDSL"
CHUNK_BYTES = 1 << 20
EXTRACT_AGAIN = "delete it and collect soundtracks again"


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


def insert_checksums(path: Path) -> None:
    """Insert the checksums into a finished Parquet file that no process reads yet."""
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(size - TAIL.size)
        length, _ = TAIL.unpack(file.read(TAIL.size))
        pages_end = size - TAIL.size - length
        pages = _pages_digest(file, pages_end)
        footer = file.read()
        file.seek(pages_end)
        file.write(CHECKSUMS.pack(CHECKSUMS_MAGIC, hashlib.sha256(footer).digest(), pages) + footer)


def verify_checksums(file: BinaryIO, shard: str, *, deep: bool = False, remedy: str = EXTRACT_AGAIN) -> None:
    """Raise `LakeError`, with what to do, unless the footer and, if deep, every page match their checksums."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - TAIL.size))
    tail = file.read(TAIL.size)
    length, parquet_magic = TAIL.unpack(tail) if len(tail) == TAIL.size else (0, b"")
    pages_end = size - TAIL.size - length - CHECKSUMS.size
    if parquet_magic != PARQUET_MAGIC or pages_end < 0:
        raise LakeError(f"{shard} is cut short or overwritten at its end; {remedy}")
    file.seek(pages_end)
    magic, footer_digest, pages_digest = CHECKSUMS.unpack(file.read(CHECKSUMS.size))
    if magic != CHECKSUMS_MAGIC or hashlib.sha256(file.read()).digest() != footer_digest:
        raise LakeError(f"{shard} has a damaged footer, or another program rewrote it; {remedy}")
    if deep and _pages_digest(file, pages_end) != pages_digest:
        raise LakeError(f"{shard} has a damaged page; {remedy}")


def _pages_digest(file: BinaryIO, end: int) -> bytes:
    """Return the SHA-256 of the first `end` bytes; leaves the file at `end`."""
    digest = hashlib.sha256()
    file.seek(0)
    for start in range(0, end, CHUNK_BYTES):
        digest.update(file.read(min(CHUNK_BYTES, end - start)))
    return digest.digest()
