"""The rank of every film's own tracks among all candidates, in blocks, with ties exact.

rank_lo = 1 + the candidates that score higher, rank_hi = the candidates that score higher or the same. Scores
are cosines of unit vectors rounded to multiples of 2^-25: a product is then a multiple of 2^-50 and a sum
stays below 2, so every step of a float64 matrix product is exact. Whatever the order of the candidates, the
blocks, the threads or the device, the same pair has the same score to the last bit, and tracks with one
embedding are tied. float32 sums would differ in the last bit from one place in the matrix to the next.
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
from training.evaluation.embeddings import Embeddings

FILMS_PER_BLOCK = 64
"""64 films x 70,215 tracks of float64 scores are 36 MB: large enough for a full-speed matrix product."""
MOST_THREADS = 16
"""Each holds a block of scores; sixteen stay below a gigabyte."""
_GRID = float(2**25)
_TILE = 2048
"""Scores counted at a time: 16 KB, which stay in the first-level cache while a film's tracks pass over them."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
OnProgress = Callable[[int], None]


@dataclass(frozen=True)
class Ranks:
    """One entry a (film, own track): the ids, both tie bounds counted from 1, and the cosine."""

    film_ids: tuple[str, ...]
    track_ids: tuple[str, ...]
    rank_lo: Ints
    rank_hi: Ints
    score: Floats
    candidates: int

    def __len__(self) -> int:
        return len(self.film_ids)

    def to_arrow(self, policy: str) -> pa.Table:
        """The table that `storage.metrics.records.record_ranks` takes; `policy` says how tracks were embedded."""
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


@dataclass(frozen=True)
class _Pairs:
    """Who owns what, as positions: film f owns `tracks[starts[f]:starts[f + 1]]`."""

    starts: Ints
    tracks: Ints


def rank_tracks(
    films: Embeddings,
    tracks: Embeddings,
    owners: Mapping[str, str] | Iterable[tuple[str, str]],
    device: str = "cpu",
    on_progress: OnProgress | None = None,
) -> Ranks:
    """Rank all tracks for every film and keep the ranks of its own ones.

    `owners` gives the film of each track, or (track, film) pairs where films share a recording; a track
    without a film, or of a film that is not asked for, is a candidate all the same. A film without tracks
    has no rows. `device` is cpu or a CUDA device, with the same result; a GPU that is full leaves it to the
    CPU. `on_progress` is told how many films are done. Raises `NeedledropError` when the dimensions differ
    or no film has a track.
    """
    pairs = _pairs(films, tracks, owners)
    given = _on_grid(films.vectors), _on_grid(tracks.vectors), pairs.starts, pairs.tracks
    if device == "cpu":
        return _ranks(films, tracks, pairs, *_count_on_cpu(*given, on_progress))
    from torch import OutOfMemoryError  # noqa: PLC0415 - torch takes seconds to load

    from training.evaluation.ranking_cuda import count_on_device  # noqa: PLC0415

    try:
        counted = count_on_device(*given, device, on_progress)
    except OutOfMemoryError:  # the model may fill the GPU; here it takes seconds longer
        counted = _count_on_cpu(*given, None)
    return _ranks(films, tracks, pairs, *counted)


def _count_on_cpu(
    queries: Floats, candidates: Floats, starts: Ints, tracks: Ints, on_progress: OnProgress | None
) -> tuple[Ints, Ints, Floats]:
    """A block a thread, each with a matrix product of one thread: none waits for another until the end."""
    greater, equal, score = np.zeros(len(tracks), np.int64), np.zeros(len(tracks), np.int64), np.zeros(len(tracks))

    def count(first: int) -> int:
        block = queries[first : first + FILMS_PER_BLOCK]
        _count_block(block @ candidates.T, first, starts, tracks, greater, equal, score)
        return len(block)

    workers = min(os.cpu_count() or 1, MOST_THREADS)
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
        for done in pool.map(count, range(0, len(queries), FILMS_PER_BLOCK)):
            if on_progress:
                on_progress(done)
    return greater, equal, score


def _pairs(films: Embeddings, tracks: Embeddings, owners: Mapping[str, str] | Iterable[tuple[str, str]]) -> _Pairs:
    if films.dimensions != tracks.dimensions:
        raise NeedledropError(
            f"Films have {films.dimensions} dimensions and tracks {tracks.dimensions}; embed both with one model"
        )
    film_at = {film_id: index for index, film_id in enumerate(films.ids)}
    track_at = {track_id: index for index, track_id in enumerate(tracks.ids)}
    known = {
        (film_at[film_id], track_at[track_id])
        for track_id, film_id in (owners.items() if isinstance(owners, Mapping) else owners)
        if film_id in film_at and track_id in track_at
    }
    if not known:
        raise NeedledropError("No track belongs to any of the films, so there is nothing to rank; embed one split")
    film, track = np.array(sorted(known), np.int64).T
    return _Pairs(np.searchsorted(film, np.arange(len(films) + 1)).astype(np.int64), np.ascontiguousarray(track))


def top_tracks(films: Embeddings, tracks: Embeddings, count: int) -> dict[str, list[tuple[str, float]]]:
    """The `count` best tracks of each film with their cosines, the best first; of equals the first by id."""
    by_id = np.argsort(np.array(tracks.ids))
    candidates = _on_grid(tracks.vectors)[by_id]
    best = {}
    for film_id, query in zip(films.ids, _on_grid(films.vectors), strict=True):
        score = candidates @ query
        first = np.argsort(-score, kind="stable")[:count]
        best[film_id] = [(tracks.ids[by_id[place]], float(score[place])) for place in first]
    return best


def _on_grid(vectors: npt.NDArray[np.float32]) -> Floats:
    """Unit vectors [n, d] on the grid; a zero vector stays zero and so ties with everything."""
    exact = vectors.astype(np.float64)
    length = np.linalg.norm(exact, axis=1, keepdims=True)
    np.divide(exact, length, out=exact, where=length > 0)
    exact *= _GRID
    np.rint(exact, out=exact)
    exact /= _GRID
    return exact


def _count(scores: Floats, first: int, starts: Ints, tracks: Ints, greater: Ints, equal: Ints, score: Floats) -> None:
    """Count, for the own tracks of a block of films, the candidates above and level. scores [films, tracks]."""
    films, count = scores.shape
    for film in range(films):
        begin, end = starts[first + film], starts[first + film + 1]
        for pair in range(begin, end):
            score[pair] = scores[film, tracks[pair]]
        for tile in range(0, count, _TILE):
            row = scores[film, tile : min(tile + _TILE, count)]
            for pair in range(begin, end):
                own, above, level = score[pair], 0, 0
                for place in range(row.size):  # this form becomes vector instructions; "for value in row" does not
                    above += 1 if row[place] > own else 0
                    level += 1 if row[place] == own else 0
                greater[pair] += above
                equal[pair] += level


_count_block = numba.njit(cache=True, nogil=True)(_count)


def _ranks(films: Embeddings, tracks: Embeddings, pairs: _Pairs, greater: Ints, equal: Ints, score: Floats) -> Ranks:
    film_of = np.repeat(np.arange(len(films)), np.diff(pairs.starts))
    return Ranks(
        film_ids=tuple(films.ids[index] for index in film_of),
        track_ids=tuple(tracks.ids[index] for index in pairs.tracks),
        rank_lo=greater + 1,
        rank_hi=greater + equal,
        score=score,
        candidates=len(tracks),
    )
