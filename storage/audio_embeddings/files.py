"""The files of audio embeddings: what a pretrained audio model makes of each mel segment's sound.

`audio_embeddings/ENCODER/year=Y/page=ID.parquet` has one row per segment of the film's recordings, float16, aligned
with the mel segments by track and number. It is committed before the film's shard and sealed by the same checksums
(`storage.mels.checksums`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from storage.audio_embeddings.cards import FOLDER, EncoderCard
from storage.errors import InputError, LakeError
from storage.lake.lake import Lake
from storage.mels.checksums import insert_checksums, verify_checksums
from storage.mels.settings import MelSettings

_PATH = re.compile(rf"{FOLDER}/(?P<encoder>[^/]+)/year=(?P<year>-?\d+)/page=(?P<film_id>[^/]+)\.parquet")
VECTOR = "embedding"
COLUMNS = pa.schema(
    [
        pa.field("film_id", pa.string(), nullable=False),
        pa.field("track_id", pa.string(), nullable=False),
        pa.field("segment", pa.int32(), nullable=False),  # counted within its track, as in the film's shard
        pa.field("start_seconds", pa.float32(), nullable=False),
    ]
)
"""The plain columns of a file; the embedding, a list of fixed size, follows them."""
CARD_KEY = b"needledrop.encoder"
AGAIN = (
    "delete it; `needledrop soundtracks --encode` makes it again from your own files, and what was fetched from the "
    "network has to be collected again"
)
Vectors = NDArray[np.float16]
"""The embeddings of one recording, shape (segments, dimensions)."""


def embeddings_path(encoder: str, film_id: str, year: int) -> str:
    """Return the path of a film's embeddings by the encoder of this folder, relative to the lake."""
    return f"{FOLDER}/{encoder}/year={year}/page={film_id}.parquet"


def film_of(path: str) -> str:
    """Return the film of a path of embeddings; raises `LakeError` for any other path."""
    match = _PATH.fullmatch(path)
    if match is None:
        raise LakeError(f"{path} is not a path of audio embeddings")
    return match["film_id"]


def list_embeddings(lake: Lake, encoder: str | None = None) -> list[str]:
    """Return the paths of all files of embeddings, or of those by one encoder, sorted."""
    below = (FOLDER, encoder) if encoder else (FOLDER,)
    return [path for path in lake.list(*below, suffix=".parquet") if _PATH.fullmatch(path)]


def encoded_films(lake: Lake, encoder: str) -> dict[str, str]:
    """Return film_id -> path of every film that has embeddings by an encoder."""
    return {film_of(path): path for path in list_embeddings(lake, encoder)}


def write_embeddings(
    lake: Lake, card: EncoderCard, film_id: str, year: int, tracks: Sequence[tuple[str, Vectors]]
) -> str:
    """Commit a film's embeddings, in place of earlier ones; returns their path.

    Raises `LakeError` when the lake cannot be written or a fence refuses it, and `InputError` for a vector that is
    not finite in float16: such weights are of no use.
    """
    path = embeddings_path(card.folder, film_id, year)
    table = pa.concat_tables([_rows(card, film_id, track_id, vectors) for track_id, vectors in tracks])
    metadata = {CARD_KEY: json.dumps(asdict(card), sort_keys=True).encode()}
    with lake.staged(path) as file:
        pq.write_table(
            table.replace_schema_metadata(metadata), file, compression="zstd", write_page_checksum=True,
            use_dictionary=["film_id", "track_id"],
        )  # fmt: skip
        insert_checksums(file)
    return path


def _rows(card: EncoderCard, film_id: str, track_id: str, vectors: Vectors) -> pa.Table:
    if vectors.dtype != np.float16 or vectors.shape[1:] != (card.dimensions,):
        raise LakeError(f"{card.name} gave {vectors.dtype} of shape {vectors.shape} for {track_id}; check its weights")
    if not np.isfinite(vectors).all():
        raise InputError(f"The encoder {card.name} gave numbers that are not finite for {track_id}; use other weights")
    count = len(vectors)
    starts = np.arange(count, dtype=np.float32) * np.float32(MelSettings().segment_seconds)
    values = pa.array(np.ascontiguousarray(vectors).reshape(-1))
    return pa.table(
        [
            pa.array([film_id] * count, pa.string()),
            pa.array([track_id] * count, pa.string()),
            pa.array(np.arange(count, dtype=np.int32)),
            pa.array(starts),
            pa.FixedSizeListArray.from_arrays(values, type=_vector_type(card.dimensions)),
        ],
        schema=file_schema(card.dimensions),
    )


def _vector_type(dimensions: int) -> pa.DataType:
    return pa.list_(pa.field("element", pa.float16(), nullable=False), dimensions)


def file_schema(dimensions: int) -> pa.Schema:
    """Return all columns of a file whose vectors have so many dimensions."""
    return COLUMNS.append(pa.field(VECTOR, _vector_type(dimensions), nullable=False))


def read_embeddings(lake: Lake, path: str, *, deep: bool = False) -> dict[str, Vectors]:
    """Return track_id -> embeddings of a file, each in the order of its segments.

    Raises `LakeError` for a file that is missing or damaged; with `deep`, every byte is compared with its checksum.
    """
    return _vectors(read_file(lake, path, deep=deep)[1])


def _vectors(table: pa.Table) -> dict[str, Vectors]:
    column = table[VECTOR].combine_chunks()
    values = column.flatten().to_numpy().reshape(len(table), column.type.list_size)
    ids, segments = np.array(table["track_id"].to_pylist(), object), table["segment"].to_numpy()
    rows = {track_id: np.flatnonzero(ids == track_id) for track_id in dict.fromkeys(ids)}
    return {track_id: values[own[np.argsort(segments[own])]] for track_id, own in rows.items()}


def read_file(lake: Lake, path: str, *, deep: bool = False) -> tuple[EncoderCard, pa.Table]:
    """Return the card and the rows of a file. Raises `LakeError` for one that is damaged."""
    try:
        with lake.local_path(path).open("rb") as file:
            verify_checksums(file, path, deep=deep, remedy=AGAIN)
            table = pq.ParquetFile(file, page_checksum_verification=True).read()
        return EncoderCard(**json.loads((table.schema.metadata or {})[CARD_KEY])), table
    except FileNotFoundError as error:
        raise LakeError(f"{path} is not in the lake; `needledrop soundtracks --encode` makes it") from error
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise LakeError(f"{path} is damaged ({str(error).splitlines()[0]}); {AGAIN}") from error


def drop_embeddings(lake: Lake, film_id: str, track_ids: Collection[str] | None = None) -> int:
    """Delete a film's embeddings by all encoders, or only those of some tracks; returns in how many files they were."""
    return sum(_drop(lake, path, track_ids) for path in list_embeddings(lake) if film_of(path) == film_id)


def _drop(lake: Lake, path: str, track_ids: Collection[str] | None) -> bool:
    """Delete a file, or write it again without some tracks; returns whether it held any of them."""
    if track_ids is None:
        lake.remove(path)
        return True
    card, table = read_file(lake, path)
    vectors = _vectors(table)
    kept = [(track_id, own) for track_id, own in vectors.items() if track_id not in track_ids]
    if len(kept) == len(vectors):
        return False
    match = _PATH.fullmatch(path)
    assert match is not None
    if kept:
        write_embeddings(lake, card, film_of(path), int(match["year"]), kept)
    else:
        lake.remove(path)
    return True
