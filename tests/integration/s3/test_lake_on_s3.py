"""A lake on an object store, against a server that speaks S3 on loopback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from storage.datasets import versions as datasets
from storage.errors import InputError, LakeError
from storage.lake.lake import Lake, open_lake
from storage.mels.reader import MelReader, TrackMels, read_tracks
from storage.mels.settings_and_shard_format import MelSettings
from storage.mels.writer import write_shard
from storage.records import outcomes
from storage.records.outcomes import Stage
from storage.tables import tables
from storage.tables.schemas import FILMS, THUMBNAILS, TRACKS
from storage.takedown_list_and_erasure import blank_track
from storage.verify import verify
from tasks.curation.curate import curate
from tasks.curation.exclusions_and_splits import CurationSettings

pytestmark = pytest.mark.integration


def fill(lake: Lake) -> None:
    """Four films of four years with real shards of two segments."""
    films, thumbnails, tracks = [], [], []
    settings, zeros = MelSettings(), np.zeros(2, np.float32)
    for number, year in enumerate((2020, 2021, 2022, 2023)):
        film = f"wiki-{number}"
        films.append({"film_id": film, "title": film, "year": year, "plot": ["x"], "tags": ["Drama films"]})
        thumbnails.append({"film_id": film, "sha256": film, "width": 224, "jpeg": b"jpeg"})
        with write_shard(lake, film, year, settings) as writer:
            row = {"film_id": film, "track_id": f"folder:{number}", "decision": "taken", "audio_sha256": film}
            stored = np.full((2, *settings.shape), number, np.uint8)
            mels = TrackMels(stored, zeros, zeros, zeros.astype(bool), zeros, zeros)
            row |= {"first_row": writer.append(row["track_id"], mels), "segments": 2, "decoded_seconds": 20.0}
            row |= {"shard": f"mels/year={year}/page={film}.parquet"}
            writer.finish([row])
        tracks.append(row)
    tables.append(lake, FILMS, films, "run")
    tables.append(lake, THUMBNAILS, thumbnails, "run")
    tables.append(lake, TRACKS, tracks, "run")


def test_what_is_committed_is_listed_and_reads_back(lake: Lake) -> None:
    lake.write_json({"a": 1}, "notes", "a.json")
    assert lake.exists("notes", "a.json")
    assert lake.list("notes") == ["notes/a.json"]
    assert lake.read_bytes("notes", "a.json") == b'{\n  "a": 1\n}\n'
    lake.remove("notes")
    assert lake.list("notes") == []
    with pytest.raises(LakeError, match="is not in the lake"):
        lake.read_bytes("notes", "a.json")


def test_another_machine_sees_what_was_committed_since(lake: Lake, tmp_path: Path) -> None:
    other = Lake(lake.root, cache_folder=str(tmp_path / "elsewhere"))
    assert other.list("notes") == []
    lake.write_bytes(b"x", "notes", "a.txt")
    assert other.list("notes") == ["notes/a.txt"]


def test_tables_append_read_and_merge(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MERGE_AT", 4)
    for number in range(6):
        tables.append(lake, FILMS, [{"film_id": str(number % 2), "title": f"title {number}"}], "run")
    assert tables.latest(lake, FILMS)["title"].to_pylist() == ["title 4", "title 5"]
    assert len(tables.parts(lake, FILMS)) == 4


def test_outcomes_are_counted(lake: Lake) -> None:
    for _ in range(2):
        outcomes.record(lake, [outcomes.ok(Stage.FILM, "a")], "run")
    assert outcomes.attempts(lake, [Stage.FILM]) == {("film", "a"): 2}


def test_a_version_is_the_same_as_on_a_folder(lake: Lake, tmp_path: Path) -> None:
    fill(lake)
    folder = tables.open_tables(str(tmp_path / "folder"))
    fill(folder)
    remote, local = curate(lake, CurationSettings(), "run"), curate(folder, CurationSettings(), "run")
    assert remote.version == local.version
    assert remote.manifest == local.manifest
    assert datasets.current(lake) == remote.version
    assert not curate(lake, CurationSettings(), "again").is_new
    assert list(verify(lake, deep=True)) == []


def test_shards_are_read_through_the_cache(lake: Lake, tmp_path: Path) -> None:
    fill(lake)
    shards = lake.list("mels")
    reader = MelReader(lake, shards, MelSettings())
    stored = np.empty((2, *MelSettings().shape), np.uint8)
    reader.gather(reader.locate([shards[3], shards[1]], [1, 0]), stored)
    assert [int(mel.max()) for mel in stored] == [3, 1]
    assert read_tracks(lake, shards[0])[0]["track_id"] == "folder:0"
    assert len(list((tmp_path / "cache").rglob("page=*.parquet"))) == 4


def test_nothing_is_left_in_the_outbox(lake: Lake, tmp_path: Path) -> None:
    fill(lake)
    assert not list((tmp_path / "cache" / "outbox").iterdir())


def test_a_missing_bucket_is_named(bucket: str) -> None:
    with pytest.raises((LakeError, InputError), match="nowhere"):
        open_lake("s3://nowhere/lake")


def test_a_shard_rewritten_at_the_same_size_is_fetched_again(lake: Lake, tmp_path: Path) -> None:
    fill(lake)
    shard = lake.list("mels")[1]
    elsewhere = Lake(lake.root, cache_folder=str(tmp_path / "elsewhere"))
    MelReader(elsewhere, [shard], MelSettings())
    old, size = elsewhere.local_path(shard), lake.size_bytes(shard)
    blank_track(lake, shard, "folder:1")
    lake.write_bytes(lake.read_bytes(shard)[:size].ljust(size, b" "), shard)
    assert lake.size_bytes(shard) == size
    new = elsewhere.local_path(shard)
    assert new.read_bytes() == lake.read_bytes(shard)
    assert not old.exists()


def test_a_recording_that_was_taken_down_is_silent_for_a_reader_with_an_old_copy(lake: Lake) -> None:
    fill(lake)
    shard = lake.list("mels")[3]
    MelReader(lake, [shard], MelSettings())
    blank_track(lake, shard, "folder:3")
    stored = np.empty((1, *MelSettings().shape), np.uint8)
    reader = MelReader(lake, [shard], MelSettings())
    reader.gather(np.array([0]), stored)
    assert stored.max() == 0


def test_removing_a_file_removes_its_local_copies(lake: Lake, tmp_path: Path) -> None:
    fill(lake)
    shard = lake.list("mels")[0]
    lake.local_path(shard)
    lake.remove(shard)
    assert not list((tmp_path / "cache").rglob("page=wiki-0*"))


def test_opening_the_lake_removes_what_a_process_killed_in_a_transfer_left(
    lake: Lake, tmp_path: Path, repository: Path
) -> None:
    fill(lake)
    die = (
        "import os, pathlib, sys; from storage.lake.lake import Lake\n"
        "lake, shard = Lake(sys.argv[1]), sys.argv[2]\n"
        "kill = lambda *_: os._exit(9)\n"
        "pathlib.Path.replace = kill\n"
        "lake.local_path(shard) if sys.argv[3] == 'fetch' else lake.write_bytes(b'x', 'notes', 'a.txt')"
    )
    send = die.replace("pathlib.Path.replace = kill", "lake.filesystem.put_file = kill")
    for script, what in ((die, "fetch"), (send, "send")):
        arguments = [sys.executable, "-c", script, lake.root, lake.list("mels")[0], what]
        assert subprocess.run(arguments, cwd=repository, check=False).returncode == 9
    assert len(list((tmp_path / "cache").rglob(".tmp-*"))) == 2
    with lake.staged("notes", "b.txt") as living:
        living.write_bytes(b"half")
        open_lake(lake.root)
        assert list((tmp_path / "cache").rglob(".tmp-*")) == [living]
