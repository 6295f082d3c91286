"""What the report shows, asked from DuckDB in one go and held as plain values."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt

from needledrop.report.film_data import Film, films_best_and_worst
from needledrop.report.rows import Row, rows
from storage.errors import InputError
from storage.lake.lake import Lake
from storage.metrics.records import connect_metrics, refresh_views
from storage.metrics.schema import RECALL_AT
from training.evaluation.confidence import REFERENCE
from training.evaluation.embedding_files import PARITY_POLICY

Intervals = dict[str, tuple[float, float]]
"""Metric -> both ends of its 95 % interval over films."""


@dataclass(frozen=True)
class System:
    """A trained system over its seeds: its row of the leaderboard, its ranks, its runs."""

    label: str
    row: Row
    parity: Row | None
    """Its row for tracks embedded from one segment, as the paper's were, where the others are from several."""
    intervals: Intervals
    rank: npt.NDArray[np.float64]
    """The pooled ranks of all seeds, ascending."""
    runs: tuple[Row, ...]
    epochs: dict[str, list[Row]]
    """By run."""


@dataclass(frozen=True)
class Control:
    """What a rule without any learning gives: its row of the leaderboard."""

    row: Row
    intervals: Intervals


@dataclass(frozen=True)
class Report:
    """Everything on the page."""

    version: str
    policy: str
    counts: dict[str, int]
    """Films by split."""
    films: int
    tracks: int
    systems: tuple[System, ...]
    controls: tuple[Control, ...]
    chance: Row
    ceiling: Row
    paper: dict[str, Row]
    comparisons: tuple[Row, ...]
    shown: System
    """The system that slices and films are shown for."""
    slices: tuple[Row, ...]
    best: tuple[Film, ...]
    worst: tuple[Film, ...]


def gather(lake: Lake, version: str | None) -> Report:
    """Collect the report of a version, by default the one measured last.

    Raises `InputError` when no finished run of it has been measured.
    """
    refresh_views(lake)
    with connect_metrics(lake) as connection:
        version, policy = _measured(connection, version)
        board = rows(
            connection, "SELECT * FROM leaderboard WHERE dataset_version IN (?, 'paper') AND "
            "(policy = ? OR policy IS NULL OR source = 'paper')", version, policy,
        )  # fmt: skip
        parity = _parity(connection, version, policy)
        intervals = _intervals(connection, version, policy)
        by_source = {source: [r for r in board if r["source"] == source] for source in {r["source"] for r in board}}
        several = len({row["preset"] for row in by_source["trained"]}) > 1
        systems = tuple(
            _system(connection, row, parity.get(_name(row)), intervals.get(_name(row), {}), several)
            for row in by_source["trained"]
        )
        shown = next((s for s in systems if s.row["system"] == REFERENCE), systems[0])
        best, worst = films_best_and_worst(connection, lake, shown.runs[0], policy)
        return Report(
            version=version,
            policy=policy,
            counts=dict(
                connection.execute(
                    "SELECT split, count(*) FROM dataset_films WHERE dataset_version = ? GROUP BY split", [version]
                ).fetchall()
            ),
            films=shown.row["films"],
            tracks=shown.row["candidates"],
            systems=systems,
            controls=tuple(Control(row, intervals.get(_name(row), {})) for row in by_source.get("control", ())),
            chance=by_source["chance"][0],
            ceiling=by_source["ceiling"][0],
            paper={row["system"]: row for row in by_source["paper"]},
            comparisons=tuple(
                rows(
                    connection,
                    "SELECT * FROM comparisons WHERE dataset_version = ? AND policy = ? AND metric IN "
                    "('r_at_10', 'medr', 'map') ORDER BY against_preset, preset, system, metric",
                    version,
                    policy,
                )
            ),
            shown=shown,
            slices=tuple(_slices(connection, shown, policy)),
            best=best,
            worst=worst,
        )


