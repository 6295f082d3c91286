"""Exact scores of films and tracks, and how many candidates score higher, on a CPU or a GPU.

Scores are cosines of unit vectors rounded to multiples of 2^-25: a product is then a multiple of 2^-50 and a sum stays
below 2, so every step of a float64 matrix product is exact. Whatever the order of the candidates, the block size, the
threads or the device, a pair has the same score to the last bit, and tracks with equal embeddings are tied. float32
sums would differ in the last bit with the position in the matrix.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

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
