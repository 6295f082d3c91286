"""The numbers of the report, queried from DuckDB and returned as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from storage.errors import InputError
from storage.metrics.leaderboard_chance_and_paper_views import RECALL_AT
from storage.records.review_answers_and_agreement import NEWEST_RATED
from storage.tables.duckdb_connection import fetch_rows
from training.evaluation.embeddings import PARITY_POLICY
from training.evaluation.intervals_and_comparisons import REFERENCE

Row = dict[str, Any]
"""One row of a query, by column."""
Intervals = dict[str, tuple[float, float]]
"""Metric -> both ends of its 95 % interval over films."""
Key = tuple[str, str, str]
"""(preset, digest of the settings or "", system)."""
_LONGEST_SETTINGS = 48
"""Characters of settings that a name has; longer ones are named by their digest, and listed below the table."""


@dataclass(frozen=True)
class System:
    """A trained system over its seeds: its row of the leaderboard, its ranks, its runs."""

    label: str
    row: Row
    parity: Row | None
    """Its row for tracks embedded from one segment, as in the paper, where `row` is for several segments."""
    intervals: Intervals
    rank: npt.NDArray[np.float64]
    """The pooled ranks of all seeds, ascending."""
    runs: tuple[Row, ...]
    epochs: dict[str, list[Row]]
    """By run id."""


@dataclass(frozen=True)
class Baseline:
    """A baseline without a trained model: its row of the leaderboard."""

    label: str
    row: Row
    intervals: Intervals


@dataclass(frozen=True)
class Report:
    """Everything on the page but its films."""

    version: str
    policy: str
    counts: dict[str, int]
    """Films by split."""
    joined: tuple[int, int] | None
    """Recordings that several tracks are, and those of them that touch the test split; None from older versions."""
    films: int
    tracks: int
    systems: tuple[System, ...]
    baselines: tuple[Baseline, ...]
    chance: Row
    ceiling: Row
    paper: dict[str, Row]
    comparisons: tuple[Row, ...]
    shown: System
    """The system of the slices and films."""
    settings: dict[str, str]
    """What the settings of those digests are that names have in their place."""
    slices: tuple[Row, ...]
    precision: tuple[Row, ...]
    """The rows of `review_precision` for the newest rated sample of what was collected; none if nobody rated one."""
    agreement: tuple[Row, ...]
    """The rows of `review_agreement`."""


def query_report(connection: duckdb.DuckDBPyConnection, version: str | None) -> Report:
    """Query the report of a version, by default the one evaluated last.

    Raises `InputError` when no finished run of it has been evaluated.
    """
    version, policy = _version_and_policy(connection, version)
    by_source = _leaderboard(connection, version, policy)
    intervals = _intervals(connection, version, policy)
    measured = [*by_source["trained"], *by_source.get("control", ())]
    names = _names(measured)
    parity = _parity(connection, version, policy)
    systems = tuple(
        _system(connection, row, names[_key(row)], parity.get(_key(row)), intervals.get(_key(row), {}))
        for row in by_source["trained"]
    )
    shown = next((system for system in systems if system.row["system"] == REFERENCE), systems[0])
    return Report(
        version=version,
        policy=policy,
        counts=_films_by_split(connection, version),
        joined=_joined_recordings(connection, version),
        films=shown.row["films"],
        tracks=shown.row["candidates"],
        systems=systems,
        baselines=tuple(
            Baseline(names[_key(row)], row, intervals.get(_key(row), {})) for row in by_source.get("control", ())
        ),
        chance=by_source["chance"][0],
        ceiling=by_source["ceiling"][0],
        paper={row["system"]: row for row in by_source["paper"]},
        comparisons=_comparisons(connection, version, policy, names),
        shown=shown,
        settings={
            row["settings_digest"]: row["settings"]
            for row in measured
            if _is_named_by_digest(row) and names[_key(row)].endswith(row["settings_digest"])
        },
        slices=tuple(_slices(connection, shown, policy)),
        precision=tuple(fetch_rows(connection, NEWEST_RATED.format(precision="review_precision"))),
        agreement=tuple(fetch_rows(connection, "FROM review_agreement")),
    )


def _leaderboard(connection: duckdb.DuckDBPyConnection, version: str, policy: str) -> dict[str, list[Row]]:
    """Return the rows of the leaderboard by source."""
    by_source: dict[str, list[Row]] = {}
    for row in fetch_rows(
        connection,
        "SELECT * FROM leaderboard WHERE dataset_version IN (?, 'paper') AND "
        "(policy = ? OR policy IS NULL OR source = 'paper')",
        version,
        policy,
    ):
        by_source.setdefault(row["source"], []).append(row)
    return by_source


def _joined_recordings(connection: duckdb.DuckDBPyConnection, version: str) -> tuple[int, int] | None:
    query = "SELECT recordings_joined, joined_in_test FROM versions WHERE version = ? AND recordings_joined IS NOT NULL"
    row = connection.execute(query, [version]).fetchone()
    return (int(row[0]), int(row[1])) if row else None


def _films_by_split(connection: duckdb.DuckDBPyConnection, version: str) -> dict[str, int]:
    query = "SELECT split, count(*) FROM dataset_films WHERE dataset_version = ? GROUP BY split"
    return dict(connection.execute(query, [version]).fetchall())


def _comparisons(
    connection: duckdb.DuckDBPyConnection, version: str, policy: str, names: dict[Key, str]
) -> tuple[Row, ...]:
    """Return the comparisons of three metrics; `name` and `against_name` say which settings are meant."""
    rows = fetch_rows(
        connection,
        "SELECT * FROM comparisons WHERE dataset_version = ? AND policy = ? AND metric IN ('r_at_10', 'medr', 'map') "
        "ORDER BY against_preset, against_settings_digest, preset, settings_digest, system, metric",
        version,
        policy,
    )
    return tuple(
        row
        | {
            "name": names.get(_key(row), row["system"]),
            "against_name": names.get(
                (row["against_preset"], row["against_settings_digest"] or "", row["against"]), row["against"]
            ),
        }
        for row in rows
    )


def _version_and_policy(connection: duckdb.DuckDBPyConnection, version: str | None) -> tuple[str, str]:
    """Return the version to show, and the policy (number of segments) of most of its runs."""
    row = connection.execute(
        "SELECT dataset_version, policy FROM latest_metrics JOIN runs USING (run_id, dataset_version) "
        "JOIN run_policies USING (run_id, policy) WHERE dataset_version = coalesce(?, dataset_version) ORDER BY "
        "max(finished_at) OVER (PARTITION BY dataset_version) DESC NULLS LAST, dataset_version, "
        "count(*) OVER (PARTITION BY dataset_version, policy) DESC, length(policy) DESC, policy DESC LIMIT 1",
        [version],
    ).fetchone()
    if row is None:
        name = f"of {version} " if version else ""
        raise InputError(f"No run {name}has been evaluated in this lake; run `needledrop train` first")
    return row[0], row[1]


def _parity(connection: duckdb.DuckDBPyConnection, version: str, policy: str) -> dict[Key, Row]:
    """Return the leaderboard's rows of one segment per track, unless `policy` is that."""
    rows = fetch_rows(
        connection,
        "SELECT * FROM leaderboard WHERE dataset_version = ? AND source = 'trained' AND policy = ? AND policy <> ?",
        version,
        PARITY_POLICY,
        policy,
    )
    return {_key(row): row for row in rows}


