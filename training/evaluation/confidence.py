"""Confidence of what runs measured: intervals and differences recorded with a version.

The statistics are in `training.evaluation.bootstrap`. Results by film come from the views `film_metrics` and `ranked`,
of the latest run of each seed. Only runs of equal settings are seeds of one system: a system is known by its preset
and the digest of its settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from storage.lake.lake import Lake
from storage.metrics import records as metrics
from storage.metrics import run_files
from storage.metrics.database import connect_metrics, refresh_views
from storage.metrics.leaderboard_views import RECALL_AT
from storage.metrics.run_files import COMPARISONS_SCHEMA, INTERVALS_SCHEMA
from training.evaluation.baselines import PRESET
from training.evaluation.bootstrap import DRAWS, FilmResults, differences, holm, intervals

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
