"""Bootstrap intervals over films, paired differences and Holm's adjustment against known values."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.evaluation.intervals_and_comparisons import FilmResults, differences, holm, intervals, weighted_medians


def results(ranks_by_film: Mapping[str, Sequence[float]]) -> FilmResults:
    """One metric (recall at 10) and the median rank, from lists of ranks."""
    films = tuple(sorted(ranks_by_film))
    ranks = [np.asarray(ranks_by_film[f], float) for f in films]
    return FilmResults(
        films=films,
        ratios=("r_at_10",),
        numerators=np.array([[100.0 * (r <= 10).sum()] for r in ranks]),
        denominators=np.array([[float(len(r))] for r in ranks]),
        rank=np.concatenate(ranks),
        film=np.repeat(np.arange(len(films)), [len(r) for r in ranks]),
    )


def random_results(seed: int, films: int = 100, best: float = 1.0) -> FilmResults:
    random = np.random.default_rng(seed)
    sizes = np.random.default_rng(0).integers(1, 12, films)
    return results({f"f{i:03}": random.integers(1, 1000, n) * best for i, n in enumerate(sizes)})


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 3)), min_size=1, max_size=12))
@settings(deadline=None)  # the first example compiles the kernel
def test_weighted_medians_equal_numpys_on_the_repeated_ranks(pairs: list[tuple[int, int]]) -> None:
    rank, weight = np.array([r for r, _ in pairs], float), np.array([w for _, w in pairs], float)
    if weight.sum() == 0:
        weight[0] = 1
    order = np.argsort(rank)
    medians = weighted_medians(rank[order], order, weight[None])
    assert medians[0] == np.median(np.repeat(rank, weight.astype(int)))


def test_the_value_is_the_metric_and_within_its_interval() -> None:
    found = intervals(results({"a": [1, 20], "b": [3], "c": [50, 60, 70]}))
    assert found["r_at_10"].value == pytest.approx(100 * 2 / 6) and found["medr"].value == 35
    assert all(i.low <= i.value <= i.high for i in found.values())


def test_films_with_one_track_have_the_interval_of_a_mean() -> None:
    hit = np.random.default_rng(3).random(400) < 0.3
    found = intervals(results({f"f{i:03}": [1.0 if h else 99.0] for i, h in enumerate(hit)}))["r_at_10"]
    expected = 1.96 * 100 * hit.std() / np.sqrt(400)
    assert (found.high - found.low) / 2 == pytest.approx(expected, rel=0.08)


def test_correlated_tracks_widen_the_interval() -> None:
    random = np.random.default_rng(5)
    correlated = {f"f{i:03}": [1.0 if random.random() < 0.3 else 99.0] * 9 for i in range(100)}
    independent = {f"f{i:03}": np.where(random.random(9) < 0.3, 1.0, 99.0) for i in range(100)}
    wide, narrow = intervals(results(correlated))["r_at_10"], intervals(results(independent))["r_at_10"]
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_the_same_seed_gives_the_same_interval() -> None:
    assert intervals(random_results(1), 200, seed=4) == intervals(random_results(1), 200, seed=4)


def test_a_system_does_not_differ_from_itself() -> None:
    found = differences(random_results(1), random_results(1), 200)
    assert all((d.value, d.low, d.high, d.p) == (0, 0, 0, 1) for d in found.values())


def test_a_much_better_system_differs_and_an_equal_one_does_not() -> None:
    better = differences(random_results(1, best=0.3), random_results(2), 500)
    equal = differences(random_results(1), random_results(2), 500)
    assert better["medr"].value < 0 and better["medr"].high < 0 and better["medr"].p < 0.01
    assert equal["medr"].p > 0.05 and equal["r_at_10"].p > 0.05


def test_swapping_the_systems_negates_the_difference() -> None:
    forward, backward = (differences(random_results(a), random_results(b), 300) for a, b in ((1, 2), (2, 1)))
    assert forward["medr"].value == -backward["medr"].value and forward["medr"].p == pytest.approx(
        backward["medr"].p, abs=0.1
    )


def test_systems_on_different_films_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="same films"):
        differences(results({"a": [1]}), results({"b": [1]}))


def test_p_values_under_the_null_hypothesis_are_uniform() -> None:
    values = [differences(random_results(s, 40), random_results(s + 500, 40), 99)["medr"].p for s in range(80)]
    assert 0.35 < np.mean(values) < 0.65 and np.mean(np.array(values) <= 0.2) < 0.35


def test_holm_adjusts_as_computed_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
