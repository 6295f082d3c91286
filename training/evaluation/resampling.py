"""Confidence by resampling films, never tracks: the tracks of one film rise and fall together.

With 207 films of very different numbers of tracks, the spread over films is one and a half to two times
what counting tracks as independent would say. A system with several seeds enters with all of them: each film brings
the results of every seed, so the interval is about films, and the spread over seeds is reported beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

DRAWS = 2000
"""At 2,000 draws the ends of a 95 % interval are themselves known to about a tenth of its width."""
CONFIDENCE = 0.95
MEDIAN = "medr"

_ROUNDING = 1e-9
"""Sums in another order may differ by this much and still be the same difference."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class FilmResults:
    """What one system did on F films, over all its seeds.

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
        """The metrics of these results, the median rank last."""
        return (*self.ratios, MEDIAN)


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
    values = _evaluate(results, np.ones((1, len(results.films))))[0]
    drawn = _evaluate(results, _resampled(len(results.films), draws, seed))
    return {
        metric: Interval(float(value), *_bounds(column))
        for metric, value, column in zip(results.metrics, values, drawn.T, strict=True)
    }


def differences(one: FilmResults, other: FilmResults, draws: int = DRAWS, seed: int = 0) -> dict[str, Difference]:
    """`one` minus `other` in every metric, paired: both are measured on the same resampled films.

    p is two-sided, from `draws` random swaps of the two systems' results film by film (Fisher's randomisation
    test; (1 + at least as extreme) / (1 + draws), so never 0). Raises `ValueError` for different films.
    """
    if one.films != other.films:
        raise ValueError("A paired difference needs both systems on the same films in one order")
    count = len(one.films)
    whole, weights = np.ones((1, count)), _resampled(count, draws, seed)
    values = (_evaluate(one, whole) - _evaluate(other, whole))[0]
    drawn = _evaluate(one, weights) - _evaluate(other, weights)
    kept = np.random.default_rng(seed + 1).integers(0, 2, (draws, count)).astype(np.float64)
    both = _joined(one, other)
    swapped = _evaluate(both, np.hstack([kept, 1 - kept])) - _evaluate(both, np.hstack([1 - kept, kept]))
    extreme = (np.abs(swapped) >= np.abs(values) - _ROUNDING).sum(axis=0)
    return {
        metric: Difference(float(values[m]), *_bounds(drawn[:, m]), float(1 + extreme[m]) / (1 + draws))
        for m, metric in enumerate(one.metrics)
    }


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
        ratios=one.ratios,
        numerators=np.concatenate([one.numerators, other.numerators]),
        denominators=np.concatenate([one.denominators, other.denominators]),
        rank=np.concatenate([one.rank, other.rank]),
        film=np.concatenate([one.film, other.film + len(one.films)]),
    )


def _evaluate(results: FilmResults, weights: Floats) -> Floats:
    """Every metric under each row of film weights [draws, F]: [draws, metrics]."""
    order = np.argsort(results.rank, kind="stable")
    medians = _medians(results.rank[order], results.film[order], weights)
    shares = (weights @ results.numerators) / (weights @ results.denominators)
    return np.column_stack([shares, medians])


def _weighted_medians(rank: Floats, film: Ints, weights: Floats) -> Floats:
    """Per row of weights, the median of ascending ranks of which each counts as often as its film was drawn.

    The middle of the two in the middle for an even count, as the median of the repeated ranks is.
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


_medians = numba.njit(cache=True, nogil=True)(_weighted_medians)


def _bounds(values: Floats) -> tuple[float, float]:
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(values, [tail, 100 - tail])
    return float(low), float(high)
