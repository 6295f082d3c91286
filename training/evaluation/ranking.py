"""The rank of every film's own tracks among all candidates, with exact ties.

A track is one vector, the mean over its segments, or all of its segments, of which the best one counts for each film.

rank_lo = 1 + the number of candidates with a higher score, rank_hi = the number with a higher or equal score; the
scores are those of `training.evaluation.exact_scores`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from storage.errors import NeedledropError
from training.evaluation.embedding_files import Embeddings, SegmentEmbeddings
from training.evaluation.exact_scores import (
    Candidates,
    Counts,
    Floats,
    Ints,
    OnProgress,
    Pairs,
    count_on_cpu,
    count_on_device,
    on_grid,
)


@dataclass(frozen=True)
class Ranks:
    """One entry per (film, own track): the ids, both tie bounds counted from 1, and the cosine."""

    film_ids: tuple[str, ...]
    track_ids: tuple[str, ...]
    rank_lo: Ints
    rank_hi: Ints
    score: Floats
    candidates: int

    def __len__(self) -> int:
        return len(self.film_ids)

    @property
    def median(self) -> float:
        """Return the median rank, with the middle of a tie as its rank."""
        return float(np.median((self.rank_lo + self.rank_hi) / 2))

    def to_arrow(self, policy: str) -> pa.Table:
        """Return the table that `record_ranks` of `storage.metrics` takes; `policy` names how tracks were embedded."""
        count = len(self)
        return pa.table(
            {
                "film_id": pa.array(self.film_ids, pa.string()),
                "track_id": pa.array(self.track_ids, pa.string()),
                "policy": pa.array([policy] * count, pa.string()),
                "rank_lo": pa.array(self.rank_lo, pa.int32()),
                "rank_hi": pa.array(self.rank_hi, pa.int32()),
                "score": pa.array(self.score, pa.float32()),
                "candidates": pa.array([self.candidates] * count, pa.int32()),
            }
        )


def rank_tracks(
    films: Embeddings,
    tracks: Embeddings | SegmentEmbeddings,
    owners: Mapping[str, str] | Iterable[tuple[str, str]],
    device: str = "cpu",
    on_progress: OnProgress | None = None,
) -> Ranks:
    """Rank all tracks for every film and return the ranks of its own ones.

    `owners` maps each track to its film, or is a list of (track, film) pairs where films share a recording; a track
    without a film, or of a film that is not in `films`, is a candidate too. A film without tracks has no rows. Of
    tracks that are given as segments, the score is that of the segment that is closest to the film.
    `device` is "cpu" for numba, or any torch device, with the same result; where a GPU is full, the CPU takes over.
    Raises `NeedledropError` when the dimensions differ or no film has a track.
    """
    pairs = _pairs(films, tracks, owners)
    queries = on_grid(films.vectors)
    candidates = Candidates(on_grid(tracks.vectors), tracks.first if isinstance(tracks, SegmentEmbeddings) else None)
    if device == "cpu":
        return _ranks(films, tracks, pairs, count_on_cpu(queries, candidates, pairs, on_progress))
    from torch import OutOfMemoryError  # noqa: PLC0415 - ranking on a CPU needs no torch, which takes seconds to load

    try:
        counts = count_on_device(queries, candidates, pairs, device, on_progress)
    except OutOfMemoryError:  # the model may fill the GPU; on the CPU it takes seconds longer
        counts = count_on_cpu(queries, candidates, pairs, None)
    return _ranks(films, tracks, pairs, counts)


def top_tracks(films: Embeddings, tracks: Embeddings, count: int) -> dict[str, list[tuple[str, float]]]:
    """Return the `count` best tracks of each film with their cosines, best first; ties in order of their ids."""
    by_id = np.argsort(np.array(tracks.ids))
    candidates = on_grid(tracks.vectors)[by_id]
    best = {}
    for film_id, query in zip(films.ids, on_grid(films.vectors), strict=True):
        score = candidates @ query
        first = np.argsort(-score, kind="stable")[:count]
        best[film_id] = [(tracks.ids[by_id[index]], float(score[index])) for index in first]
    return best


def _pairs(
    films: Embeddings, tracks: Embeddings | SegmentEmbeddings, owners: Mapping[str, str] | Iterable[tuple[str, str]]
) -> Pairs:
    if films.dimensions != tracks.dimensions:
        raise NeedledropError(
            f"Films have {films.dimensions} dimensions and tracks {tracks.dimensions}; embed both with one model"
        )
    film_index = {film_id: index for index, film_id in enumerate(films.ids)}
    track_index = {track_id: index for index, track_id in enumerate(tracks.ids)}
    pairs = {
        (film_index[film_id], track_index[track_id])
        for track_id, film_id in (owners.items() if isinstance(owners, Mapping) else owners)
        if film_id in film_index and track_id in track_index
    }
    if not pairs:
        raise NeedledropError("No track belongs to any of the films, so there is nothing to rank; embed one split")
    film, track = np.array(sorted(pairs), np.int64).T
    return Pairs(np.searchsorted(film, np.arange(len(films) + 1)).astype(np.int64), np.ascontiguousarray(track))


def _ranks(films: Embeddings, tracks: Embeddings | SegmentEmbeddings, pairs: Pairs, counts: Counts) -> Ranks:
    greater, equal, score = counts
    film_of = np.repeat(np.arange(len(films)), np.diff(pairs.starts))
    return Ranks(
        film_ids=tuple(films.ids[index] for index in film_of),
        track_ids=tuple(tracks.ids[index] for index in pairs.tracks),
        rank_lo=greater + 1,
        rank_hi=greater + equal,
        score=score,
        candidates=len(tracks),
    )
