"""Audio embeddings: what pretrained audio models make of each mel segment's sound.

`audio_embeddings/ENCODER/year=Y/page=ID.parquet` has one row per segment of the film's recordings, float16, aligned
with the mel segments by track and number. It is committed before the film's shard and sealed by the same checksums
(`storage.mels.settings_and_shard_format`).

The card of an encoder, `audio_embeddings/ENCODER/encoder.json`, has its name, form, origin and licence. It is committed
before the first embeddings and states which weights made the files next to it: files of other weights never join them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from storage.errors import InputError, LakeError
from storage.lake.lake import Lake
from storage.mels.reader import read_tracks
from storage.mels.settings_and_shard_format import MelSettings, insert_checksums, verify_checksums

FOLDER = "audio_embeddings"
CARD = "encoder.json"

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
LARGEST_OFFSET_SECONDS = 0.05
"""How far a row may begin from its mel segment."""


@dataclass(frozen=True)
class EncoderCard:
    """What is known of an encoder: its name, its form, and the origin and licence of its weights."""

    name: str
    """Hub name, or the name of the folder of weights: never its path, as a lake may go to others."""
    model_type: str
    sample_rate_hz: int
    window_seconds: float | None
    """The longest sound that it hears at once; None: any length."""
    dimensions: int
    has_text: bool
    """Whether it embeds texts into the same space."""
    weights_sha256: str
    """Of the weights and of the settings that say how sound becomes their input."""
    revision: str | None
    licence: str
    """As the model card states it, or "unknown"."""

    @property
    def folder(self) -> str:
        """Return the encoder's part of the path of its files."""
        return encoder_folder(self.name)


def encoder_folder(name: str) -> str:
    """Return a model's name as one safe part of a path: laion/larger_clap_music → laion--larger_clap_music.

    A name that needs more changes than that gets a digest, so that two names never share a folder.
    """
    joined = name.replace("/", "--")
    safe = re.sub(r"[^A-Za-z0-9._=-]", "-", joined)[:100].lstrip("-._=")
    if safe == joined:
        return safe
    return f"{safe or 'encoder'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def list_encoders(lake: Lake) -> list[str]:
    """Return the folders of the encoders that have embeddings in the lake."""
    return [path.split("/")[1] for path in lake.list(FOLDER, suffix=f"/{CARD}") if path.count("/") == 2]


def stored_encoder(lake: Lake, name: str) -> str:
    """Return the folder of the lake's embeddings by an encoder: by that folder's name, a hub name, or a path.

    Raises `InputError`, which names the encoders that there are.
    """
    known = list_encoders(lake)
    names = [name, encoder_folder(name), encoder_folder(Path(name).expanduser().resolve().name)]
    for folder in names:
        if folder in known:
            return folder
    raise InputError(
        f"The lake has no audio embeddings by {name!r}; it has {', '.join(known) or 'none'}: collect with "
        "--audio-encoder, or embed your own files with `needledrop soundtracks --encode`"
    )


def read_card(lake: Lake, encoder: str) -> EncoderCard:
    """Return the card of an encoder's folder; raises `LakeError` when it is absent or damaged."""
    return read_card_in(lake, f"{FOLDER}/{encoder}")


def read_card_in(lake: Lake, folder: str) -> EncoderCard:
    """Return the card in a folder of the lake; raises `LakeError` when it is absent or damaged."""
    content = lake.read_bytes(folder, CARD)
    try:
        return EncoderCard(**json.loads(content))
    except (ValueError, TypeError) as error:
        raise LakeError(f"{folder}/{CARD} is damaged ({error}); restore it from a copy") from error


