"""Read the audio embeddings of a split's segments into memory, in the place of their mels.

`EncodedSegments` has the interface of `storage.mels.reader.MelReader`, so batches, evaluation and search take the
embedding of a segment where they would take its mel: positions count the rows of the split's segments.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from storage.audio_embeddings.cards import encoder_folder, list_encoders, read_card
from storage.audio_embeddings.files import Vectors, encoded_films, read_embeddings
from storage.errors import InputError
from storage.lake.lake import Lake


@dataclass(frozen=True)
class SegmentFormat:
    """The shape and type of one segment as it travels in a batch."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class EncodedSegments:
    """The embeddings of segments by one encoder, float16 [segments, dimensions]."""

    def __init__(self, vectors: Vectors) -> None:
        self.vectors = vectors
        self.settings = SegmentFormat(vectors.shape[1:], vectors.dtype)
        self.ref_db = np.zeros(len(vectors), np.float32)
        """An embedding has no level of its own; batches carry one next to each mel."""

    def __len__(self) -> int:
        return len(self.vectors)

    def gather(self, positions: NDArray[np.integer[Any]], out: NDArray[Any]) -> None:
        """Copy the embeddings at these positions into `out`, shape (n, dimensions)."""
        np.take(self.vectors, positions, axis=0, out=out)

    def read_ahead(self, positions: NDArray[np.integer[Any]]) -> None:
        """Do nothing: everything is in memory."""


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


def read_encoded_segments(lake: Lake, encoder: str, segments: pa.Table, split: str) -> EncodedSegments:
    """Read the embeddings of a split's segments (film_id, track_id, segment), in their order.

    Raises `InputError` when the lake has no such encoder, or not the embeddings of every track: one that is left out
    would make the ranks of this run those of another data set.
    """
    folder = stored_encoder(lake, encoder)
    paths = encoded_films(lake, folder)
    vectors = np.zeros((len(segments), read_card(lake, folder).dimensions), np.float16)
    films, tracks = segments["film_id"].to_pylist(), segments["track_id"].to_pylist()
    numbers = segments["segment"].to_numpy()
    bounds = _runs(films)
    lacking: dict[str, None] = {}
    for start, stop in itertools.pairwise(bounds):
        known = read_embeddings(lake, paths[films[start]]) if films[start] in paths else {}
        for row in range(start, stop):
            own = known.get(tracks[row])
            if own is None or numbers[row] >= len(own):
                lacking[tracks[row]] = None
            else:
                vectors[row] = own[numbers[row]]
    if lacking:
        raise InputError(
            f"{len(lacking):,} tracks of the {split} split have no embeddings by {folder}, such as "
            f"{next(iter(lacking))}; embed your own files with `needledrop soundtracks --encode`; what came from the "
            "network has to be collected again, or left out of a new version (`needledrop curate --leave-out TRACK`)"
        )
    return EncodedSegments(vectors)


def _runs(films: Sequence[str]) -> list[int]:
    """Return where each film's rows begin, and the end of the last: rows are sorted by film."""
    starts = [row for row in range(len(films)) if row == 0 or films[row] != films[row - 1]]
    return [*starts, len(films)]
