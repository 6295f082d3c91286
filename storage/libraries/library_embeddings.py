"""The embeddings of a library's tracks: one vector per 9.92 s segment, one set per engine.

    embeddings/RUN/               by the model of a trained run
    embeddings/encoder=NAME/      by a pretrained audio encoder, whose card with its licence is next to them

Parts are appended and merged as those of the lake's tables are; the newest embedding of a track counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from storage.audio_embeddings import EncoderCard, encoder_folder, read_card_in, register
from storage.errors import InputError, LakeError
from storage.libraries.library import Library
from storage.tables.schemas import Table
from storage.tables.tables import compact, live_parts, next_part_path, stored_parts

FOLDER = "embeddings"
ENCODER = "encoder="
"""Before the name of an encoder, where others are named after their run."""


@dataclass(frozen=True)
class LibraryEmbeddings:
    """The segments of a library's tracks as one engine hears them: each track's segments together, in their order."""

    track_ids: tuple[str, ...]
    first: NDArray[np.int64]
    """[tracks + 1]: the segments of track t are the rows `first[t]` to `first[t + 1]` of `vectors`."""
    vectors: NDArray[np.float32]
    """[segments, d], each of length 1."""
    weights: NDArray[np.float32]
    """[segments]: what each counts in the mean over its track, by the scores of a model that pools by attention."""

    def __len__(self) -> int:
        return len(self.track_ids)


def embedded_tracks(library: Library, engine: str) -> frozenset[str]:
    """Return the tracks that have embeddings by an engine: a run, or an encoder."""
    parts = _parts(library, engine)
    return frozenset(track for part in parts for track in _read(library, part, ["track_id"])["track_id"].to_pylist())


def embedding_runs(library: Library) -> list[str]:
    """Return the runs by which tracks of the library were embedded."""
    return [engine for engine in _engines(library) if not engine.startswith(ENCODER)]


def embedding_encoders(library: Library) -> dict[str, EncoderCard]:
    """Return engine -> card of the audio encoders by which tracks of the library were embedded.

    Raises `LakeError` for a card that is missing or damaged.
    """
    engines = [one for one in _engines(library) if one.startswith(ENCODER) and _parts(library, one)]
    return {engine: read_card_in(library.lake, f"{library.root}/{FOLDER}/{engine}") for engine in engines}


def encoder_engine(name: str) -> str:
    """Return the engine of an audio encoder: laion/larger_clap_music → encoder=laion--larger_clap_music."""
    return f"{ENCODER}{encoder_folder(name)}"


def indexed_encoder(libraries: Sequence[Library], name: str) -> EncoderCard:
    """Return the card of the audio encoder of a hub name, or of a folder, that has indexed all of these libraries.

    Raises `InputError` for a library that it has not indexed, and without any library.
    """
    folder = Path(name).expanduser()
    engine = encoder_engine(folder.resolve().name if folder.is_dir() else name)
    cards = [(library, embedding_encoders(library).get(engine)) for library in libraries]
    for library, card in cards:
        if card is None:
            command = command_to_index(library.name, engine, name)
            raise InputError(f"The library {library.name} is not indexed by {name}; run `{command}`")
    card = next((card for _, card in cards), None)
    if card is None:
        raise InputError("An audio encoder searches libraries; name one with --library")
    return card


def register_encoder(library: Library, card: EncoderCard) -> str:
    """Commit an encoder's card before its first embeddings, and return its engine.

    Raises `InputError` when the library has embeddings of that name by other weights.
    """
    engine = encoder_engine(card.name)
    register(library.lake, card, f"{library.root}/{FOLDER}/{engine}")
    return engine


def command_to_index(library: str, engine: str, encoder: str | None = None) -> str:
    """Return the command that embeds a library with a run, or with the audio encoder of this name."""
    by = f"--encoder {encoder or engine.removeprefix(ENCODER)}" if engine.startswith(ENCODER) else f"--run {engine}"
    return f"needledrop library index {library} {by}"


def _engines(library: Library) -> list[str]:
    prefix = f"{library.root}/{FOLDER}/"
    return sorted({path.removeprefix(prefix).split("/")[0] for path in library.lake.list(library.root, FOLDER)})


@dataclass(frozen=True)
class TrackEmbedding:
    """The segments of one track, in the order of time."""

    vectors: NDArray[np.float32]
    """[segments, d], each of length 1."""
    weights: NDArray[np.float32]
    """[segments]: what each counts in the track's mean."""


