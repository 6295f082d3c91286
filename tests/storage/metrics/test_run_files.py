"""What runs measured is in files of the lake, and every database is made and brought up to date from these."""

from __future__ import annotations

import errno
import os
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem

from storage.coordination.leases import leased
from storage.errors import LakeError
from storage.lake.lake import Lake
from storage.metrics import database_import, run_files
from storage.metrics.database import connect_metrics, metrics_path
from storage.metrics.record_measurements import Epoch, Run, record_confidence, record_epoch, record_ranks, record_run
from storage.metrics.run_files import COMPARISONS_SCHEMA, INTERVALS_SCHEMA, RANKS_SCHEMA, run_lease
from storage.tables.tables import open_tables
from storage.verify import verify

RUN = Run("run", "All", "small", 0, "v1", state="completed")
ROWS = "SELECT state, (SELECT count(*) FROM epochs), (SELECT count(*) FROM ranks) FROM runs"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_tables(str(tmp_path / "lake"))


def ranks(rank: int = 1) -> pa.Table:
    row = {"film_id": "f", "track_id": "t", "policy": "segments8", "rank_lo": rank, "rank_hi": rank}
    return pa.Table.from_pylist([row | {"score": 0.5, "candidates": 9}], RANKS_SCHEMA)


def rows(lake: Lake, query: str = ROWS) -> list[tuple[object, ...]]:
    with connect_metrics(lake) as connection:
        return connection.execute(query).fetchall()


def measure(lake: Lake, run: Run = RUN, epochs: int = 3) -> None:
    for epoch in range(epochs):
        record_epoch(lake, Epoch(run.run_id, epoch, train_loss=1.0))
    record_ranks(lake, run.run_id, ranks())
    record_run(lake, run)


def confidence(lake: Lake, after: int = 0, low: float = 1.0) -> bool:
    """Record one interval of All from the ranks that are recorded now."""
    [(basis,)] = rows(lake, "SELECT basis FROM bases WHERE system = 'All'")
    row = {"policy": "segments8", "preset": "small", "system": "All", "metric": "r_at_10", "value": 2.0}
    row |= {"low": low, "high": 3.0, "draws": 9, "basis": basis}
    intervals = pa.Table.from_pylist([row], INTERVALS_SCHEMA)
    return record_confidence(lake, "v1", after, intervals, COMPARISONS_SCHEMA.empty_table())


def test_epochs_of_a_file_that_lacks_a_newer_column_are_read_and_added_to(lake: Lake) -> None:
    measure(lake)
    [path] = lake.local_path("runs").glob("*.parquet")
    table = pq.read_table(path)
    known = [field for field in run_files.EPOCHS_SCHEMA if field.name != "valid_medr"]
    epochs = table["epochs"].cast(pa.list_(pa.struct(known)))
    pq.write_table(table.set_column(table.column_names.index("epochs"), "epochs", epochs), path)
    record_epoch(lake, Epoch("run", 3, train_loss=0.5, valid_medr=7.0))
    assert rows(lake, "SELECT train_loss, valid_medr FROM epochs ORDER BY epoch")[2:] == [(1.0, None), (0.5, 7.0)]


def test_a_run_of_many_epochs_is_one_file(lake: Lake) -> None:
    measure(lake, epochs=12)
    assert len(lake.list("runs")) == 1
    assert rows(lake) == [("completed", 12, 1)]


@pytest.mark.parametrize("name", ["needledrop.duckdb", "needledrop.duckdb.wal"])
def test_a_deleted_database_is_made_again_from_the_files(lake: Lake, name: str) -> None:
    measure(lake)
    Path(lake.root, name).write_bytes(b"not what it was")
    Path(lake.root, "needledrop.duckdb").unlink()
    assert rows(lake) == [("completed", 3, 1)]


@pytest.mark.parametrize("content", [b"hello" * 1000, b"", b"DUCK" * 4000])
def test_a_damaged_database_is_put_aside_and_made_again(lake: Lake, content: bytes) -> None:
    measure(lake)
    metrics_path(lake).write_bytes(content)
    assert rows(lake) == [("completed", 3, 1)]


