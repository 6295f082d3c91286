"""Compare any two systems of a version, which a user names, on the same test films."""

from __future__ import annotations

from dataclasses import dataclass

from storage.errors import InputError
from storage.lake.lake import Lake
from storage.metrics.database import connect_metrics
from storage.tables.duckdb_connection import fetch_rows
from training.evaluation.bootstrap import DRAWS, Difference, differences, intervals
from training.evaluation.confidence import KEY_COLUMNS, results_by_film
from training.evaluation.embedding_files import BEST
from training.evaluation.system_names import named_system, shown_name


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
    none or several of the version's systems, and for systems that were ranked on different films.
    """
    with connect_metrics(lake) as connection:
        rows = fetch_rows(
            connection,
            f"SELECT {KEY_COLUMNS}, settings, list(run_id ORDER BY seed) AS runs FROM latest_metrics "
            "WHERE dataset_version = ? AND policy = coalesce(?, policy) GROUP BY ALL ORDER BY ALL",
            dataset_version,
            policy,
        )
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
