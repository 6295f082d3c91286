"""The SHA-256 of footer and pages in a finished Parquet file, inserted before its footer and verified when it is read.

Parquet keeps checksums of its pages' content but none of their headers or of the footer, and a parser
given a footer with one wrong bit may accept it or crash the process. So a finished shard gets a magic number
and two SHA-256, of its footer and of its pages, between the last page and the footer, where the format leaves space
(readers find the footer from the file's end and the pages by their offsets); it remains a Parquet file that any reader
opens. Together the two cover every byte before and after them.
"""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path
from typing import BinaryIO

from storage.errors import LakeError

PARQUET_MAGIC = b"PAR1"
TAIL = struct.Struct("<I4s")
"""The last eight bytes of a Parquet file: the footer's length and the format's magic number."""
CHECKSUMS = struct.Struct("<4s32s32s")
"""Our magic number, the SHA-256 of footer and tail, and that of everything before these checksums."""
CHECKSUMS_MAGIC = b"NDSL"
CHUNK_BYTES = 1 << 20
EXTRACT_AGAIN = "delete it and collect soundtracks again"


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
