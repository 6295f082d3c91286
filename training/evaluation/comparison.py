"""Compare any two systems of a version, which a user names.

A name is SYSTEM, SYSTEM@PRESET, SYSTEM@DIGEST or SYSTEM@SETTINGS, where that is enough to find one system.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Any

from storage.errors import InputError
from storage.lake.lake import Lake
from storage.metrics.database import connect_metrics
from storage.tables.duckdb_connection import fetch_rows
from training.evaluation.bootstrap import DRAWS, Difference, differences, intervals
from training.evaluation.confidence import KEY_COLUMNS, results_by_film
from training.evaluation.embedding_files import BEST

SHOWN_OF_SETTINGS = 60
"""Characters of a system's settings in a list of those that can be named; their digest is complete."""


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
        found = [_found(rows, name, dataset_version) for name in (one, other)]
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
    return Comparison(shared[-1], _name(first), _name(second), figures)


def _found(rows: list[dict[str, Any]], name: str, version: str) -> dict[str, dict[str, Any]]:
    """Return policy -> row of the one system that is meant. Raises `InputError` if it is none or several."""
    system, _, which = name.partition("@")
    meant = [
        row
        for row in rows
        if row["system"] == system and which in ("", row["preset"], row["settings"], row["settings_digest"])
    ]
    exact = [row for row in meant if row["settings"] == which]
    meant = exact if len({row["settings_digest"] for row in exact}) == 1 else meant
    if len({(row["preset"], row["settings_digest"]) for row in meant}) == 1:
        return {row["policy"]: row for row in meant}
    choices = sorted({_name(row, SHOWN_OF_SETTINGS) for row in meant or rows})
    problem = "is several systems" if meant else "is not a measured system"
    raise InputError(f"{name} {problem} of {version}; give one of {'; '.join(choices)}, by its name or its digest")


def _name(row: dict[str, Any], longest: int | None = None) -> str:
    """Return a system's name with its settings and their digest, as in All@1f3c9a2b (paper, text=ModernBERT-base)."""
    if not row["settings_digest"]:
        return str(row["system"])
    settings = row["settings"] or row["preset"]
    shown = settings if longest is None else textwrap.shorten(settings, longest, placeholder=" …")
    return f"{row['system']}@{row['settings_digest']} ({shown})"
