"""Bootstrap over films: intervals and paired differences, computed from results by film.

Films are resampled, never tracks, as the results of one film's tracks are correlated: with 207 films of very different
numbers of tracks, intervals are one and a half to two times as wide as if tracks were independent. All seeds of a
system enter together: each film brings the results of every seed, so an interval is about films, and the spread over
seeds is reported separately.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

DRAWS = 2000
"""With 2,000 resamplings, the ends of a 95 % interval are accurate to about a tenth of its width."""
CONFIDENCE = 0.95
MEDIAN = "medr"
_ROUNDING = 1e-9
"""Two sums in different order may differ by this much and are still the same difference."""
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class FilmResults:
    """The results of one system on F films, over all its seeds.

    Every metric but the median rank is a ratio of sums over films: column m of `numerators` over column m of
    `denominators`, both [F, len(ratios)]. Recall at 10 has a film's tracks within the first ten over its tracks;
    MRR has its reciprocal rank over one. The median rank is taken over the pooled `rank` [pairs], of which
    each belongs to `film` [pairs], an index into the films.
    """

    films: tuple[str, ...]
    ratios: tuple[str, ...]
    numerators: Floats
    denominators: Floats
    rank: Floats
    film: Ints

    @property
    def metrics(self) -> tuple[str, ...]:
        """Return the names of the metrics, the median rank last."""
        return (*self.ratios, MEDIAN)


@dataclass(frozen=True)
class Interval:
    """A value and its 95 % percentile interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """One system minus another on the same films, and the p-value of a difference as large under swapped labels."""

    value: float
    low: float
    high: float
    p: float


def intervals(results: FilmResults, draws: int = DRAWS, seed: int = 0) -> dict[str, Interval]:
    """Return the value of every metric and its percentile interval over `draws` resamplings of the films."""
    values = _evaluate(results, np.ones((1, len(results.films))))[0]
    resampled = _evaluate(results, _resampled(len(results.films), draws, seed))
    return {
        metric: Interval(float(value), *_bounds(column))
        for metric, value, column in zip(results.metrics, values, resampled.T, strict=True)
    }


def ratio_interval(numerators: Floats, denominators: Floats, draws: int = DRAWS, seed: int = 0) -> Interval:
    """Return the ratio of two sums over items, such as queries, and its interval over resamplings of the items.

    Both are [items]; no denominator is zero.
    """
    weights = _resampled(len(numerators), draws, seed)
    resampled = (weights @ numerators) / (weights @ denominators)
    return Interval(float(numerators.sum() / denominators.sum()), *_bounds(resampled))


def differences(one: FilmResults, other: FilmResults, draws: int = DRAWS, seed: int = 0) -> dict[str, Difference]:
    """Return `one` minus `other` in every metric, paired: both are evaluated on the same resampled films.

    p is two-sided, from `draws` random swaps of the two systems' results film by film (Fisher's randomisation
    test; (1 + at least as extreme) / (1 + draws), so never 0). Raises `ValueError` for different films.
    """
    if one.films != other.films:
        raise ValueError("A paired difference needs both systems on the same films in one order")
    count = len(one.films)
    equal_weights, weights = np.ones((1, count)), _resampled(count, draws, seed)
    values = (_evaluate(one, equal_weights) - _evaluate(other, equal_weights))[0]
    resampled = _evaluate(one, weights) - _evaluate(other, weights)
    unswapped = np.random.default_rng(seed + 1).integers(0, 2, (draws, count)).astype(np.float64)
    both, selection = _concatenated(one, other), np.hstack([unswapped, 1 - unswapped])
    swapped = _evaluate(both, selection) - _evaluate(both, 1 - selection)
    extreme = (np.abs(swapped) >= np.abs(values) - _ROUNDING).sum(axis=0)
    return {
        metric: Difference(float(values[m]), *_bounds(resampled[:, m]), float(1 + extreme[m]) / (1 + draws))
        for m, metric in enumerate(one.metrics)
    }


def _resampled(films: int, draws: int, seed: int) -> Floats:
    """Return how often each film is drawn: [draws, films], every row sums to the number of films."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(films, np.full(films, 1 / films), size=draws).astype(np.float64)


def _concatenated(one: FilmResults, other: FilmResults) -> FilmResults:
    """Return both systems as twice as many films, so that weights can select either system for each film."""
    return FilmResults(
        films=one.films + other.films,
        ratios=one.ratios,
        numerators=np.concatenate([one.numerators, other.numerators]),
        denominators=np.concatenate([one.denominators, other.denominators]),
        rank=np.concatenate([one.rank, other.rank]),
        film=np.concatenate([one.film, other.film + len(one.films)]),
    )


def _evaluate(results: FilmResults, weights: Floats) -> Floats:
    """Return every metric under each row of film weights [draws, F]: [draws, metrics]."""
    order = np.argsort(results.rank, kind="stable")
    medians = weighted_medians(results.rank[order], results.film[order], weights)
    shares = (weights @ results.numerators) / (weights @ results.denominators)
    return np.column_stack([shares, medians])


def _weighted_medians(rank: Floats, film: Ints, weights: Floats) -> Floats:
    """Return per row of weights [draws, F] the median of ascending ranks, each counted as often as its film was drawn.

    For an even count the mean of the two middle ranks, as for the median of the repeated ranks.
    """
    medians = np.empty(len(weights))
    for draw in range(len(weights)):
        total = 0.0
        for pair in range(len(rank)):
            total += weights[draw, film[pair]]
        reached, first = 0.0, -1.0
        for pair in range(len(rank)):
            reached += weights[draw, film[pair]]
            if first < 0 and 2 * reached >= total:
                first = rank[pair]
            if 2 * reached > total:
                medians[draw] = (first + rank[pair]) / 2
                break
    return medians


weighted_medians = numba.njit(cache=True, nogil=True)(_weighted_medians)


def _bounds(values: Floats) -> tuple[float, float]:
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(values, [tail, 100 - tail])
    return float(low), float(high)