def register(lake: Lake, card: EncoderCard, folder: str | None = None) -> None:
    """Commit an encoder's card before its first embeddings, which are in `folder`, or else the encoder's own one.

    Raises `InputError` when the lake has embeddings of that name by other weights.
    """
    folder = folder or f"{FOLDER}/{card.folder}"
    if not lake.exists(folder, CARD):
        lake.write_json(asdict(card), folder, CARD)
        return
    known = read_card_in(lake, folder)
    if known.weights_sha256 != card.weights_sha256:
        raise InputError(
            f"The embeddings in {folder} were made with other weights of {card.name} "
            f"({known.weights_sha256[:12]}, now {card.weights_sha256[:12]}); give those weights"
            f"{f' (revision {known.revision})' if known.revision else ''}, or the new ones in a folder of another name"
        )


def embeddings_path(encoder: str, film_id: str, year: int) -> str:
    """Return the path of a film's embeddings by the encoder of this folder, relative to the lake."""
    return f"{FOLDER}/{encoder}/year={year}/page={film_id}.parquet"


def film_of(path: str) -> str:
    """Return the film of a path of embeddings; raises `LakeError` for any other path."""
    return _match(path)["film_id"]


def year_of(path: str) -> int:
    """Return the year of a path of embeddings; raises `LakeError` for any other path."""
    return int(_match(path)["year"])


def _match(path: str) -> re.Match[str]:
    match = _PATH.fullmatch(path)
    if match is None:
        raise LakeError(f"{path} is not a path of audio embeddings")
    return match


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
    return vectors_by_track(read_file(lake, path, deep=deep)[1])


def vectors_by_track(table: pa.Table) -> dict[str, Vectors]:
    """Return track_id -> embeddings of the rows of a file, each in the order of its segments."""
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


def embeddings_damage(lake: Lake, path: str, shards: Mapping[str, str], *, deep: bool) -> Iterator[str]:
    """Yield what is wrong with one file of embeddings; nothing if it is intact.

    `shards` has film_id -> shard of every film. A file without a shard is what a crash left of a film that is not
    done: the next run replaces it.
    """
    try:
        card, table = read_file(lake, path, deep=deep)
    except LakeError as error:
        yield str(error).removesuffix(f"; {AGAIN}")
        return
    if not table.schema.remove_metadata().equals(file_schema(card.dimensions)):
        yield "has other columns than audio embeddings"
        return
    if card.folder != path.split("/")[1]:
        yield f"was made by {card.name}, to which this folder does not belong"
    elif lake.exists(FOLDER, card.folder, CARD) and read_card(lake, card.folder).weights_sha256 != card.weights_sha256:
        yield "was made with other weights than the rest of its folder"
    if set(table["film_id"].to_pylist()) - {film_of(path)}:
        yield "holds segments of another film"
    if not np.isfinite(table[VECTOR].combine_chunks().flatten().to_numpy()).all():
        yield "holds numbers that are not finite"
    if (shard := shards.get(film_of(path))) is not None:
        yield from _misaligned(table, read_tracks(lake, shard))


def _misaligned(table: pa.Table, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the tracks whose rows are not the segments that the film's shard has of them."""
    segments = {row["track_id"]: row["segments"] for row in rows if row.get("segments")}
    expected = pc.multiply(table["segment"].cast(pa.float32()), MelSettings().segment_seconds)
    offset = pc.abs(pc.subtract(expected, table["start_seconds"]))
    if len(table) and pc.max(offset).as_py() > LARGEST_OFFSET_SECONDS:
        yield f"holds a row that begins more than {LARGEST_OFFSET_SECONDS} s from its mel segment"
    ids, numbers = table["track_id"].to_pylist(), table["segment"].to_pylist()
    found: dict[str, list[int]] = {}
    for track_id, number in zip(ids, numbers, strict=True):
        found.setdefault(track_id, []).append(number)
    for track_id, own in found.items():
        if track_id not in segments:
            yield f"holds track {track_id}, which the film's shard lacks"
        elif sorted(own) != list(range(segments[track_id])):
            yield f"has {len(own)} rows of track {track_id}, of which the shard has {segments[track_id]} segments"
