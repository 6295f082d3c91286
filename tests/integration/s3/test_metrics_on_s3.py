"""Runs measured on several machines with one lake on an object store: each with its own cache, none loses anything."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from storage.datasets.versions import why_needed
from storage.lake.lake import Lake
from storage.metrics.database import connect_metrics, count_runs, metrics_path
from storage.metrics.record_measurements import Run, record_ranks, record_run
from storage.metrics.run_files import RANKS_SCHEMA
from storage.verify import verify

pytestmark = pytest.mark.integration

ARCHIVE = Path(__file__).parents[2] / "fixtures" / "lake-c495504.tar.xz"
MEASURE = """
import sys
import pyarrow as pa
from storage.lake.lake import Lake
from storage.metrics.record_measurements import Epoch, Run, record_epoch, record_ranks, record_run
from storage.metrics.run_files import RANKS_SCHEMA
from training.evaluation.record_baselines import record_baselines
from training.evaluation.intervals_and_comparisons import record_confidence
from storage.tables.tables import open_tables

lake, system = open_tables(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
run = Run(system, system, "small", 0, "v1")
record_run(lake, run)
for epoch in range(5):
    record_epoch(lake, Epoch(system, epoch, train_loss=1.0))
rows = [{"film_id": f"f{i}", "track_id": f"t{i}", "policy": "segments8", "rank_lo": (i * len(system)) % 9 + 1,
         "rank_hi": (i * len(system)) % 9 + 1, "score": 0.0, "candidates": 9} for i in range(9)]
record_ranks(lake, system, pa.Table.from_pylist(rows, RANKS_SCHEMA))
record_run(lake, Run(system, system, "small", 0, "v1", state="completed"))
record_baselines(lake, "v1")
record_confidence(lake, "v1", draws=50)
"""
LEADERBOARD = """
SELECT system, seeds, r_at_10_low IS NOT NULL FROM leaderboard WHERE source IN ('trained', 'control') ORDER BY ALL
"""


def machine(lake: Lake, cache: Path) -> Lake:
    """Return the lake as another machine sees it: with its own cache."""
    return Lake(lake.root, cache_folder=str(cache))


def rows(lake: Lake, query: str) -> list[tuple[object, ...]]:
    with connect_metrics(lake) as connection:
        return connection.execute(query).fetchall()


def ranks() -> pa.Table:
    row = {"film_id": "f", "track_id": "t", "policy": "segments8", "rank_lo": 1, "rank_hi": 1}
    return pa.Table.from_pylist([row | {"score": 0.5, "candidates": 9}], RANKS_SCHEMA)


@pytest.fixture
def measured_by_two(lake: Lake, tmp_path: Path, repository: Path) -> Lake:
    """A lake in which two processes with separate caches recorded All and Plo, baselines and intervals at once."""
    pipe = subprocess.PIPE
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", MEASURE, lake.root, system],
            cwd=repository,
            env={**os.environ, "NEEDLEDROP_CACHE": str(tmp_path / system)},
            stdin=pipe,
            stdout=pipe,
            text=True,
        )
        for system in ("All", "Plo")
    ]
    assert all(process.stdout and process.stdout.readline() == "ready\n" for process in processes)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda process: process.communicate("go\n"), processes))
    assert [process.returncode for process in processes] == [0, 0]
    return lake


def test_two_machines_that_measure_at_once_lose_nothing_and_see_the_same(measured_by_two: Lake, tmp_path: Path) -> None:
    caches = [tmp_path / name for name in ("All", "Plo", "empty")]
    boards = [rows(machine(measured_by_two, cache), LEADERBOARD) for cache in caches]
    assert boards[0] == boards[1] == boards[2]
    assert {("All", 1, True), ("Plo", 1, True), ("random", 10, True), ("mean query", 1, True)} - set(boards[0]) == {
        ("mean query", 1, True)  # needs the embeddings of All, which are not in this lake
    }
    assert rows(measured_by_two, "SELECT run_id, count(*) FROM epochs GROUP BY ALL ORDER BY ALL") == [
        ("All", 5),
        ("Plo", 5),
    ]
    assert {system for (system,) in rows(measured_by_two, "SELECT system FROM comparisons")} > {"Plo", "random"}
    assert list(verify(measured_by_two)) == []


def test_what_one_machine_records_the_other_sees_at_its_next_command(lake: Lake, tmp_path: Path) -> None:
    here, there = machine(lake, tmp_path / "here"), machine(lake, tmp_path / "there")
    assert rows(there, "SELECT run_id FROM runs") == []
    record_run(here, Run("run", "All", "small", 0, "v1", state="completed"))
    assert rows(there, "SELECT run_id, state FROM runs") == [("run", "completed")]
    assert why_needed(there, count_runs(there)) == {"v1": "1 training runs"}


def test_a_lake_that_was_never_trained_answers_sql(lake: Lake, tmp_path: Path, repository: Path) -> None:
    command = [sys.executable, "-m", "needledrop", "sql", "--lake", lake.root, "SELECT count(*) AS n FROM leaderboard"]
    done = subprocess.run(
        command,
        cwd=repository,
        env={**os.environ, "NEEDLEDROP_CACHE": str(tmp_path / "new")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "n\n8\n", "")


@pytest.fixture
def old_database(tmp_path: Path) -> Path:
    """The DuckDB file of a lake that an older version trained in."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extract("lake/needledrop.duckdb", tmp_path, filter="data")
    return tmp_path / "lake" / "needledrop.duckdb"


@pytest.fixture
def uploaded(lake: Lake, old_database: Path) -> Iterator[Lake]:
    """A lake on an object store that an older version trained in: the file is uploaded as a whole."""
    lake.filesystem.put_file(str(old_database), lake.uri("needledrop.duckdb"))
    with duckdb.connect(str(old_database), read_only=True) as old:
        assert old.execute("SELECT count(*) FROM runs").fetchall() > [(0,)]
    yield lake


COUNTS = """
SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM epochs), (SELECT count(*) FROM ranks),
    (SELECT count(*) FROM intervals), (SELECT count(*) FROM comparisons), (SELECT count(r_at_10_low) FROM leaderboard)
"""


def test_the_uploaded_file_of_an_older_version_is_taken_over_by_two_machines_at_once(
    uploaded: Lake, old_database: Path, tmp_path: Path
) -> None:
    with duckdb.connect(str(old_database), read_only=True) as old:
        before = old.execute(COUNTS).fetchall()
    machines = [machine(uploaded, tmp_path / f"cache-{number}") for number in range(3)]
    with ThreadPoolExecutor() as pool:
        taken_over = list(pool.map(lambda lake: rows(lake, COUNTS), machines[:2]))
    assert taken_over == [before, before]
    assert rows(machines[2], COUNTS) == before
    assert not uploaded.exists("needledrop.duckdb")


def test_runs_that_an_older_version_overwrote_in_the_store_are_taken_over_from_the_cache(
    uploaded: Lake, old_database: Path, tmp_path: Path
) -> None:
    here = machine(uploaded, tmp_path / "here")
    metrics_path(here).parent.mkdir(parents=True)
    shutil.copy(old_database, metrics_path(here))
    with duckdb.connect(str(metrics_path(here))) as old:
        old.execute("UPDATE runs SET run_id = 'only-here' WHERE source = 'trained'")
    both = "SELECT count(*) FROM runs WHERE source = 'trained'"
    assert rows(here, both) == [(2,)]
    assert rows(machine(uploaded, tmp_path / "there"), both) == [(2,)]


def test_a_file_of_a_run_that_is_replaced_while_it_is_read_is_read_again(lake: Lake, tmp_path: Path) -> None:
    here, there = machine(lake, tmp_path / "here"), machine(lake, tmp_path / "there")

    def write(lake: Lake) -> None:
        for _ in range(20):
            record_ranks(lake, "run", ranks())
            record_run(lake, Run("run", "All", "small", 0, "v1", state="completed"))

    with ThreadPoolExecutor() as pool:
        writing = pool.submit(write, here)
        while not writing.done():
            assert len(rows(there, "SELECT run_id FROM runs")) <= 1
        writing.result()
    assert rows(there, "SELECT run_id FROM runs JOIN ranks USING (run_id)") == [("run",)]
