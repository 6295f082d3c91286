"""What a curation selects from a lake, and what its version holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from storage.lake.lake import Lake
from storage.tables import duckdb_connection
from tasks.curation.candidate_snapshot import load_candidates, take_snapshot
from tasks.curation.exclusions_and_splits import CurationSettings, select_films_and_tracks


@dataclass(frozen=True)
class Selection:
    """What curation selects from a lake before it writes a version: films by id, tracks as FILM/TRACK."""

    films: dict[str, dict[str, Any]]
    tracks: tuple[str, ...]
    exclusions: dict[tuple[str, str], tuple[str, str]]
    """(kind, item) -> (rule, value)."""


@pytest.fixture(scope="session")
def select() -> Callable[..., Selection]:
    """Return a function that selects films and tracks by rules, without writing a version."""

    def run(lake: Lake, **rules: Any) -> Selection:
        with duckdb_connection.connect_alone(lake) as connection:
            snapshot = take_snapshot(lake)
            load_candidates(connection, snapshot)
            select_films_and_tracks(connection, snapshot, CurationSettings(**rules))
            films = connection.sql("FROM split_films ORDER BY film_id").to_arrow_table().to_pylist()
            tracks = connection.sql("SELECT film_id || '/' || track_id FROM split_tracks ORDER BY ALL").fetchall()
            excluded = connection.sql("SELECT kind, item, rule, value FROM exclusions").fetchall()
        exclusions = {(kind, item): (rule, value) for kind, item, rule, value in excluded}
        assert len(exclusions) == len(excluded), "a film, track or tag is excluded once"
        return Selection({film["film_id"]: film for film in films}, tuple(track for (track,) in tracks), exclusions)

    return run


@pytest.fixture(scope="session")
def column() -> Callable[[Lake, str, str, str], list[Any]]:
    """Return a function that reads one SQL expression from a file of a version, in the file's order."""

    def read(lake: Lake, version: str, file: str, expression: str) -> list[Any]:
        with duckdb_connection.connect(lake) as connection:
            rows = connection.execute(f"SELECT {expression} FROM '{lake.root}/datasets/{version}/{file}.parquet'")
            return [value for (value,) in rows.fetchall()]

    return read
