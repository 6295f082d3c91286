"""Two checksums in a shard: one of its footer, looked at before anything parses it, one of its pages.

Parquet keeps checksums of its pages' content but none of their headers or of the footer, and a parser
given a footer with one wrong bit may believe it or end the whole process. So a finished shard is
sealed: a mark and two SHA-256 are put between the last page and the footer, where the format leaves
room (readers find the footer from the file's end and the pages by their offsets), and it stays a
Parquet file that any reader opens. Between them the two cover every byte before the mark and after.
"""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path
from typing import BinaryIO

from storage.errors import LakeError

PARQUET_MARK = b"PAR1"
TAIL = struct.Struct("<I4s")
"""The last eight bytes of a Parquet file: the footer's length and the format's mark."""
SEAL = struct.Struct("<4s32s32s")
"""Our mark, the SHA-256 of footer and tail, and that of everything before the seal."""
SEAL_MARK = b"NDSL"
CHUNK_BYTES = 1 << 20


def seal(path: Path) -> None:
    """Put the checksums into a finished Parquet file that nobody reads yet."""
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(size - TAIL.size)
        length, _ = TAIL.unpack(file.read(TAIL.size))
        pages_end = size - TAIL.size - length
        pages = _pages_digest(file, pages_end)
        footer = file.read()
        file.seek(pages_end)
        file.write(SEAL.pack(SEAL_MARK, hashlib.sha256(footer).digest(), pages) + footer)


def check_seal(file: BinaryIO, shard: str, *, deep: bool = False) -> None:
    """Raise `LakeError` unless the footer is the one that was sealed and, if deep, so is every page."""
    again = "delete it and collect soundtracks again"
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - TAIL.size))
    tail = file.read(TAIL.size)
    length, mark = TAIL.unpack(tail) if len(tail) == TAIL.size else (0, b"")
    pages_end = size - TAIL.size - length - SEAL.size
    if mark != PARQUET_MARK or pages_end < 0:
        raise LakeError(f"{shard} is cut short or overwritten at its end; {again}")
    file.seek(pages_end)
    our_mark, footer_digest, pages_digest = SEAL.unpack(file.read(SEAL.size))
    if our_mark != SEAL_MARK or hashlib.sha256(file.read()).digest() != footer_digest:
        raise LakeError(f"{shard} has a damaged footer, or another program rewrote it; {again}")
    if deep and _pages_digest(file, pages_end) != pages_digest:
        raise LakeError(f"{shard} has a damaged page; {again}")


def _pages_digest(file: BinaryIO, end: int) -> bytes:
    """SHA-256 of the first `end` bytes; leaves the file at `end`."""
    digest = hashlib.sha256()
    file.seek(0)
    for start in range(0, end, CHUNK_BYTES):
        digest.update(file.read(min(CHUNK_BYTES, end - start)))
    return digest.digest()
