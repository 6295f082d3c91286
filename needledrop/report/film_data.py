"""The test films that the shown system does best and worst on, with the first tracks it suggests for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from needledrop.report.rows import Row, rows
from storage.lake.lake import Lake
from training.evaluation.embedding_files import FILMS_FILE, TRACKS_FILE, load_embeddings
from training.evaluation.ranking import top_tracks

FILMS_SHOWN = 10
TRACKS_SHOWN = 5


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


def films_best_and_worst(
    connection: duckdb.DuckDBPyConnection, lake: Lake, run: Row, policy: str
) -> tuple[tuple[Film, ...], tuple[Film, ...]]:
    """The films whose own tracks a run ranks best and worst, by their median rank."""
    films = rows(
        connection,
        "SELECT film_id, coalesce(title, film_id) AS title, year, url, tracks, best_rank, medr FROM film_metrics "
        "LEFT JOIN (SELECT * FROM dataset_films WHERE dataset_version = ?) USING (film_id) "
        "WHERE run_id = ? AND policy = ? ORDER BY medr, best_rank, film_id",
        run["dataset_version"],
        run["run_id"],
        policy,
    )
    count = min(FILMS_SHOWN, len(films) // 2)
    chosen = films[:count] + films[len(films) - count :]
    suggested = _suggestions(connection, lake, run, [film["film_id"] for film in chosen])
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
    connection: duckdb.DuckDBPyConnection, lake: Lake, run: Row, film_ids: Sequence[str]
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
        [run["dataset_version"]],
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
