"""The report's films: those that the shown system ranks best and worst, with the first tracks of their rankings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import duckdb

from needledrop.report.report_queries import Row
from needledrop.report.result_tables import rank_number
from storage.lake.lake import Lake
from storage.tables.duckdb_connection import fetch_rows
from storage.takedown_list_and_erasure import taken_down_tracks
from training.evaluation.embeddings import TRACKS_FILE, films_file, load_embeddings
from training.evaluation.ranking import top_tracks

FILMS_SHOWN = 10
TRACKS_SHOWN = 5


@dataclass(frozen=True)
class Film:
    """A test film with the ranks of its own tracks and the first tracks of its ranking."""

    title: str
    year: int | None
    url: str | None
    tracks: int
    best_rank: float
    median_rank: float
    suggestions: tuple[Row, ...]
    """rank, title, artist, of_film, own."""


@dataclass(frozen=True)
class BestAndWorst:
    """The films with the best median rank, best first, and those with the worst, worst first."""

    best: tuple[Film, ...]
    worst: tuple[Film, ...]


def best_and_worst_films(connection: duckdb.DuckDBPyConnection, lake: Lake, run: Row, policy: str) -> BestAndWorst:
    """Return the films whose own tracks a run ranks best and worst, by their median rank."""
    films = fetch_rows(
        connection,
        "SELECT film_id, coalesce(title, film_id) AS title, year, url, tracks, best_rank, medr FROM film_metrics "
        "LEFT JOIN (SELECT * FROM dataset_films WHERE dataset_version = ?) USING (film_id) "
        "WHERE run_id = ? AND policy = ? ORDER BY medr, best_rank, film_id",
        run["dataset_version"],
        run["run_id"],
        policy,
    )
    count = min(FILMS_SHOWN, len(films) // 2)
    best, worst = films[:count], films[::-1][:count]
    suggestions = _suggestions(connection, lake, run, policy, [film["film_id"] for film in (*best, *worst)])

    def described(film: Row) -> Film:
        ranks = film["tracks"], film["best_rank"], film["medr"]
        return Film(film["title"], film["year"], film["url"], *ranks, suggestions.get(film["film_id"], ()))

    return BestAndWorst(tuple(described(film) for film in best), tuple(described(film) for film in worst))


def _suggestions(
    connection: duckdb.DuckDBPyConnection, lake: Lake, run: Row, policy: str, film_ids: Sequence[str]
) -> dict[str, tuple[Row, ...]]:
    """Return the first tracks for each film by the run's saved embeddings, without those that were taken down.

    None for what a model reached from fewer parts than it has, whose queries are not saved.
    """
    folder = run["model_folder"] or ""
    files = [f"{folder}/{name}" for name in (films_file(policy), TRACKS_FILE)]
    if folder.rpartition("/")[2] != run["run_id"] or not all(lake.exists(file) for file in files):
        return {}
    films, tracks = (load_embeddings(lake, file) for file in files)
    allowed = tracks.without(taken_down_tracks(lake, run["dataset_version"]))
    top = top_tracks(films.of(film_ids), allowed, TRACKS_SHOWN)
    tracks_of_version = connection.execute(
        "SELECT track_id, t.title, artist, t.film_id, f.title FROM dataset_tracks t LEFT JOIN dataset_films f "
        "USING (dataset_version, film_id) WHERE dataset_version = ?",
        [run["dataset_version"]],
    ).fetchall()
    owners = {(track_id, film_id) for track_id, _, _, film_id, _ in tracks_of_version}
    names = {
        track_id: {"title": title or track_id, "artist": artist, "of_film": film}
        for track_id, title, artist, _, film in tracks_of_version
    }
    unknown = {"artist": None, "of_film": None}
    return {
        film_id: tuple(
            names.get(track_id, {"title": track_id, **unknown}) | {"rank": rank, "own": (track_id, film_id) in owners}
            for rank, (track_id, _) in enumerate(best, 1)
        )
        for film_id, best in top.items()
    }


def films_section(films: BestAndWorst) -> str:
    """Write the films with the best and the worst median rank of their own tracks."""
    if not films.best:
        return ""
    intro = (
        "<p>Films by the median rank of their own tracks, with the first tracks of their ranking. "
        '<span class="tick" aria-hidden="true">✓</span> marks a track of the film itself.</p>'
    )
    return intro + _list("Best", films.best) + _list("Worst", films.worst)


def _list(title: str, films: tuple[Film, ...]) -> str:
    return f'<h3>{title}</h3><ul class="films">{"".join(_film(film) for film in films)}</ul>'


def _film(film: Film) -> str:
    title = escape(film.title)
    if film.url and film.url.startswith(("https://", "http://")):
        title = f'<a href="{escape(film.url, quote=True)}" rel="noreferrer">{title}</a>'
    year = f" ({film.year})" if film.year else ""
    tracks = "1 track" if film.tracks == 1 else f"{film.tracks} tracks"
    ranks = f"{tracks}, median rank {rank_number(film.median_rank)}, best {rank_number(film.best_rank)}"
    suggestions = "".join(_suggestion(track) for track in film.suggestions)
    return f'<li><h4>{title}{year}</h4><div class="soft">{ranks}</div>' + (
        f"<ol>{suggestions}</ol></li>" if suggestions else "</li>"
    )


def _suggestion(track: Row) -> str:
    artist = f" – {escape(track['artist'])}" if track["artist"] else ""
    if track["own"]:
        tick = '<span class="tick" title="of this film">✓</span>'
        return f'<li class="own">{escape(track["title"])}{artist}&nbsp;{tick}</li>'
    film = f' <span class="soft">from {escape(track["of_film"])}</span>' if track["of_film"] else ""
    return f"<li>{escape(track['title'])}{artist}{film}</li>"
