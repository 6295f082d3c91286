"""Make one version of the data set from the current lake; the same lake gives the same bytes.

All of it is SQL over Parquet in one DuckDB connection with bounded memory, not loops over rows; docs/benchmarks.md has
the time and memory at the paper's size and at twenty times it.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import duckdb

from storage.datasets import versions as datasets
from storage.lake.lake import Lake
from storage.mels.settings_and_shard_format import MelSettings
from storage.records.review_answers_and_agreement import read_precision
from storage.tables import duckdb_connection
from tasks.curation.candidate_snapshot import Snapshot, load_candidates, take_snapshot
from tasks.curation.dataset_card import CARD, commit_card_file, restate_reviews, write_card
from tasks.curation.exclusions_and_splits import (
    CurationSettings,
    select_films_and_tracks,
)
from tasks.curation.manifest import summarise, version_content

FILMS_PER_SORT = 20_000
"""About 300 MB of plots and images: more would not fit in memory together with the joins."""


@dataclass(frozen=True)
class Curation:
    """The result of a curation: the version, whether it is new, and the version that was current before."""

    version: str
    is_new: bool
    previous: str | None
    manifest: dict[str, Any]


def curate(lake: Lake, settings: CurationSettings, run_id: str, *, charts: bool = True) -> Curation:
    """Write the version that these settings give for the lake, unless it exists; make it the current one.

    Without `charts` its card has tables only.
    Raises `NoVersionError` if a split would be empty, and `LakeError` while another process writes the same version.
    """
    duckdb_connection.sweep_spills()
    datasets.sweep_unfinished(lake)
    with duckdb_connection.connect_alone(lake) as connection:
        snapshot = take_snapshot(lake)
        load_candidates(connection, snapshot)
        select_films_and_tracks(connection, snapshot, settings)
        content = version_content(connection, settings)
        version = datasets.name_of(content)
        is_new = not datasets.exists(lake, version)
        if is_new:
            with datasets.exclusive_access(lake, version):
                _write(lake, version, connection, snapshot, settings, charts=charts)
    if not is_new:
        restate_reviews(lake, version)
    previous = datasets.make_current(lake, version, run_id)
    return Curation(version, is_new, previous, datasets.read_manifest(lake, version))


def _write(
    lake: Lake,
    version: str,
    connection: duckdb.DuckDBPyConnection,
    snapshot: Snapshot,
    settings: CurationSettings,
    *,
    charts: bool,
) -> None:
    queries = {
        datasets.SEGMENTS_FILE: f"""
            SELECT film_id, track_id, split, shard, first_row + segment AS row, segment,
                   segment * {MelSettings().segment_seconds} AS start_seconds
            FROM (SELECT *, unnest(range(segments)) AS segment FROM split_tracks)""",
        datasets.TRACKS_FILE: "SELECT * FROM split_tracks",
        datasets.EXCLUSIONS_FILE: "SELECT * FROM exclusions",
    }
    relations = {file: [connection.sql(f"{query} ORDER BY {file.order}")] for file, query in queries.items()}
    relations[datasets.FILMS_FILE] = _films(connection, snapshot)
    files = {file.name: datasets.write_file(lake, version, file, *relations[file]) for file in datasets.FILES}
    manifest = {
        "version": version,
        "format": datasets.FORMAT,
        "code_version": installed_version("needledrop"),
        "parameters": settings.as_parameters(),
        "files": files,
        **summarise(connection, settings),
        "reviews": read_precision(lake),
    }
    manifest["files"] |= _write_card(lake, version, connection, manifest, charts=charts)
    lake.write_json(manifest, datasets.FOLDER, version, datasets.MANIFEST)


def _films(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> list[duckdb.DuckDBPyRelation]:
    """Return the films with plots and images in order, as relations small enough to be sorted in memory."""
    ranges = connection.execute(
        "SELECT min(film_id), max(film_id) "
        "FROM (SELECT film_id, row_number() OVER (ORDER BY film_id) AS position FROM films) "
        f"GROUP BY (position - 1) // {FILMS_PER_SORT} ORDER BY 1"
    ).fetchall()
    query = """
        SELECT c.*, f.plot, t.jpeg AS thumbnail
        FROM (FROM split_films WHERE {within}) c
        JOIN (SELECT film_id, plot FROM {films} WHERE {within}) f USING (film_id)
        LEFT JOIN (SELECT film_id, jpeg FROM {thumbnails} WHERE {within}) t USING (film_id) ORDER BY film_id"""
    return [
        connection.sql(
            query.format(
                films=snapshot.films, thumbnails=snapshot.thumbnails, within=f"film_id BETWEEN '{first}' AND '{last}'"
            )
        )
        for first, last in ranges
    ]


def _write_card(
    lake: Lake, version: str, connection: duckdb.DuckDBPyConnection, manifest: dict[str, Any], *, charts: bool
) -> dict[str, Any]:
    """Commit the card and its charts; return bytes and sha256 of each, as for the other files."""
    with tempfile.TemporaryDirectory(prefix=f"{duckdb_connection.SPILL_PREFIX}{os.getpid()}-") as folder:
        drawn = {}
        if charts:
            from tasks.curation.card_charts import draw_charts  # loads Matplotlib: a second that few flow runs need

            drawn = draw_charts(connection, lake, Path(folder))
        contents = {f"plots/{name}": Path(folder, name).read_bytes() for name in drawn}
    contents[CARD] = write_card(connection, manifest, drawn).encode()
    return {name: commit_card_file(lake, version, name, content) for name, content in contents.items()}
