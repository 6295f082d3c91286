"""Intervals and paired differences for every system of a data-set version, from the ranks in DuckDB.

Nothing is measured anew: the results by film come from the views `film_metrics` and `ranked`, the latest run of
each seed, and what is written stands beside them in `intervals` and `comparisons`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from storage.lake.lake import Lake
from storage.metrics.records import connect_metrics, record_comparisons, record_intervals, refresh_views
from storage.metrics.schema import RECALL_AT
from training.evaluation.baselines import PRESET
from training.evaluation.resampling import DRAWS, FilmResults, differences, holm, intervals

REFERENCE = "All"
"""Every other system is compared with this one, as the paper's text does."""
_BY_FILM = (*(f"hit_at_{k}" for k in RECALL_AT), "mrr", "map", "ndcg")

System = tuple[str, str, str]
"""policy, preset, system."""


def record_confidence(lake: Lake, dataset_version: str, draws: int = DRAWS) -> None:
    """Write the intervals of every system of a version, and its difference from the system All of its preset.

    p-values are adjusted by Holm over all systems that are compared in one metric. Controls are compared too.
    """
    results = _results_of(lake, dataset_version)
    rows = [
        {"policy": policy, "preset": preset, "system": system, "metric": metric, "draws": draws} | vars(interval)
        for (policy, preset, system), result in results.items()
        for metric, interval in intervals(result, draws).items()
    ]
    record_intervals(lake, dataset_version, pa.Table.from_pylist(rows, _INTERVALS))
    compared = [row for key in results if key[2] == REFERENCE for row in _against(key, results, draws)]
    record_comparisons(
        lake, dataset_version, pa.Table.from_pylist(compared, _COMPARISONS).rename_columns({"value": "difference"})
    )


def lacks_confidence(lake: Lake, dataset_version: str) -> bool:
    """Whether a trained system has no interval, or one of other runs: a death before the comparison leaves it so."""
    query = """
        SELECT count(*) FROM leaderboard
        LEFT JOIN (FROM intervals WHERE metric = 'r_at_10') USING (dataset_version, policy, preset, system)
        WHERE dataset_version = ? AND source = 'trained' AND coalesce(abs(value - r_at_10) > 1e-6, true)
    """  # the leaderboard is rounded to nine places
    refresh_views(lake)
    with connect_metrics(lake) as connection:
        (lacking,) = connection.execute(query, [dataset_version]).fetchone() or (0,)
    return bool(lacking)


def _results_of(lake: Lake, dataset_version: str) -> dict[System, FilmResults]:
    with connect_metrics(lake) as connection:
        runs = connection.execute(
            "SELECT policy, preset, system, list(run_id ORDER BY seed) FROM latest_metrics WHERE dataset_version = ? "
            "GROUP BY ALL ORDER BY ALL",
            [dataset_version],
        ).fetchall()
        return {(policy, preset, system): _load(connection, policy, ids) for policy, preset, system, ids in runs}


def _load(connection: duckdb.DuckDBPyConnection, policy: str, run_ids: Sequence[str]) -> FilmResults:
    """The results of one system over its seeds, films in the order of their ids."""
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
    """The rows of every other system that was measured on the same films, with Holm's p over all of them."""
    policy, preset, reference = key
    others = [
        other
        for other in results
        if other[0] == policy
        and other[1] in (preset, PRESET)
        and other[2] != reference
        and results[other].films == results[key].films
    ]
    found = [differences(results[other], results[key], draws) for other in others]
    rows: list[dict[str, Any]] = []
    for metric in results[key].metrics if others else ():
        adjusted = holm([difference[metric].p for difference in found])
        for (_, other_preset, system), difference, p_holm in zip(others, found, adjusted, strict=True):
            names = {"policy": policy, "preset": other_preset, "system": system, "metric": metric}
            against = {"against_preset": preset, "against": reference, "draws": draws, "p_holm": p_holm}
            rows.append(names | against | vars(difference[metric]))
    return rows


_KEY = [("policy", pa.string()), ("preset", pa.string()), ("system", pa.string())]
_BOUNDS = [("low", pa.float64()), ("high", pa.float64()), ("draws", pa.int32())]
_INTERVALS = pa.schema([*_KEY, ("metric", pa.string()), ("value", pa.float64()), *_BOUNDS])
_COMPARISONS = pa.schema(
    [
        *_KEY,
        ("against_preset", pa.string()),
        ("against", pa.string()),
        ("metric", pa.string()),
        ("value", pa.float64()),
        *_BOUNDS,
        ("p", pa.float64()),
        ("p_holm", pa.float64()),
    ]
)
