"""A library names its folders, each machine says where it has them, and the newest embedding of a track counts."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from storage.errors import InputError, LakeError
from storage.lake.lake import Lake
from storage.libraries.library import add_folder, files_table, library_names, open_library, remove_library
from storage.libraries.library_embeddings import (
    TrackEmbedding,
    append_embeddings,
    embedded_tracks,
    embedding_runs,
    load_library_embeddings,
)
from storage.tables.duckdb_connection import connect
from storage.tables.schemas import Table
from storage.tables.tables import append, empty_part_path, latest, open_tables
from storage.views.lake_views import define_lake_views


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_tables(str(tmp_path / "lake"))


@pytest.fixture
def music(tmp_path: Path) -> Path:
    (tmp_path / "Music").mkdir()
    return tmp_path / "Music"


def vectors(*rows: float) -> TrackEmbedding:
    return TrackEmbedding(np.array([[row, 1] for row in rows], np.float32), np.ones(len(rows), np.float32))


@pytest.mark.parametrize("name", ["", "..", "a/b", "a b", ".hidden", "x" * 65])
def test_a_name_that_could_leave_the_lake_is_refused(lake: Lake, music: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot be a library's name"):
        add_folder(lake, name, music)


def test_adding_a_folder_again_adds_nothing(lake: Lake, music: Path) -> None:
    add_folder(lake, "mine", music)
    library, folder = add_folder(lake, "mine", music)
    assert (len(library.folders), library.mounted(folder.id)) == (1, music)
    assert library_names(lake) == ["mine"]


def test_a_folder_is_known_however_its_path_is_typed(lake: Lake, music: Path) -> None:
    add_folder(lake, "mine", music)
    library, _ = add_folder(lake, "mine", music / ".." / "Music")
    assert [folder.name for folder in library.folders] == ["Music"]


def test_a_folder_whose_path_is_no_text_is_a_sentence(lake: Lake, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"m\xfc")
    folder.mkdir()
    with pytest.raises(InputError, match="not in UTF-8, so it cannot be recorded; rename the folder"):
        add_folder(lake, "mine", folder)


@pytest.mark.parametrize("by", ["views", "opening"])
def test_a_library_of_an_earlier_version_gets_the_columns_added_since(lake: Lake, music: Path, by: str) -> None:
    add_folder(lake, "mine", music)
    table = files_table("mine")
    earlier = pa.schema([field for field in table.schema if field.name != "album_artist"])
    lake.local_path(empty_part_path(table)).unlink()
    append(lake, Table(table.name, table.key, earlier), [{"folder": "f1", "path": "a.mp3"}], "run")
    if by == "opening":
        assert open_library(lake, "mine").name == "mine"
        assert latest(lake, table, ["path", "album_artist"]).to_pylist() == [{"path": "a.mp3", "album_artist": None}]
    else:
        with connect(lake) as connection:
            define_lake_views(connection, lake, temporary=True)
            assert connection.execute("SELECT path, album_artist FROM library_files").fetchall() == [("a.mp3", None)]


def test_another_machine_mounts_the_folder_elsewhere(
    lake: Lake, music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, folder = add_folder(lake, "mine", music)
    monkeypatch.setattr(socket, "gethostname", lambda: "other.example")
    with pytest.raises(InputError, match="is not known on this machine"):
        library.mounted(folder.id)
    elsewhere = tmp_path / "mnt" / "Music"
    elsewhere.mkdir(parents=True)
    again, same = add_folder(lake, "mine", elsewhere)
    assert (same, again.mounted(folder.id)) == (folder, elsewhere)


def test_a_folder_that_is_not_there_is_named(lake: Lake, music: Path) -> None:
    library, folder = add_folder(lake, "mine", music)
    music.rmdir()
    with pytest.raises(InputError, match=r"'Music' of the library mine is not at .*Music"):
        library.mounted(folder.id)


def test_an_unknown_library_is_an_error_that_names_the_others(lake: Lake, music: Path) -> None:
    add_folder(lake, "mine", music)
    with pytest.raises(InputError, match=r"no library yours .*there are: mine"):
        open_library(lake, "yours")


def test_the_newest_embedding_of_a_track_counts(lake: Lake, music: Path) -> None:
    library, _ = add_folder(lake, "mine", music)
    append_embeddings(library, "run-1", [("b", vectors(1, 2)), ("a", vectors(3))])
    append_embeddings(library, "run-1", [("b", vectors(5, 6, 7))])
    loaded = load_library_embeddings(library, "run-1")
    assert (loaded.track_ids, loaded.first.tolist()) == (("a", "b"), [0, 1, 4])
    assert loaded.vectors[:, 0].tolist() == [3, 5, 6, 7]
    assert embedded_tracks(library, "run-1") == {"a", "b"}


def test_runs_are_kept_apart(lake: Lake, music: Path) -> None:
    library, _ = add_folder(lake, "mine", music)
    append_embeddings(library, "run-1", [("a", vectors(1))])
    append_embeddings(library, "run-2", [("b", vectors(1))])
    assert embedding_runs(library) == ["run-1", "run-2"]
    assert load_library_embeddings(library, "run-2").track_ids == ("b",)


def test_a_run_that_has_indexed_nothing_says_how_to_index(lake: Lake, music: Path) -> None:
    library, _ = add_folder(lake, "mine", music)
    with pytest.raises(LakeError, match="needledrop library index mine --run run-3"):
        load_library_embeddings(library, "run-3")


def test_removing_a_library_leaves_its_music(lake: Lake, music: Path) -> None:
    (music / "a.wav").write_bytes(b"RIFF")
    library, _ = add_folder(lake, "mine", music)
    append_embeddings(library, "run-1", [("a", vectors(1))])
    remove_library(library)
    assert library_names(lake) == []
    assert not lake.list("libraries")
    assert (music / "a.wav").exists()
