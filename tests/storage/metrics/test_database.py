"""The DuckDB file of a lake on an object store, while another process has it open, and on a full disk."""

from __future__ import annotations

import multiprocessing
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from multiprocessing.synchronize import Event
from pathlib import Path

import fsspec
import pytest

from storage.errors import LakeError
from storage.lake.lake import Lake
from storage.metrics import database as metrics_file
from storage.metrics.database import connect_metrics, metrics_path, refresh_views
from storage.metrics.record_measurements import Run, record_run
from storage.tables.schemas import FILMS
from storage.tables.tables import append, open_tables

RUN = Run("run", "All", "small", 0, "v1", state="completed")


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    """A lake on an object store: fsspec's in-memory one."""
    monkeypatch.setenv("NEEDLEDROP_CACHE", str(tmp_path / "cache"))
    yield open_tables("memory://bucket/lake")
    fsspec.filesystem("memory").rm("/bucket", recursive=True)


def runs(lake: Lake) -> list[tuple[str]]:
    with connect_metrics(lake) as connection:
        return connection.execute("SELECT run_id FROM runs").fetchall()


def test_the_database_of_a_lake_on_an_object_store_is_in_the_cache_only(remote: Lake, tmp_path: Path) -> None:
    record_run(remote, RUN)
    assert runs(remote) == [("run",)]
    assert metrics_path(remote).is_relative_to(tmp_path / "cache") and metrics_path(remote).exists()
    assert remote.list("runs") == ["runs/run.000001.parquet"] and not remote.exists("needledrop.duckdb")


def test_a_machine_with_an_empty_cache_makes_it_from_the_files(remote: Lake, tmp_path: Path) -> None:
    record_run(remote, RUN)
    assert runs(remote) == [("run",)]
    shutil.rmtree(tmp_path / "cache")
    assert runs(remote) == [("run",)]


def test_views_read_the_parquet_of_an_object_store(remote: Lake) -> None:
    append(remote, FILMS, [{"film_id": "w-1"}], "r")
    refresh_views(remote)
    with connect_metrics(remote) as connection:
        assert connection.execute("SELECT film_id FROM films").fetchall() == [("w-1",)]


def keep_open(root: str, seconds: float, is_open: Event) -> None:
    with connect_metrics(open_tables(root), read_only=False):
        is_open.set()
        time.sleep(seconds)


@pytest.fixture
def holder() -> Iterator[Callable[[Lake, float], None]]:
    """Return a function that starts a process which keeps the file of a lake open for some seconds."""
    spawn = multiprocessing.get_context("spawn")
    started = []

    def start(lake: Lake, seconds: float) -> None:
        is_open = spawn.Event()
        started.append(spawn.Process(target=keep_open, args=(lake.root, seconds, is_open)))
        started[-1].start()
        assert is_open.wait(60)

    yield start
    for process in started:
        process.terminate()
        process.join()


def test_a_writer_waits_until_another_closes_the_file(tmp_path: Path, holder: Callable[[Lake, float], None]) -> None:
    lake = open_tables(str(tmp_path))
    holder(lake, 1.5)
    record_run(lake, RUN)
    assert runs(lake) == [("run",)]


def test_a_file_that_stays_open_elsewhere_is_a_lake_error(
    tmp_path: Path, holder: Callable[[Lake, float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = open_tables(str(tmp_path))
    monkeypatch.setattr(metrics_file, "LOCK_TIMEOUT_SECONDS", 0.3)
    holder(lake, 60)
    with pytest.raises(LakeError, match="Another process keeps"):
        runs(lake)


def test_a_file_that_stays_open_elsewhere_costs_no_results(
    tmp_path: Path, holder: Callable[[Lake, float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = open_tables(str(tmp_path))
    monkeypatch.setattr(metrics_file, "RECORD_TIMEOUT_SECONDS", 0.3)
    holder(lake, 60)
    record_run(lake, RUN)
    for process in multiprocessing.active_children():
        process.kill()
        process.join()
    assert runs(lake) == [("run",)]


def test_a_killed_writer_leaves_the_file_intact(tmp_path: Path, holder: Callable[[Lake, float], None]) -> None:
    lake = open_tables(str(tmp_path))
    record_run(lake, RUN)
    holder(lake, 60)
    for process in multiprocessing.active_children():
        process.kill()
        process.join()
    assert runs(lake) == [("run",)]


def test_what_is_recorded_while_another_thread_reads_is_seen_by_the_next_reader(tmp_path: Path) -> None:
    lake = open_tables(str(tmp_path))
    with connect_metrics(lake) as reader, pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics_file, "RECORD_TIMEOUT_SECONDS", 0.1)
        record_run(lake, RUN)
        assert reader.execute("SELECT count(*) FROM runs").fetchall() == [(0,)]
    assert runs(lake) == [("run",)]


def test_a_full_disk_leaves_no_partial_file_and_a_retry_succeeds(small_disk: Callable[[str], Path]) -> None:
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


def test_a_damaged_part_is_a_lake_error(tmp_path: Path) -> None:
    lake = open_tables(str(tmp_path))
    part = str(append(lake, FILMS, [{"film_id": "w-1"}], "r"))
    lake.write_bytes(b"PAR1", part)
    with pytest.raises(LakeError, match="needledrop verify"):
        refresh_views(lake)
