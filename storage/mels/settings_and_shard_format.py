"""The settings of mel-spectrograms and the format of mel shards: paths, columns, row groups, offsets, checksums.

A shard is one Parquet file per film with one row per 9.92 s segment. The `mel` column is required, of fixed size,
uncompressed, and one page per row group; so a row is a byte range that a reader may map, and DuckDB reads the same
file.

Parquet keeps checksums of its pages' content but none of their headers or of the footer, and a parser given a footer
with one wrong bit may accept it or crash the process. So a finished shard gets a magic number and two SHA-256, of its
footer and of its pages, between the last page and the footer, where the format leaves space (readers find the footer
from the file's end and the pages by their offsets); it remains a Parquet file that any reader opens. Together the two
cover every byte before and after them.

The metadata of every shard states the parameters of its mel-spectrograms. A shard whose stored values would mean
something else is refused, not read. Training copies segments of many shards into one batch, so all shards of a lake
have one encoding and one mel scale.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from storage.errors import InputError, LakeError
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
Encoding = Literal["uint8", "float16"]
ShortTracks = Literal["pad", "refuse"]
MelScale = Literal["slaney", "htk"]
SHARDS_TRIED = 5
"""Shards read for the settings of a lake: one is enough unless the first ones are damaged."""
SETTINGS_KEY = b"needledrop.mel_settings"
ROW_GROUP_ROWS = 256
"""32 MB of uint8 mels: bounds the writer's memory and keeps headers below a ten-thousandth of a shard."""
ONE_PAGE_BYTES = 1 << 30


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


def _fixed(value: Any) -> Any:
    """Declare a parameter that is written to the metadata but cannot be chosen."""
    return field(default=value, init=False)


@dataclass(frozen=True)
class MelSettings:
    """How samples become a mel-spectrogram: the paper's numbers with librosa's definitions, or torchaudio's.

    `encoding` "uint8" stores 255 steps over the `span_db` below each segment's own maximum (at most
    0.157 dB off); "float16" stores the decibels themselves at twice the bytes.
    `short_tracks` states what happens to a track shorter than one segment: "refuse" it, or "pad" it with
    silence. The last partial segment of a longer track is always dropped: it holds under 9.92 s of
    music whose neighbours are stored, and padding it would teach the model silence.
    `mel_scale` "slaney" has filters of unit area, as librosa by default; "htk" has filters of unit height, as
    torchaudio by default and the paper's released code, for parity with it.
    """

    encoding: Encoding = "uint8"
    short_tracks: ShortTracks = "refuse"
    mel_scale: MelScale = "slaney"
    sample_rate_hz: int = _fixed(22_050)
    segment_samples: int = _fixed(218_736)
    n_fft: int = _fixed(1024)
    hop_samples: int = _fixed(220)
    mel_bands: int = _fixed(128)
    lowest_hz: float = _fixed(0.0)
    highest_hz: float = _fixed(11_025.0)
    mel_norm: str = field(init=False)
    window: str = _fixed("hann")
    pad_mode: str = _fixed("reflect")
    power_floor: float = _fixed(1e-10)
    span_db: float = _fixed(80.0)

    def __post_init__(self) -> None:
        """Set the norm that the scale has; raise `InputError` for a value that no writer knows."""
        if self.encoding not in ("uint8", "float16"):
            raise InputError(f"Mel encoding {self.encoding!r} is unknown; use uint8 or float16")
        if self.short_tracks not in ("pad", "refuse"):
            raise InputError(f"Treatment of short tracks {self.short_tracks!r} is unknown; use pad or refuse")
        if self.mel_scale not in ("slaney", "htk"):
            raise InputError(f"Mel scale {self.mel_scale!r} is unknown; use slaney or htk")
        object.__setattr__(self, "mel_norm", "slaney" if self.mel_scale == "slaney" else "none")

    @property
    def shape(self) -> tuple[int, int]:
        """Return mel bands by frames of one segment: (128, 995)."""
        return self.mel_bands, 1 + self.segment_samples // self.hop_samples

    @property
    def dtype(self) -> np.dtype[Any]:
        """Return the type of one stored value."""
        return np.dtype(self.encoding)

    @property
    def segment_bytes(self) -> int:
        """Return the stored bytes of one segment's mel-spectrogram."""
        return self.shape[0] * self.shape[1] * self.dtype.itemsize

    @property
    def segment_seconds(self) -> float:
        """Return the length of one segment in seconds."""
        return self.segment_samples / self.sample_rate_hz

    def to_json(self) -> bytes:
        """Return the parameters as JSON, as a shard's metadata holds them."""
        return json.dumps(asdict(self), sort_keys=True).encode()


def read_settings(lake: Lake, shard: str) -> MelSettings:
    """Read the mel parameters of a shard, its encoding included. Raises `LakeError` when it cannot be read."""
    try:
        metadata = pq.read_metadata(lake.local_path(shard)).metadata or {}
    except FileNotFoundError as error:
        raise LakeError(f"{shard} is not in the lake; collect soundtracks again") from error
    except (pa.ArrowException, OSError) as error:
        raise LakeError(f"{shard} is damaged ({error}); delete it and collect soundtracks again") from error
    return parse_settings(shard, metadata)


def lake_settings(lake: Lake) -> MelSettings | None:
    """Return the mel parameters of a lake's shards; None when it has no shard that can be read."""
    for shard in list_shards(lake)[:SHARDS_TRIED]:
        try:
            with lake.local_path(shard).open("rb") as file:
                verify_checksums(file, shard)
                return parse_settings(shard, pq.read_metadata(file).metadata or {})
        except (LakeError, OSError, pa.ArrowException):
            continue  # `needledrop verify` reports it
    return None


def parse_settings(shard: str, metadata: dict[bytes, bytes]) -> MelSettings:
    """Parse the mel parameters in a shard's metadata; raises `LakeError` when they are absent or unknown."""
    try:
        written = json.loads(metadata[SETTINGS_KEY])
        return MelSettings(written["encoding"], written["short_tracks"], written["mel_scale"])
    except (KeyError, ValueError, InputError) as error:
        raise LakeError(
            f"{shard} does not state its mel parameters ({error}); delete it and extract it again"
        ) from error


def check_settings(shard: str, metadata: dict[bytes, bytes], settings: MelSettings) -> None:
    """Raise `LakeError` for a shard whose values could not be in one batch with ours."""
    parse_settings(shard, metadata)
    written, ours = json.loads(metadata[SETTINGS_KEY]), asdict(settings)
    different = [name for name in ours if name != "short_tracks" and written.get(name) != ours[name]]
    if different:
        values = ", ".join(f"{name}={written.get(name)!r}" for name in different)
        raise LakeError(f"{shard} was written with {values}; use the same settings, or delete it and extract it again")
