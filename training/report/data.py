"""What the report shows, asked from DuckDB in one go and held as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from storage.errors import InputError
from storage.lake import Lake
from storage.metrics import connect_metrics, refresh_views
from storage.metrics_schema import RECALL_AT
from training.confidence import REFERENCE
from training.embeddings import FILMS_FILE, PARITY_POLICY, TRACKS_FILE, load_embeddings
from training.ranking import top_tracks

FILMS_SHOWN = 10
TRACKS_SHOWN = 5

Row = dict[str, Any]


@dataclass(frozen=True)
class System:
    """A trained system over its seeds: its row of the leaderboard, its ranks, its runs."""

    label: str
    row: Row
    parity: Row | None
    """Its row for tracks embedded from one segment, as the paper's were, where the others are from several."""
    intervals: dict[str, tuple[float, float]]
    rank: npt.NDArray[np.float64]
    """The pooled ranks of all seeds, ascending."""
    runs: tuple[Row, ...]
    epochs: dict[str, list[Row]]
    """By run."""


@dataclass(frozen=True)
class Film:
    """A test film as the shown system sees it."""

    title: str
    year: int | None
    url: str | None
    tracks: int
    best_rank: float
    median_rank: float
    suggestions: tuple[Row, ...]
    """The first tracks of its ranking: place, title, artist, of_film, own."""


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
    controls: tuple[Row, ...]
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
        board = _rows(
            connection, "SELECT * FROM leaderboard WHERE dataset_version IN (?, 'paper') AND "
            "(policy = ? OR policy IS NULL OR source = 'paper')", version, policy,
        )  # fmt: skip
        parity = _parity(connection, version, policy)
        by_source = {source: [r for r in board if r["source"] == source] for source in {r["source"] for r in board}}
        several = len({row["preset"] for row in by_source["trained"]}) > 1
        systems = tuple(
            _system(connection, row, parity.get((row["preset"], row["system"])), several)
            for row in by_source["trained"]
        )
        shown = next((s for s in systems if s.row["system"] == REFERENCE), systems[0])
        best, worst = _films(connection, lake, shown, version, policy)
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
            controls=tuple(by_source.get("control", ())),
            chance=by_source["chance"][0],
            ceiling=by_source["ceiling"][0],
            paper={row["system"]: row for row in by_source["paper"]},
            comparisons=tuple(
                _rows(
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
    rows = _rows(
        connection,
        "SELECT * FROM leaderboard WHERE dataset_version = ? AND source = 'trained' AND policy = ? AND policy <> ?",
        version,
        PARITY_POLICY,
        policy,
    )
    return {(row["preset"], row["system"]): row for row in rows}


def _system(connection: duckdb.DuckDBPyConnection, row: Row, parity: Row | None, several_presets: bool) -> System:
    key = [row["dataset_version"], row["policy"], row["preset"], row["system"]]
    runs = _rows(
        connection,
        "SELECT runs.* FROM latest_metrics AS latest JOIN runs USING (run_id) "
        "WHERE latest.dataset_version = ? AND policy = ? AND latest.preset = ? AND latest.system = ? "
        "ORDER BY runs.seed",
        *key,
    )
    ids = [run["run_id"] for run in runs]
    intervals = connection.execute(
        "SELECT metric, low, high FROM intervals "
        "WHERE dataset_version = ? AND policy = ? AND preset = ? AND system = ?",
        key,
    ).fetchall()
    ranks = connection.execute(
        "SELECT rank FROM ranked WHERE policy = ? AND run_id IN (SELECT unnest(?)) ORDER BY rank", [row["policy"], ids]
    ).fetchnumpy()
    epochs = _rows(connection, "SELECT * FROM epochs WHERE run_id IN (SELECT unnest(?)) ORDER BY run_id, epoch", ids)
    return System(
        label=f"{row['system']} · {row['preset']}" if several_presets else row["system"],
        row=row,
        parity=parity,
        intervals={metric: (low, high) for metric, low, high in intervals},
        rank=ranks["rank"].astype(np.float64),
        runs=tuple(runs),
        epochs={run_id: [epoch for epoch in epochs if epoch["run_id"] == run_id] for run_id in ids},
    )


def _slices(connection: duckdb.DuckDBPyConnection, shown: System, policy: str) -> list[Row]:
    """Over all seeds of the shown system; the largest slices of each kind first."""
    recalls = ", ".join(f"round(avg(r_at_{k}), 9) AS r_at_{k}" for k in RECALL_AT)
    return _rows(
        connection,
        f"SELECT slice_by, slice, any_value(films) AS films, any_value(tracks) AS tracks, {recalls}, "
        "round(avg(medr), 9) AS medr FROM slices WHERE policy = ? AND run_id IN (SELECT unnest(?)) "
        "GROUP BY slice_by, slice ORDER BY slice_by, films DESC, slice",
        policy,
        [run["run_id"] for run in shown.runs],
    )


def _films(
    connection: duckdb.DuckDBPyConnection, lake: Lake, shown: System, version: str, policy: str
) -> tuple[tuple[Film, ...], tuple[Film, ...]]:
    """The films whose own tracks the shown system's first seed ranks best and worst, by their median rank."""
    run = shown.runs[0]
    films = _rows(
        connection,
        "SELECT film_id, coalesce(title, film_id) AS title, year, url, tracks, best_rank, medr FROM film_metrics "
        "LEFT JOIN (SELECT * FROM dataset_films WHERE dataset_version = ?) USING (film_id) "
        "WHERE run_id = ? AND policy = ? ORDER BY medr, best_rank, film_id",
        version,
        run["run_id"],
        policy,
    )
    count = min(FILMS_SHOWN, len(films) // 2)
    chosen = films[:count] + films[len(films) - count :]
    suggested = _suggestions(connection, lake, run, version, [film["film_id"] for film in chosen])
    shown_films = [
        Film(
            film["title"],
            film["year"],
            film["url"],
            film["tracks"],
            film["best_rank"],
            film["medr"],
            suggested.get(film["film_id"], ()),
        )
        for film in chosen
    ]
    return tuple(shown_films[:count]), tuple(reversed(shown_films[count:]))


def _suggestions(
    connection: duckdb.DuckDBPyConnection, lake: Lake, run: Row, version: str, film_ids: Sequence[str]
) -> dict[str, tuple[Row, ...]]:
    """The first tracks for each film from the run's saved embeddings; none when they are not kept."""
    folder = run["model_folder"]
    files = [f"{folder}/{name}" for name in (FILMS_FILE, TRACKS_FILE)]
    if not folder or not all(lake.exists(file) for file in files):
        return {}
    films, tracks = (load_embeddings(lake, file) for file in files)
    top = top_tracks(films.of(film_ids), tracks, TRACKS_SHOWN)
    listed = connection.execute(
        "SELECT track_id, t.title, artist, t.film_id, f.title FROM dataset_tracks t LEFT JOIN dataset_films f "
        "USING (dataset_version, film_id) WHERE dataset_version = ?",
        [version],
    ).fetchall()
    owners = {(track_id, film_id) for track_id, _, _, film_id, _ in listed}
    names = {
        track_id: {"title": title or track_id, "artist": artist, "of_film": film}
        for track_id, title, artist, _, film in listed
    }
    unknown = {"artist": None, "of_film": None}
    return {
        film_id: tuple(
            names.get(track_id, {"title": track_id, **unknown}) | {"place": place, "own": (track_id, film_id) in owners}
            for place, (track_id, _) in enumerate(best, 1)
        )
        for film_id, best in top.items()
    }


def _rows(connection: duckdb.DuckDBPyConnection, query: str, *values: Any) -> list[Row]:
    cursor = connection.execute(query, list(values))
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
