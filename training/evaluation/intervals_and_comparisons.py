"""Intervals by bootstrap over films, and comparisons of systems: recorded with a version, or of any two that are named.

Results by film come from the views `film_metrics` and `ranked`, of the latest run of each seed. Only runs of equal
settings are seeds of one system: a system is known by its preset and the digest of its settings
(`training.systems.named_system`).

Films are resampled, never tracks, as the results of one film's tracks are correlated: with 207 films of very different
numbers of tracks, intervals are one and a half to two times as wide as if tracks were independent. All seeds of a
system enter together: each film brings the results of every seed, so an interval is about films, and the spread over
seeds is reported separately.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from storage.errors import InputError
from storage.lake.lake import Lake
from storage.metrics import record_measurements as metrics
from storage.metrics import run_files
from storage.metrics.database import connect_metrics, refresh_views
from storage.metrics.leaderboard_chance_and_paper_views import RECALL_AT
from storage.metrics.run_files import COMPARISONS_SCHEMA, INTERVALS_SCHEMA
from storage.tables.duckdb_connection import fetch_rows
from training.evaluation.baselines import PRESET
from training.evaluation.embeddings import BEST
from training.systems import named_system, shown_name

DRAWS = 2000
"""With 2,000 resamplings, the ends of a 95 % interval are accurate to about a tenth of its width."""
CONFIDENCE = 0.95
MEDIAN = "medr"
_ROUNDING = 1e-9
"""Two sums in different order may differ by this much and are still the same difference."""
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
REFERENCE = "All"
"""Every other system is compared with this one, as in the paper's text."""
_BY_FILM = (*(f"hit_at_{k}" for k in RECALL_AT), "recall_at_10", "mrr", "map", "ndcg")
KEY_COLUMNS = "policy, preset, settings_digest, system"
"""What tells systems apart in SQL."""
System = tuple[str, str, str, str]
"""(policy, preset, digest of the settings, system); the digest is empty for a control without a model."""


def record_confidence(lake: Lake, dataset_version: str, draws: int = DRAWS) -> None:
    """Write the intervals of every system of a version, and its difference from the system All of the same settings.

    p-values are adjusted by Holm's method over all systems that are compared in one metric, baselines included.
    When another machine wrote some meanwhile, all is computed again: whoever comes last has everyone's runs.
    """
    while True:
        after = run_files.newest_number(lake, run_files.CONFIDENCE, dataset_version)
        results, bases, basis = _results_of(lake, dataset_version)
        rows = [
            _key_columns(key) | {"metric": metric, "draws": draws, "basis": bases[key]} | vars(interval)
            for key, result in results.items()
            for metric, interval in intervals(result, draws).items()
        ]
        compared = [row for key in results if key[-1] == REFERENCE for row in _against(key, results, draws)]
        if metrics.record_confidence(
            lake,
            dataset_version,
            after,
            pa.Table.from_pylist(rows, INTERVALS_SCHEMA),
            pa.Table.from_pylist([row | {"basis": basis} for row in compared], COMPARISONS_SCHEMA),
        ):
            return


def lacks_confidence(lake: Lake, dataset_version: str) -> bool:
    """Return whether a trained system has no interval, or one of earlier runs: a run killed before leaves it so."""
    query = """
        SELECT count(*) FROM leaderboard
        LEFT JOIN (FROM intervals WHERE metric = 'r_at_10')
            USING (dataset_version, policy, preset, settings_digest, system)
        WHERE dataset_version = $version AND source = 'trained' AND coalesce(abs(value - r_at_10) > 1e-6, true)
        UNION ALL SELECT count(*) FROM bases WHERE dataset_version = $version AND system = $reference
            AND NOT EXISTS (FROM comparisons WHERE dataset_version = $version)
    """  # the leaderboard is rounded to nine decimals
    refresh_views(lake)
    with connect_metrics(lake) as connection:
        missing = connection.execute(query, {"version": dataset_version, "reference": REFERENCE}).fetchall()
    return any(count for (count,) in missing)


def _results_of(lake: Lake, dataset_version: str) -> tuple[dict[System, FilmResults], dict[System, str], str]:
    """Return every system's results, the basis of each, and the basis of all (the views of these names)."""
    with connect_metrics(lake) as connection:
        runs = connection.execute(
            f"SELECT {KEY_COLUMNS}, list(run_id ORDER BY seed) FROM latest_metrics WHERE dataset_version = ? "
            "GROUP BY ALL ORDER BY ALL",
            [dataset_version],
        ).fetchall()
        results = {tuple(key): results_by_film(connection, key[0], ids) for *key, ids in runs}
        rows = connection.execute(
            f"SELECT {KEY_COLUMNS}, basis FROM bases WHERE dataset_version = ?", [dataset_version]
        ).fetchall()
        of_all = connection.execute(
            "SELECT basis FROM version_bases WHERE dataset_version = ?", [dataset_version]
        ).fetchone()
    return results, {tuple(key): basis for *key, basis in rows}, (of_all or ("",))[0]


def _key_columns(key: System) -> dict[str, str]:
    return dict(zip(KEY_COLUMNS.split(", "), key, strict=True))