def _measured(connection: duckdb.DuckDBPyConnection, version: str | None) -> tuple[str, str]:
    """The version to show, and the number of segments that most of its runs were set to."""
    found = connection.execute(
        "SELECT dataset_version, policy FROM latest_metrics JOIN runs USING (run_id, dataset_version) "
        "JOIN run_policies USING (run_id, policy) WHERE dataset_version = coalesce(?, dataset_version) ORDER BY "
        "max(finished_at) OVER (PARTITION BY dataset_version) DESC NULLS LAST, dataset_version, "
        "count(*) OVER (PARTITION BY dataset_version, policy) DESC, length(policy) DESC, policy DESC LIMIT 1",
        [version],
    ).fetchone()
    if found is None:
        name = f"of {version} " if version else ""
        raise InputError(f"No run {name}has been measured in this lake; run `needledrop train` first")
    return found[0], found[1]


def _parity(connection: duckdb.DuckDBPyConnection, version: str, policy: str) -> dict[tuple[str, str], Row]:
    """The leaderboard's rows of one segment a track by preset and system, if others are shown."""
    found = rows(
        connection,
        "SELECT * FROM leaderboard WHERE dataset_version = ? AND source = 'trained' AND policy = ? AND policy <> ?",
        version,
        PARITY_POLICY,
        policy,
    )
    return {_name(row): row for row in found}


def _name(row: Row) -> tuple[str, str]:
    return row["preset"], row["system"]


def _intervals(connection: duckdb.DuckDBPyConnection, version: str, policy: str) -> dict[tuple[str, str], Intervals]:
    """By preset and system."""
    found: dict[tuple[str, str], Intervals] = {}
    for row in rows(connection, "SELECT * FROM intervals WHERE dataset_version = ? AND policy = ?", version, policy):
        found.setdefault(_name(row), {})[row["metric"]] = (row["low"], row["high"])
    return found


def _system(
    connection: duckdb.DuckDBPyConnection, row: Row, parity: Row | None, intervals: Intervals, several_presets: bool
) -> System:
    key = [row["dataset_version"], row["policy"], row["preset"], row["system"]]
    runs = rows(
        connection,
        "SELECT runs.* FROM latest_metrics AS latest JOIN runs USING (run_id) "
        "WHERE latest.dataset_version = ? AND policy = ? AND latest.preset = ? AND latest.system = ? "
        "ORDER BY runs.seed",
        *key,
    )
    ids = [run["run_id"] for run in runs]
    ranks = connection.execute(
        "SELECT rank FROM ranked WHERE policy = ? AND run_id IN (SELECT unnest(?)) ORDER BY rank", [row["policy"], ids]
    ).fetchnumpy()
    epochs = rows(connection, "SELECT * FROM epochs WHERE run_id IN (SELECT unnest(?)) ORDER BY run_id, epoch", ids)
    return System(
        label=f"{row['system']} · {row['preset']}" if several_presets else row["system"],
        row=row,
        parity=parity,
        intervals=intervals,
        rank=ranks["rank"].astype(np.float64),
        runs=tuple(runs),
        epochs={run_id: [epoch for epoch in epochs if epoch["run_id"] == run_id] for run_id in ids},
    )


def _slices(connection: duckdb.DuckDBPyConnection, shown: System, policy: str) -> list[Row]:
    """Over all seeds of the shown system; the largest slices of each kind first."""
    recalls = ", ".join(f"round(avg(r_at_{k}), 9) AS r_at_{k}" for k in RECALL_AT)
    return rows(
        connection,
        f"SELECT slice_by, slice, any_value(films) AS films, any_value(tracks) AS tracks, {recalls}, "
        "round(avg(medr), 9) AS medr FROM slices WHERE policy = ? AND run_id IN (SELECT unnest(?)) "
        "GROUP BY slice_by, slice ORDER BY slice_by, films DESC, slice",
        policy,
        [run["run_id"] for run in shown.runs],
    )