def _key(row: Row) -> Key:
    return row["preset"], row["settings_digest"] or "", row["system"]


def _intervals(connection: duckdb.DuckDBPyConnection, version: str, policy: str) -> dict[Key, Intervals]:
    query, intervals = "SELECT * FROM intervals WHERE dataset_version = ? AND policy = ?", dict[Key, Intervals]()
    for row in fetch_rows(connection, query, version, policy):
        intervals.setdefault(_key(row), {})[row["metric"]] = (row["low"], row["high"])
    return intervals


def _names(rows: list[Row]) -> dict[Key, str]:
    """Return what each row is called: its system, with its settings and their digest where the page has several."""
    known = {(row["settings"], row["settings_digest"]) for row in rows if row["settings_digest"]}
    labels = [label for label, _ in known]

    def name(row: Row) -> str:
        if len(known) < 2 or not row["settings_digest"]:
            return str(row["system"])
        if _is_named_by_digest(row):
            return f"{row['system']} · {row['preset']} · {row['settings_digest']}"
        unique = labels.count(row["settings"]) == 1
        return f"{row['system']} · {row['settings']}{'' if unique else ' · ' + row['settings_digest']}"

    return {_key(row): name(row) for row in rows}


def _is_named_by_digest(row: Row) -> bool:
    return bool(row["settings_digest"]) and len(row["settings"] or "") > _LONGEST_SETTINGS


def _system(
    connection: duckdb.DuckDBPyConnection, row: Row, label: str, parity: Row | None, intervals: Intervals
) -> System:
    key = [row["dataset_version"], row["policy"], *_key(row)]
    runs = fetch_rows(
        connection,
        "SELECT runs.* FROM latest_metrics AS latest JOIN runs USING (run_id) "
        "WHERE latest.dataset_version = ? AND policy = ? AND latest.preset = ? AND latest.settings_digest = ? "
        "AND latest.system = ? "
        "ORDER BY runs.seed",
        *key,
    )
    ids = [run["run_id"] for run in runs]
    ranks = connection.execute(
        "SELECT rank FROM ranked WHERE policy = ? AND run_id IN (SELECT unnest(?)) ORDER BY rank", [row["policy"], ids]
    ).fetchnumpy()
    epochs = fetch_rows(
        connection, "SELECT * FROM epochs WHERE run_id IN (SELECT unnest(?)) ORDER BY run_id, epoch", ids
    )
    return System(
        label=label,
        row=row,
        parity=parity,
        intervals=intervals,
        rank=ranks["rank"].astype(np.float64),
        runs=tuple(runs),
        epochs={run_id: [epoch for epoch in epochs if epoch["run_id"] == run_id] for run_id in ids},
    )


def _slices(connection: duckdb.DuckDBPyConnection, shown: System, policy: str) -> list[Row]:
    """Return metrics by kind of film, over all seeds of the shown system; the largest slices of each kind first."""
    recalls = ", ".join(f"round(avg(r_at_{k}), 9) AS r_at_{k}" for k in RECALL_AT)
    return fetch_rows(
        connection,
        f"SELECT slice_by, slice, any_value(films) AS films, any_value(tracks) AS tracks, {recalls}, "
        "round(avg(medr), 9) AS medr FROM slices WHERE policy = ? AND run_id IN (SELECT unnest(?)) "
        "GROUP BY slice_by, slice ORDER BY slice_by, films DESC, slice",
        policy,
        [run["run_id"] for run in shown.runs],
    )
