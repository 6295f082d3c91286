"""SQL over the lake's Parquet: the newest rows, without pictures, empty before anything is collected."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from needledrop.cli.inspect.sql import ask
from storage.datasets import versions as datasets
from storage.lake.lake import Lake
from storage.libraries.library import add_folder
from storage.mels.reader import TrackMels
from storage.mels.settings_and_shard_format import MelSettings, shard_path
from storage.mels.writer import write_shard
from storage.metrics.database import connect_metrics, refresh_views
from storage.tables import tables
from storage.tables.schemas import FILMS, THUMBNAILS
from storage.tables.tables import append, open_tables
from storage.views.status import read_status


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_tables(str(tmp_path / "lake"))


def query(lake: Lake, sql: str) -> list[Any]:
    refresh_views(lake)
    with connect_metrics(lake) as connection:
        return connection.execute(sql).fetchall()


def test_a_new_lake_has_every_view_and_no_rows(lake: Lake) -> None:
    for view in (
        "films",
        "tracks",
        "outcomes",
        "dataset_films",
        "dataset_tracks",
        "segments",
        "exclusions",
        "mels",
        "library_files",
    ):
        assert query(lake, f"SELECT count(*) FROM {view}") == [(0,)]


def test_films_shows_the_newest_row_of_each(lake: Lake) -> None:
    append(lake, FILMS, [{"film_id": "w-1", "title": "Old"}, {"film_id": "w-2", "title": "Two"}], "r1")
    append(lake, FILMS, [{"film_id": "w-1", "title": "New"}], "r2")
    assert query(lake, "SELECT film_id, title FROM films ORDER BY 1") == [("w-1", "New"), ("w-2", "Two")]


def test_the_files_of_all_libraries_are_one_view(lake: Lake, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        library, folder = add_folder(lake, name, tmp_path / name)
        library.record(library.files, [{"folder": folder.id, "path": f"{name}.wav", "state": "present"}], "r1")
    assert query(lake, "SELECT library, path FROM library_files ORDER BY 1") == [("one", "one.wav"), ("two", "two.wav")]


def write_two_shards(lake) -> None:
    settings = MelSettings()
    track = TrackMels(np.zeros((2, *settings.shape), np.uint8), *np.zeros((5, 2), np.float32))
    track = replace(track, silent=np.zeros(2, bool))
    for film_id, year in (("w-1", 2020), ("w-2", 2021)):
        row = {"track_id": "m:1", "segments": 2, "first_row": 0, "shard": shard_path(film_id, year)}
        with write_shard(lake, film_id, year, settings) as writer:
            writer.append("m:1", track)
            writer.finish([row])


def test_mels_shows_the_segments_of_every_shard_and_their_rows(lake: Lake) -> None:
    write_two_shards(lake)
    Path(lake.root, "mels/year=2020/.tmp-page=w-3.parquet").write_bytes(b"half")
    rows = query(lake, "SELECT film_id, year, shard, row, segment FROM mels ORDER BY ALL")
    assert rows[:2] == [("w-1", 2020, shard_path("w-1", 2020), n, n) for n in (0, 1)]
    assert len(rows) == 4
    assert "mel" not in [row[0] for row in query(lake, "DESCRIBE mels")]


def test_thumbnails_are_left_out(lake: Lake) -> None:
    append(lake, THUMBNAILS, [{"film_id": "w-1", "width": 224, "jpeg": b"x"}], "r1")
    names = [row[0] for row in query(lake, "DESCRIBE thumbnails")]
    assert "width" in names and "jpeg" not in names


def test_each_version_carries_its_name(lake: Lake) -> None:
    for version in ("v2024a", "v2024b"):
        for file in datasets.FILES:
            row = {"film_id": "w-1", "title": "A film", "thumbnail": b"x"}
            rows = [row] if file is datasets.FILMS_FILE else []
            lake.write_table(pa.Table.from_pylist(rows, file.schema), f"datasets/{version}/{file.name}")
        lake.write_json({}, f"datasets/{version}/manifest.json")
    found = query(lake, "SELECT dataset_version, title FROM dataset_films ORDER BY 1")
    assert found == [("v2024a", "A film"), ("v2024b", "A film")]


def test_the_stored_views_read_the_lake_without_needledrop(lake: Lake) -> None:
    append(lake, FILMS, [{"film_id": "w-1"}], "r1")
    refresh_views(lake)
    with connect_metrics(lake) as connection:
        assert connection.execute("SELECT count(*) FROM duckdb_views() WHERE view_name = 'films'").fetchone() == (1,)


def test_a_damaged_shard_hides_no_other_view(lake: Lake) -> None:
    lake.write_bytes(b"mels", "mels/year=2020/page=enwiki-1.parquet")
    assert query(lake, "SELECT count(*) FROM films") == [(0,)]


@pytest.mark.parametrize("damaged", [shard_path("w-1", 2020), shard_path("w-2", 2021)], ids=["first", "last"])
@pytest.mark.parametrize("content", [b"mels", b"", b"PAR1" * 100], ids=["no parquet", "empty", "cut short"])
def test_mels_covers_the_intact_shards_and_names_the_damaged_ones(
    lake: Lake, capsys: pytest.CaptureFixture[str], damaged: str, content: bytes
) -> None:
    write_two_shards(lake)
    lake.write_bytes(content, damaged)
    [(_, rows)] = ask(lake, "SELECT DISTINCT shard FROM mels")
    assert {shard for (shard,) in rows} == {shard_path("w-1", 2020), shard_path("w-2", 2021)} - {damaged}
    assert damaged in "".join(capsys.readouterr().err.split())


def test_the_stored_view_of_mels_exists_although_the_first_shard_is_damaged(lake: Lake) -> None:
    write_two_shards(lake)
    lake.write_bytes(b"mels", shard_path("w-1", 2020))
    assert query(lake, "SELECT count(*), any_value(film_id) FROM mels") == [(2, "w-2")]
    assert read_status(lake).films == 0


def test_the_history_of_versions_is_a_view(two_versions: tuple[Lake, str, str]) -> None:
    lake, old, new = two_versions
    refresh_views(lake)
    with connect_metrics(lake) as connection:
        rows = connection.execute("SELECT version, previous, films_more FROM version_history").fetchall()
    assert rows == [(old, None, None), (new, old, 0)]
    assert tables.latest(lake, FILMS).num_rows == 13
