"""Confidence by resampling films, never tracks: the tracks of one film rise and fall together.

With 207 films of very different numbers of tracks, the spread over films is about twice what counting tracks as
independent would say. A system with several seeds enters with all of them: each film brings the results of
every seed, so the interval is about films, and the spread over seeds is reported beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

DRAWS = 2000
"""At 2,000 draws the ends of a 95 % interval are themselves known to about a tenth of its width."""
CONFIDENCE = 0.95
MEDIAN = "medr"
_DRAWS_AT_ONCE = 100

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class FilmResults:
    """What one system did on F films, over all its seeds.

    Every metric but the median rank is a ratio of sums over films: `numerators[metric]` and
    `denominators[metric]`, each [F]. Recall at 10 has a film's tracks within the first ten over its tracks;
    MRR has its reciprocal rank over one. The median rank is taken over the pooled `rank` [pairs], of which
    each belongs to `film` [pairs], an index into the films.
    """

    films: tuple[str, ...]
    numerators: Mapping[str, Floats]
    denominators: Mapping[str, Floats]
    rank: Floats
    film: Ints

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics of these results, the median rank last."""
        return (*self.numerators, MEDIAN)


@dataclass(frozen=True)
class Interval:
    """A value and its 95 % percentile interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """One system minus another on the same films, with the p of seeing one as large when labels are swapped."""

    value: float
    low: float
    high: float
    p: float


def intervals(results: FilmResults, draws: int = DRAWS, seed: int = 0) -> dict[str, Interval]:
    """The value of every metric and its percentile interval over `draws` resamplings of the films."""
    weights = _resampled(len(results.films), draws, seed)
    found = {}
    for metric in results.metrics:
        value = float(_evaluate(results, metric, np.ones((1, len(results.films))))[0])
        found[metric] = Interval(value, *_bounds(_evaluate(results, metric, weights)))
    return found


def differences(one: FilmResults, other: FilmResults, draws: int = DRAWS, seed: int = 0) -> dict[str, Difference]:
    """`one` minus `other` in every metric, paired: both are measured on the same resampled films.

    p is two-sided, from `draws` random swaps of the two systems' results film by film (Fisher's randomisation
    test; (1 + at least as extreme) / (1 + draws), so never 0). Raises `ValueError` for different films.
    """
    if one.films != other.films:
        raise ValueError("A paired difference needs both systems on the same films in one order")
    count = len(one.films)
    whole, weights = np.ones((1, count)), _resampled(count, draws, seed)
    kept = np.random.default_rng(seed + 1).integers(0, 2, (draws, count)).astype(np.float64)
    both = _joined(one, other)
    found = {}
    for metric in one.metrics:
        value = float((_evaluate(one, metric, whole) - _evaluate(other, metric, whole))[0])
        low, high = _bounds(_evaluate(one, metric, weights) - _evaluate(other, metric, weights))
        first, second = np.hstack([kept, 1 - kept]), np.hstack([1 - kept, kept])
        swapped = _evaluate(both, metric, first) - _evaluate(both, metric, second)
        extreme = int((np.abs(swapped) >= abs(value) - 1e-9).sum())
        found[metric] = Difference(value, low, high, (1 + extreme) / (1 + draws))
    return found


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment: the chance of any false finding among all of them stays below each value."""
    order = np.argsort(p_values, kind="stable")
    adjusted, highest = [0.0] * len(p_values), 0.0
    for place, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def _resampled(films: int, draws: int, seed: int) -> Floats:
    """How often each film is drawn: [draws, films], every row sums to the number of films."""
    random = np.random.default_rng(seed)
    return random.multinomial(films, np.full(films, 1 / films), size=draws).astype(np.float64)


def _joined(one: FilmResults, other: FilmResults) -> FilmResults:
    """Both systems side by side as twice as many films, so that weights can choose either for each film."""
    return FilmResults(
        films=one.films + other.films,
        numerators={m: np.concatenate([one.numerators[m], other.numerators[m]]) for m in one.numerators},
        denominators={m: np.concatenate([one.denominators[m], other.denominators[m]]) for m in one.denominators},
        rank=np.concatenate([one.rank, other.rank]),
        film=np.concatenate([one.film, other.film + len(one.films)]),
    )


def _evaluate(results: FilmResults, metric: str, weights: Floats) -> Floats:
    """The metric under each row of film weights [draws, F]: [draws]."""
    if metric == MEDIAN:
        return _median_ranks(results, weights)
    ratio: Floats = (weights @ results.numerators[metric]) / (weights @ results.denominators[metric])
    return ratio


def _median_ranks(results: FilmResults, weights: Floats) -> Floats:
    """The median of the ranks when film f counts `weights[:, f]` times; the middle of two for an even count."""
    order = np.argsort(results.rank, kind="stable")
    rank, film = results.rank[order], results.film[order]
    medians = np.empty(len(weights))
    for first in range(0, len(weights), _DRAWS_AT_ONCE):
        counts = np.cumsum(weights[first : first + _DRAWS_AT_ONCE, film].astype(np.int64), axis=1)
        for row, reached in enumerate(counts):
            total = reached[-1]
            middle = np.searchsorted(reached, [(total + 1) // 2, total // 2 + 1])
            medians[first + row] = rank[middle].mean()
    return medians


def _bounds(values: Floats) -> tuple[float, float]:
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(values, [tail, 100 - tail])
    return float(low), float(high)
