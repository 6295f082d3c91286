"""Embeddings keyed by film or track id, and the Parquet files of a model folder that hold them. Imports no torch.

Embeddings are joined by id only: a file with its rows in another order, or without some of them, never pairs a film
with another film's music.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import LakeError, NeedledropError
from storage.lake.lake import Lake

FILMS_FILE, TRACKS_FILE = "test-films.parquet", "test-tracks.parquet"
"""Embeddings of the test split in a model folder; tracks from the number of segments in the run's settings."""
PARAGRAPHS_FILE, PARAGRAPHS = "test-films-paragraphs.parquet", "-paragraphs"
"""The same films with all paragraphs of their plots, and the ending of the policy of their ranks."""
YEARS_FILE = "test-films-years.parquet"
"""The same films with release years in their tags if training dropped them, without if it kept them."""
PARITY_TRACKS_FILE, PARITY_POLICY = "test-tracks-segments1.parquet", "segments1"
"""The same tracks from their middle segment alone, as in the paper's Table 1, and the policy of their ranks."""
BEST = "-best"
"""The ending of the policies that rank tracks by their best segment, and not by the mean over their segments."""


def films_file(policy: str) -> str:
    """Return the file of the films' embeddings that are ranked under a policy."""
    return PARAGRAPHS_FILE if policy.removesuffix(BEST).endswith(PARAGRAPHS) else FILMS_FILE


@dataclass(frozen=True)
class Embeddings:
    """Vectors float32 [n, d] under n distinct ids.

    Raises `NeedledropError` for NaN or infinity, a duplicate id, or shapes that do not match: none of these can be
    ranked.
    """

    ids: tuple[str, ...]
    vectors: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        """Reject vectors that cannot be ranked."""
        object.__setattr__(self, "vectors", np.ascontiguousarray(self.vectors, dtype=np.float32))
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.ids):
            raise NeedledropError(f"{len(self.ids)} ids do not fit embeddings of shape {self.vectors.shape}")
        if len(set(self.ids)) != len(self.ids):
            duplicate = next(name for name in self.ids if self.ids.count(name) > 1)
            raise NeedledropError(f"{duplicate} has two embeddings; embed each film and track once")
        finite = np.isfinite(self.vectors).all(axis=1)
        if not finite.all():
            raise NeedledropError(
                f"The embedding of {self.ids[int(np.argmin(finite))]} is not a number ({int((~finite).sum())} of "
                f"{len(self.ids)} are not): training diverged, so lower the learning rate or train in fp32"
            )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def dimensions(self) -> int:
        """Return the length d of one vector."""
        return int(self.vectors.shape[1])

    def of(self, ids: Sequence[str]) -> Embeddings:
        """Return the embeddings of these ids, in their order. Raises `NeedledropError` for an id without embedding."""
        index_of = {name: index for index, name in enumerate(self.ids)}
        missing = next((name for name in ids if name not in index_of), None)
        if missing is not None:
            raise NeedledropError(f"{missing} has no embedding; embed the films and tracks of one version")
        return Embeddings(tuple(ids), self.vectors[[index_of[name] for name in ids]])

    def without(self, ids: AbstractSet[str]) -> Embeddings:
        """Return all but those of these ids, which may be none of them."""
        kept = [index for index, name in enumerate(self.ids) if name not in ids]
        return Embeddings(tuple(self.ids[index] for index in kept), self.vectors[kept])


@dataclass(frozen=True)
class SegmentEmbeddings:
    """The segments of n tracks, those of one track together: for rankings by a track's best segment."""

    ids: tuple[str, ...]
    first: npt.NDArray[np.int64]
    """[n + 1]: the segments of track t are the rows `first[t]` to `first[t + 1]`; each has at least one."""
    vectors: npt.NDArray[np.float32]
    """[segments, d], each of length 1."""
    weights: npt.NDArray[np.float32] | None = None
    """[segments]: what each counts in its track's mean, where the model has learned that; else all count alike."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def dimensions(self) -> int:
        """Return the length d of one vector."""
        return int(self.vectors.shape[1])


def save_embeddings(lake: Lake, embeddings: Embeddings, *parts: str) -> None:
    """Commit the embeddings as a Parquet file with the columns `id` and `vector`."""
    flat = pa.array(embeddings.vectors.reshape(-1), pa.float32())
    vectors = pa.FixedSizeListArray.from_arrays(flat, embeddings.dimensions)
    lake.write_table(pa.table({"id": pa.array(embeddings.ids, pa.string()), "vector": vectors}), *parts)


def load_embeddings(lake: Lake, *parts: str) -> Embeddings:
    """Read embeddings that `save_embeddings` committed. Raises `LakeError` when the file does not exist."""
    if not lake.exists(*parts):
        raise LakeError(f"{'/'.join(parts)} is not in the lake {lake.root}; train and evaluate the model first")
    table = pq.read_table(lake.local_path(*parts)).combine_chunks()
    column = table.column("vector")
    vectors = column.combine_chunks().flatten().to_numpy().reshape(len(table), column.type.list_size)
    return Embeddings(tuple(table.column("id").to_pylist()), vectors)