def append_embeddings(library: Library, engine: str, tracks: Sequence[tuple[str, TrackEmbedding]]) -> None:
    """Commit the embeddings of tracks as one part."""
    if not tracks:
        return
    ids = [track_id for track_id, embedding in tracks for _ in embedding.weights]
    segments = np.concatenate([np.arange(len(embedding.weights), dtype=np.int32) for _, embedding in tracks])
    vectors = np.concatenate([embedding.vectors for _, embedding in tracks]).astype(np.float32)
    weights = np.concatenate([embedding.weights for _, embedding in tracks]).astype(np.float32)
    table = _table(library, engine, vectors.shape[1])
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    columns = [pa.array(ids, pa.string()), pa.array(segments), pa.array(weights), flat]
    rows = pa.Table.from_arrays(columns, schema=table.schema)
    library.lake.write_table(rows, next_part_path(library.lake, table))
    compact(library.lake, table)


def load_library_embeddings(library: Library, engine: str) -> LibraryEmbeddings:
    """Read an engine's embeddings of all tracks, the newest of each, ordered by track and time.

    Raises `LakeError` when there are none, or a file of them is damaged.
    """
    parts = _parts(library, engine)
    if not parts:
        raise LakeError(
            f"The library {library.name} is not indexed by {engine}; run `{command_to_index(library.name, engine)}`"
        )
    seen: set[str] = set()
    tables = []
    for part in reversed(parts):  # the newest embedding of a track counts
        rows = _read(library, part)
        repeated = pc.is_in(rows["track_id"], value_set=pa.array(sorted(seen), pa.string()))
        tables.append(rows.filter(pc.invert(repeated)))
        seen |= set(rows["track_id"].unique().to_pylist())
    rows = pa.concat_tables(tables).sort_by([("track_id", "ascending"), ("segment", "ascending")]).combine_chunks()
    column = rows["vector"].combine_chunks()
    vectors = column.flatten().to_numpy().reshape(len(rows), column.type.list_size)
    names = rows["track_id"].combine_chunks().dictionary_encode()
    starts = np.flatnonzero(np.r_[True, np.diff(names.indices.to_numpy()) != 0])
    first = np.r_[starts, len(rows)].astype(np.int64)
    return LibraryEmbeddings(tuple(names.dictionary.to_pylist()), first, vectors, rows["weight"].to_numpy())


def _table(library: Library, engine: str, dimensions: int) -> Table:
    columns = [
        ("track_id", pa.string()),
        ("segment", pa.int32()),
        ("weight", pa.float32()),
        ("vector", pa.list_(pa.float32(), dimensions)),
    ]
    return Table(f"{library.root}/{FOLDER}/{engine}", ("track_id", "segment"), pa.schema(columns))


def _parts(library: Library, engine: str) -> list[str]:
    """Return the committed parts that count, oldest first."""
    table = _table(library, engine, 1)
    return [part.path for part in live_parts(library.lake, stored_parts(library.lake, table))]


def _read(library: Library, path: str, columns: list[str] | None = None) -> pa.Table:
    try:
        return pq.read_table(library.lake.local_path(path), columns=columns, partitioning=None)
    except (pa.ArrowException, OSError) as error:
        raise LakeError(
            f"{path} is damaged ({error}); delete it and run `needledrop library index {library.name}` again"
        ) from error
