"""The DuckDB file of a lake: on an object store, and while somebody else holds it."""

import multiprocessing
import shutil
import subprocess
import time

import fsspec
import pytest

from storage.errors import LakeError
from storage.metrics import database as metrics_file
from storage.metrics.database import connect_metrics, metrics_path, refresh_views
from storage.metrics.records import Run, record_run
from storage.tables.schemas import FILMS
from storage.tables.tables import append, open_tables

RUN = Run("run", "All", "small", 0, "v1", state="completed")


@pytest.fixture
def remote(tmp_path, monkeypatch):
    """A lake on an object store, the one that fsspec keeps in memory."""
    monkeypatch.setenv("NEEDLEDROP_CACHE", str(tmp_path / "cache"))
    yield open_tables("memory://bucket/lake")
    fsspec.filesystem("memory").rm("/bucket", recursive=True)


def runs(lake):
    with connect_metrics(lake) as connection:
        return connection.execute("SELECT run_id FROM runs").fetchall()


def test_the_file_of_a_lake_on_an_object_store_stands_in_the_cache_and_is_published(remote, tmp_path):
    record_run(remote, RUN)
    assert metrics_path(remote).is_relative_to(tmp_path / "cache") and metrics_path(remote).exists()
    assert remote.exists("needledrop.duckdb")


def test_a_machine_with_an_empty_cache_starts_from_the_published_file(remote, tmp_path):
    record_run(remote, RUN)
    shutil.rmtree(tmp_path / "cache")
    assert runs(remote) == [("run",)]


def test_views_read_the_parquet_of_an_object_store(remote):
    append(remote, FILMS, [{"film_id": "w-1"}], "r")
    refresh_views(remote)
    with connect_metrics(remote) as connection:
        assert connection.execute("SELECT film_id FROM films").fetchall() == [("w-1",)]


def hold(root, seconds, held):
    with connect_metrics(open_tables(root), read_only=False):
        held.set()
        time.sleep(seconds)


@pytest.fixture
def holder(tmp_path):
    """Starts a process that keeps the file of a lake open for some seconds."""
    spawn = multiprocessing.get_context("spawn")
    started = []

    def start(lake, seconds):
        held = spawn.Event()
        started.append(spawn.Process(target=hold, args=(lake.root, seconds, held)))
        started[-1].start()
        assert held.wait(60)

    yield start
    for process in started:
        process.terminate()
        process.join()


def test_a_writer_waits_for_another_to_let_go(tmp_path, holder):
    lake = open_tables(str(tmp_path))
    holder(lake, 1.5)
    record_run(lake, RUN)
    assert runs(lake) == [("run",)]


def test_a_file_that_is_never_let_go_is_an_error_that_says_so(tmp_path, holder, monkeypatch):
    lake = open_tables(str(tmp_path))
    monkeypatch.setattr(metrics_file, "LOCK_TIMEOUT_SECONDS", 0.3)
    holder(lake, 60)
    with pytest.raises(LakeError, match="Another process keeps"):
        record_run(lake, RUN)
    with pytest.raises(LakeError, match="Another process keeps"):
        runs(lake)


def test_a_killed_writer_leaves_the_file_whole(tmp_path, holder):
    lake = open_tables(str(tmp_path))
    record_run(lake, RUN)
    holder(lake, 60)
    for process in multiprocessing.active_children():
        process.kill()
        process.join()
    assert runs(lake) == [("run",)]


def test_a_writer_in_one_thread_waits_for_a_reader_in_another(tmp_path):
    lake = open_tables(str(tmp_path))
    record_run(lake, RUN)
    with connect_metrics(lake) as reader, pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics_file, "LOCK_TIMEOUT_SECONDS", 0.1)
        with pytest.raises(LakeError, match="close it"):
            record_run(lake, RUN)
        assert reader.execute("SELECT count(*) FROM runs").fetchall() == [(1,)]
    record_run(lake, RUN)


def test_a_full_disk_leaves_no_half_made_file_and_room_mends_it(small_disk):
    folder = small_disk("size=1m")
    lake = open_tables(str(folder / "lake"))
    with pytest.raises(OSError, match="No space"):
        (folder / "filler").write_bytes(bytes(2_000_000))
    with pytest.raises(LakeError, match="No space left"):
        record_run(lake, RUN)
    assert not [path for path in (folder / "lake").iterdir() if path.name.endswith("duckdb")]
    (folder / "filler").unlink()
    subprocess.run(["mount", "-o", "remount,size=32m", str(folder)], check=True)
    record_run(lake, RUN)
    assert runs(lake) == [("run",)]


def test_a_damaged_part_is_a_lake_error_and_not_duckdbs(tmp_path):
    lake = open_tables(str(tmp_path))
    part = append(lake, FILMS, [{"film_id": "w-1"}], "r")
    lake.write_bytes(b"PAR1", part)
    with pytest.raises(LakeError, match="needledrop verify"):
        refresh_views(lake)