def results_by_film(connection: duckdb.DuckDBPyConnection, policy: str, run_ids: Sequence[str]) -> FilmResults:
    """Load the results of one system over its seeds, films in the order of their ids."""
    sums = [f"sum(tracks_at_{k}) AS r_at_{k}" for k in RECALL_AT] + [f"sum({name}) AS {name}" for name in _BY_FILM]
    films = connection.execute(
        f"SELECT film_id, sum(tracks) AS tracks, count(*) AS seeds, {', '.join(sums)} FROM film_metrics "
        "WHERE policy = ? AND run_id IN (SELECT unnest(?)) GROUP BY film_id ORDER BY film_id",
        [policy, list(run_ids)],
    ).fetchnumpy()
    pairs = connection.execute(
        "SELECT film_id, rank FROM ranked WHERE policy = ? AND run_id IN (SELECT unnest(?))", [policy, list(run_ids)]
    ).fetchnumpy()
    names = films["film_id"].astype(str)
    recalls = [100 * films[f"r_at_{k}"].astype(np.float64) for k in RECALL_AT]
    return FilmResults(
        films=tuple(names.tolist()),
        ratios=(*(f"r_at_{k}" for k in RECALL_AT), *_BY_FILM),
        numerators=np.column_stack(recalls + [films[name].astype(np.float64) for name in _BY_FILM]),
        denominators=np.column_stack([films["tracks"]] * len(RECALL_AT) + [films["seeds"]] * len(_BY_FILM)).astype(
            float
        ),
        rank=pairs["rank"].astype(np.float64),
        film=np.searchsorted(names, pairs["film_id"].astype(str)).astype(np.int64),
    )


def _against(key: System, results: dict[System, FilmResults], draws: int) -> list[dict[str, Any]]:
    """Return the comparisons of every other system evaluated on the same films, with p-values adjusted over all."""
    policy, preset, digest, reference = key
    others = [
        other
        for other in results
        if other[0] == policy
        and (other[1:3] == (preset, digest) or other[1] == PRESET)
        and other[-1] != reference
        and results[other].films == results[key].films
    ]
    compared = [differences(results[other], results[key], draws) for other in others]
    rows: list[dict[str, Any]] = []
    for metric in results[key].metrics if others else ():
        adjusted = holm([difference[metric].p for difference in compared])
        for other, difference, p_holm in zip(others, compared, adjusted, strict=True):
            against = {"against_preset": preset, "against_settings_digest": digest, "against": reference}
            found = {"metric": metric, "draws": draws, "p_holm": p_holm, "difference": difference[metric].value}
            rows.append(_key_columns(other) | against | found | vars(difference[metric]))
    return rows


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted by Holm's step-down method, which controls the family-wise error rate."""
    order = np.argsort(p_values, kind="stable")
    adjusted, highest = [0.0] * len(p_values), 0.0
    for smaller, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - smaller) * p_values[index]))
        adjusted[index] = highest
    return adjusted


@dataclass(frozen=True)
class Comparison:
    """Two systems on the same test films: their names, and each metric of both with their paired difference."""

    policy: str
    one: str
    other: str
    values: dict[str, tuple[float, float, Difference]]
    """Metric -> value of the one, value of the other, the one minus the other."""


def compare(
    lake: Lake, dataset_version: str, one: str, other: str, policy: str | None = None, draws: int = DRAWS
) -> Comparison:
    """Compare any two systems of a version, given as SYSTEM, SYSTEM@PRESET, SYSTEM@DIGEST or SYSTEM@SETTINGS.

    `policy` is by default the one of several segments, by their mean, that both were ranked under. p-values are those
    of this one comparison: they are not adjusted for others that were looked at. Raises `InputError` for a name that is
    none or several of the version's systems, for a version or policy without any, and for systems that were ranked on
    different films.
    """
    with connect_metrics(lake) as connection:
        rows = fetch_rows(
            connection,
            f"SELECT {KEY_COLUMNS}, settings, list(run_id ORDER BY seed) AS runs FROM latest_metrics "
            "WHERE dataset_version = ? AND policy = coalesce(?, policy) GROUP BY ALL ORDER BY ALL",
            dataset_version,
            policy,
        )
        if not rows:
            raise InputError(_nothing_measured(connection, dataset_version, policy))
        found = [named_system(rows, name, dataset_version) for name in (one, other)]
        shared = sorted(set(found[0]) & set(found[1]), key=lambda name: (not name.endswith(BEST), len(name), name))
        if not shared:
            raise InputError(f"{one} and {other} were not ranked under one policy; give runs of one number of segments")
        first, second = (by_policy[shared[-1]] for by_policy in found)
        ours, theirs = (results_by_film(connection, shared[-1], row["runs"]) for row in (first, second))
    if ours.films != theirs.films:
        raise InputError(f"{one} and {other} were ranked on different films; train both on one version")
    values = [intervals(result, draws=1) for result in (ours, theirs)]
    paired = differences(ours, theirs, draws)
    figures = {metric: (values[0][metric].value, values[1][metric].value, paired[metric]) for metric in paired}
    return Comparison(shared[-1], shown_name(first), shown_name(second), figures)


def _nothing_measured(connection: duckdb.DuckDBPyConnection, version: str, policy: str | None) -> str:
    """Return the message that says what a version was measured under, or that it was not."""
    found = connection.execute(
        "SELECT DISTINCT policy FROM latest_metrics WHERE dataset_version = ? ORDER BY 1", [version]
    )
    if policies := [name for (name,) in found.fetchall()]:
        return f"No system of {version} was measured under the policy {policy!r}; give one of {', '.join(policies)}"
    return f"No system was measured on {version!r}; train one with `needledrop train`, or name another version"


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