@pytest.mark.parametrize("start", [0.05, 0.5, 0.8])
def test_damage_anywhere_is_gone_at_the_next_command(lake: Lake, start: float) -> None:
    many = pa.concat_tables([ranks()] * 50_000)
    column = pa.array([os.urandom(8).hex() for _ in range(many.num_rows)])
    record_ranks(lake, "run", many.set_column(1, "track_id", column))
    content = bytearray(metrics_path(lake).read_bytes())
    for position in range(int(start * len(content)), len(content), len(content) // 20):
        content[position] ^= 0xFF
    metrics_path(lake).write_bytes(content)
    with suppress(LakeError):  # it is met while the database is opened or by the query
        rows(lake, "SELECT max(track_id) FROM ranks")
    assert rows(lake, "SELECT count(DISTINCT track_id) FROM ranks") == [(50_000,)]


def test_a_run_whose_file_is_removed_is_gone(lake: Lake) -> None:
    measure(lake)
    lake.remove(*lake.list("runs"))
    assert rows(lake, "SELECT (SELECT count(*) FROM epochs), (SELECT count(*) FROM ranks)") == [(0, 0)]
    assert rows(lake) == []


def damaged_file(lake: Lake, kind: str) -> str:
    """Add the file of a run `other` that is damaged in one way; return its path."""
    names, path = run_files.RUNS_SCHEMA.names, "runs/other.000001.parquet"
    if kind == "columns of other types":
        lake.write_table(pa.table({name: ["no date"] for name in names}), path)
    elif kind == "no preset":
        lake.write_table(pa.Table.from_pylist([{"run_id": "other", "system": "All"}], run_files.RUNS_SCHEMA), path)
    else:
        lake.write_bytes({"empty": b"", "cut short": Path(lake.root, *lake.list("runs")).read_bytes()[:-9]}[kind], path)
    return path


@pytest.mark.parametrize("kind", ["empty", "cut short", "columns of other types", "no preset"])
def test_a_damaged_file_is_named_once_and_left_out(lake: Lake, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    measure(lake)
    path = damaged_file(lake, kind)
    database_import._warned.clear()
    assert rows(lake) == rows(lake) == [("completed", 3, 1)]
    assert [record.message.split()[0] for record in caplog.records] == [path]
    assert [damage.path for damage in verify(lake)] == [path]
    measure(lake, replace(RUN, run_id="another"))
    assert [state for state, *_ in rows(lake)] == ["completed", "completed"]


def test_a_run_whose_file_was_damaged_is_measured_again(lake: Lake) -> None:
    measure(lake)
    metrics_path(lake).unlink()
    [path] = lake.list("runs")
    lake.write_bytes(b"PAR1", path)
    assert rows(lake) == []
    measure(lake)
    assert rows(lake) == [("completed", 3, 1)]
    assert lake.read_bytes(f"{path}.damaged") == b"PAR1" and list(verify(lake)) == []


def test_a_file_that_could_not_be_read_once_is_not_taken_for_damaged(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure(lake)
    read, errors = LocalFileSystem.cat_file, [OSError(errno.EIO, "Input/output error")]

    def cat_file(self: Any, path: str, **options: Any) -> Any:
        if "/runs/" in path and errors:
            raise errors.pop()
        return read(self, path, **options)

    monkeypatch.setattr(LocalFileSystem, "cat_file", cat_file)
    with pytest.raises(LakeError, match="cannot be read"):
        record_epoch(lake, Epoch(RUN.run_id, 3))
    record_epoch(lake, Epoch(RUN.run_id, 3))
    assert rows(lake) == [("completed", 4, 1)]


def test_a_damaged_file_that_is_restored_or_removed_counts_no_more(lake: Lake) -> None:
    measure(lake)
    [path] = lake.list("runs")
    lake.write_bytes(lake.read_bytes(path), "runs/other.000002.parquet")
    lake.write_bytes(b"PAR1", "runs/other.000003.parquet")
    for action in (lambda: lake.write_bytes(lake.read_bytes(path), "runs/other.000004.parquet"), lambda: None):
        assert rows(lake) == [("completed", 3, 1)]
        action()
    lake.remove("runs/other.000003.parquet")
    assert rows(lake) == [("completed", 3, 1)]


@pytest.mark.parametrize("name", ["run.000005 (copy).parquet", "run.old.parquet", "note.parquet"])
def test_files_of_other_names_are_left_alone(lake: Lake, name: str) -> None:
    measure(lake)
    Path(lake.root, "runs", name).write_bytes(b"not ours")
    record_epoch(lake, Epoch("run", 3))
    assert rows(lake) == [("completed", 4, 1)]


def test_a_truncated_database_is_made_again(lake: Lake) -> None:
    measure(lake)
    for size in (5_000, 13_000):
        os.truncate(metrics_path(lake), size)
        assert rows(lake) == [("completed", 3, 1)]


def test_two_writers_of_one_run_lose_nothing(lake: Lake) -> None:
    def write(first: int) -> None:
        for epoch in range(first, 30, 2):
            record_epoch(Lake(lake.root), Epoch("run", epoch))

    threads = [threading.Thread(target=write, args=(first,)) for first in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    record_run(lake, RUN)
    assert rows(lake) == [("completed", 30, 0)]


def test_a_number_that_was_replaced_and_removed_is_not_taken_for_free(lake: Lake) -> None:
    measure(lake)
    newest = run_files.newest_number(lake, "runs", "run")
    assert not run_files.create(lake, "runs", "run", newest - 1, run_files.RUNS_SCHEMA.empty_table())
    assert rows(lake) == [("completed", 3, 1)]


def test_a_running_run_without_a_living_process_is_interrupted(lake: Lake) -> None:
    running = Run("run", "All", "small", 0, "v1")
    with leased(lake, run_lease("run")):
        record_run(lake, running)
        assert rows(lake, "SELECT state FROM runs") == [("running",)]
    assert rows(lake, "SELECT state FROM runs") == [("interrupted",)]
    record_run(lake, RUN)
    assert rows(lake, "SELECT state FROM runs") == [("completed",)]


def test_an_interval_of_other_ranks_is_not_on_the_leaderboard(lake: Lake) -> None:
    measure(lake)
    assert confidence(lake)
    low = "SELECT r_at_10_low FROM leaderboard WHERE source = 'trained'"
    assert rows(lake, low) == [(1.0,)]
    record_ranks(lake, "seed-1", ranks(rank=9))
    record_run(lake, Run("seed-1", "All", "small", 1, "v1", state="completed"))
    assert rows(lake, low) == [(None,)]


def test_the_same_ranks_recorded_again_keep_their_intervals(lake: Lake) -> None:
    measure(lake)
    assert confidence(lake)
    measure(lake)
    assert rows(lake, "SELECT count(*) FROM intervals") == [(1,)]


def without_settings(rows: pa.Table) -> pa.Table:
    """Return the rows of a file without the columns for settings."""
    kept = [name for name in rows.column_names if name not in ("settings", "settings_digest")]
    table = rows.select(kept)
    for name in {"intervals", "comparisons"} & set(kept):
        figures = [
            [{k: v for k, v in row.items() if "settings" not in k} for row in rows_]
            for rows_ in table[name].to_pylist()
        ]
        fields = [field for field in table.schema.field(name).type.value_type if "settings" not in field.name]
        column = pa.array(figures, pa.list_(pa.struct(fields)))
        table = table.set_column(table.schema.get_field_index(name), name, column)
    return table


def test_files_of_a_version_that_did_not_know_settings_apart_are_read(lake: Lake) -> None:
    measure(lake)
    assert confidence(lake)
    for path in [*lake.list("runs"), *lake.list("confidence")]:
        lake.write_table(without_settings(pq.read_table(lake.local_path(path))), path)
    metrics_path(lake).unlink()
    shown = "SELECT settings, length(settings_digest), r_at_10_low FROM leaderboard WHERE source = 'trained'"
    assert rows(lake, shown) == [("small", 8, 1.0)]


def test_a_database_of_the_schema_before_is_made_again(lake: Lake) -> None:
    measure(lake)
    with duckdb.connect(str(metrics_path(lake))) as old:
        old.execute("UPDATE metrics_schema SET version = 3; ALTER TABLE runs DROP COLUMN settings")
    assert rows(lake, "SELECT settings FROM runs") == [("small",)]


def test_of_two_that_compute_intervals_at_once_the_second_starts_again(lake: Lake) -> None:
    measure(lake)
    assert confidence(lake, after=0, low=1.0)
    assert not confidence(lake, after=0, low=1.5)
    assert confidence(lake, after=1, low=1.7)
    assert rows(lake, "SELECT low FROM intervals") == [(1.7,)]
    assert lake.list("confidence") == ["confidence/v1.000002.parquet"]
