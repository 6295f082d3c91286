"""The rank of every film's own tracks among all candidates, with exact scores and ties, on a CPU or a GPU.

A track is one vector, the mean over its segments, or all of its segments, of which the best one counts for each film.
rank_lo = 1 + the number of candidates with a higher score, rank_hi = the number with a higher or equal score.

Scores are cosines of unit vectors rounded to multiples of 2^-25: a product is then a multiple of 2^-50 and a sum stays
below 2, so every step of a float64 matrix product is exact. Whatever the order of the candidates, the block size, the
threads or the device, a pair has the same score to the last bit, and tracks with equal embeddings are tied. float32
sums would differ in the last bit with the position in the matrix.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from threadpoolctl import threadpool_limits

from storage.errors import NeedledropError
from training.evaluation.embeddings import Embeddings, SegmentEmbeddings

FILMS_PER_BLOCK = 64
"""64 films x 70,215 tracks of float64 scores are 36 MB: large enough for a full-speed matrix product."""
PAIRS_AT_ONCE = 256
"""Films' own tracks counted at once on a GPU: 256 rows of 70,215 float64 scores are 144 MB."""
MAX_THREADS = 16
"""Each holds one block of scores; sixteen stay below a gigabyte."""
_GRID = float(2**25)
_TILE = 2048
"""Scores compared at a time: 16 KB, which stay in the first-level cache while all own tracks of a film are counted."""
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
OnProgress = Callable[[int], None]
"""Progress callback (number of films ranked since the last call)."""
Counts = tuple[Ints, Ints, Floats]
"""Per (film, own track): the candidates that score higher, those that score the same, and the score."""


@dataclass(frozen=True)
class Pairs:
    """The own tracks of each film, as indices: film f owns `tracks[starts[f]:starts[f + 1]]`."""

    starts: Ints
    tracks: Ints


@dataclass(frozen=True)
class Candidates:
    """The tracks as rows of vectors on the grid: one each, or those from `first[t]` to `first[t + 1]`."""

    vectors: Floats
    first: Ints | None

    @property
    def films_per_block(self) -> int:
        """Return how many films are scored at once, so that a block of scores is as large with several segments."""
        rows = 1 if self.first is None else len(self.vectors) / max(1, len(self.first) - 1)
        return max(1, int(FILMS_PER_BLOCK / rows))

    def best(self, scores: Floats) -> Floats:
        """Return the score of each track, [films, tracks], from those of all rows, [films, rows]."""
        return scores if self.first is None else np.maximum.reduceat(scores, self.first[:-1], axis=1)


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


def on_grid(vectors: npt.NDArray[np.float32]) -> Floats:
    """Return unit vectors [n, d] rounded to the grid; a zero vector stays zero and is tied with everything."""
    exact = vectors.astype(np.float64)
    length = np.linalg.norm(exact, axis=1, keepdims=True)
    np.divide(exact, length, out=exact, where=length > 0)
    exact *= _GRID
    np.rint(exact, out=exact)
    exact /= _GRID
    return exact


def count_on_cpu(queries: Floats, candidates: Candidates, pairs: Pairs, on_progress: OnProgress | None) -> Counts:
    """Count with one block of films per thread and a single-threaded matrix product in each: no thread waits."""
    count, at_once = len(pairs.tracks), candidates.films_per_block
    greater, equal, score = np.zeros(count, np.int64), np.zeros(count, np.int64), np.zeros(count)

    def count_from(first: int) -> int:
        block = queries[first : first + at_once]
        scores = candidates.best(block @ candidates.vectors.T)
        _count_block(scores, first, pairs.starts, pairs.tracks, greater, equal, score)
        return len(block)

    threads = min(os.cpu_count() or 1, MAX_THREADS)
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        for films in pool.map(count_from, range(0, len(queries), at_once)):
            if on_progress:
                on_progress(films)
    return greater, equal, score


def _count(scores: Floats, first: int, starts: Ints, tracks: Ints, greater: Ints, equal: Ints, score: Floats) -> None:
    """Count the candidates with a higher and an equal score, for a block of films; scores [films, tracks]."""
    films, count = scores.shape
    for film in range(films):
        begin, end = starts[first + film], starts[first + film + 1]
        for pair in range(begin, end):
            score[pair] = scores[film, tracks[pair]]
        for tile in range(0, count, _TILE):
            row = scores[film, tile : min(tile + _TILE, count)]
            for pair in range(begin, end):
                own, above, level = score[pair], 0, 0
                for index in range(row.size):  # vectorised by the compiler, which "for value in row" is not
                    above += 1 if row[index] > own else 0
                    level += 1 if row[index] == own else 0
                greater[pair] += above
                equal[pair] += level


_count_block = numba.njit(cache=True, nogil=True)(_count)


def count_on_device(
    queries: Floats, candidates: Candidates, pairs: Pairs, device: str, on_progress: OnProgress | None
) -> Counts:
    """Count on a torch device. float64 products are not affected by TF32, so the counts are those of the CPU."""
    import torch  # noqa: PLC0415 - see `rank_tracks`

    starts, count = pairs.starts, len(pairs.tracks)
    query, candidate = (torch.from_numpy(vectors).to(device) for vectors in (queries, candidates.vectors))
    owner = None
    if candidates.first is not None:
        tracks = np.repeat(np.arange(len(candidates.first) - 1), np.diff(candidates.first))
        owner = torch.from_numpy(tracks).to(device)
    track = torch.from_numpy(pairs.tracks).to(device)
    greater, equal, score = (torch.zeros(count, dtype=dtype) for dtype in (torch.int64, torch.int64, torch.float64))
    at_once = candidates.films_per_block
    for first in range(0, len(queries), at_once):
        last = min(first + at_once, len(queries))
        scores = query[first:last] @ candidate.T
        if owner is not None and candidates.first is not None:
            best = scores.new_full((last - first, len(candidates.first) - 1), -torch.inf)
            scores = best.scatter_reduce(1, owner.expand(last - first, -1), scores, "amax")
        film = torch.repeat_interleave(torch.from_numpy(np.diff(starts[first : last + 1]))).to(device)
        for begin in range(int(starts[first]), int(starts[last]), PAIRS_AT_ONCE):
            end = min(begin + PAIRS_AT_ONCE, int(starts[last]))
            rows = scores[film[begin - starts[first] : end - starts[first]]]
            own = rows.gather(1, track[begin:end, None])
            greater[begin:end] = (rows > own).sum(dim=1).cpu()
            equal[begin:end] = (rows == own).sum(dim=1).cpu()
            score[begin:end] = own[:, 0].cpu()
        if on_progress:
            on_progress(last - first)
    return greater.numpy(), equal.numpy(), score.numpy()
