"""Runs that an older version kept only in the DuckDB file are committed as files, once."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from storage.lake.lake import Lake
from storage.metrics.database import connect_metrics, metrics_path
from storage.metrics.record_measurements import Run, record_run
from storage.tables.tables import open_tables

VERSION_1 = """
CREATE TABLE runs (
    run_id VARCHAR PRIMARY KEY, system VARCHAR NOT NULL, preset VARCHAR NOT NULL, seed INTEGER NOT NULL,
    dataset_version VARCHAR NOT NULL, source VARCHAR NOT NULL, state VARCHAR NOT NULL, message VARCHAR,
    config_json VARCHAR NOT NULL, code_version VARCHAR, model_folder VARCHAR, started_at TIMESTAMPTZ,
    finished_at TIMESTAMPTZ
);
CREATE TABLE epochs (
    run_id VARCHAR NOT NULL, epoch INTEGER NOT NULL, train_loss DOUBLE, valid_loss DOUBLE, learning_rate DOUBLE,
    seconds DOUBLE, items BIGINT, items_per_second DOUBLE, data_wait_share DOUBLE, mfu DOUBLE,
    peak_memory_bytes BIGINT, recorded_at TIMESTAMPTZ NOT NULL DEFAULT now(), PRIMARY KEY (run_id, epoch)
);
CREATE TABLE ranks (
    run_id VARCHAR NOT NULL, film_id VARCHAR NOT NULL, track_id VARCHAR NOT NULL, policy VARCHAR NOT NULL,
    rank_lo INTEGER NOT NULL, rank_hi INTEGER NOT NULL, score FLOAT, candidates INTEGER NOT NULL
);
"""
VERSION_2 = """
CREATE TABLE intervals (
    dataset_version VARCHAR NOT NULL, policy VARCHAR NOT NULL, preset VARCHAR NOT NULL, system VARCHAR NOT NULL,
    metric VARCHAR NOT NULL, value DOUBLE NOT NULL, low DOUBLE NOT NULL, high DOUBLE NOT NULL, draws INTEGER NOT NULL
);
CREATE TABLE comparisons (
    dataset_version VARCHAR NOT NULL, policy VARCHAR NOT NULL, preset VARCHAR NOT NULL, system VARCHAR NOT NULL,
    against_preset VARCHAR NOT NULL, against VARCHAR NOT NULL, metric VARCHAR NOT NULL, difference DOUBLE NOT NULL,
    low DOUBLE NOT NULL, high DOUBLE NOT NULL, p DOUBLE NOT NULL, p_holm DOUBLE NOT NULL, draws INTEGER NOT NULL
);
INSERT INTO intervals VALUES ('v1', 'segments8', 'small', 'All', 'r_at_10', 5, 4, 6, 99);
INSERT INTO comparisons VALUES ('v1', 'segments8', 'small', 'Im', 'small', 'All', 'r_at_10', 1, 0, 2, 0.5, 0.5, 99);
"""
ROWS = """
INSERT INTO runs VALUES
    ('done', 'All', 'small', 0, 'v1', 'trained', 'completed', NULL, '{}', NULL, NULL, NULL, '2026-01-01 00:00Z'),
    ('killed', 'Im', 'small', 0, 'v1', 'trained', 'running', NULL, '{}', NULL, NULL, now(), NULL),
    ('chance', 'random', 'control', 0, 'v1', 'control', 'completed', NULL, '{}', NULL, NULL, NULL, '2026-01-01 00:00Z');
INSERT INTO epochs (run_id, epoch, train_loss) VALUES ('done', 0, 1.5), ('killed', 0, 2.5);
INSERT INTO ranks VALUES ('done', 'f', 't', 'segments8', 1, 1, 0.5, 9);
"""
SCRIPTS = {1: VERSION_1 + ROWS, 2: VERSION_1 + ROWS + VERSION_2}
STATES = "SELECT run_id, state FROM runs ORDER BY ALL"
FOUND = [("chance", "completed"), ("done", "completed"), ("killed", "interrupted")]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_tables(str(tmp_path / "lake"))


def write_old(lake: Lake, version: int) -> None:
    metrics_path(lake).unlink(missing_ok=True)
    with duckdb.connect(str(metrics_path(lake))) as old:
        old.execute(SCRIPTS[version])
        old.execute(f"CREATE TABLE metrics_schema AS SELECT {version} AS version, 'old' AS views_hash")


def rows(lake: Lake, query: str) -> list[tuple[object, ...]]:
    with connect_metrics(lake) as connection:
        return connection.execute(query).fetchall()


@pytest.mark.parametrize("version", SCRIPTS)
def test_every_row_of_an_older_version_is_kept(lake: Lake, version: int) -> None:
    write_old(lake, version)
    assert rows(lake, STATES) == FOUND
    assert rows(lake, "SELECT run_id, train_loss FROM epochs ORDER BY ALL") == [("done", 1.5), ("killed", 2.5)]
    assert rows(lake, "SELECT run_id, rank_lo FROM ranks") == [("done", 1)]
    assert rows(lake, "SELECT count(*) FROM intervals") == [(version - 1,)]
    metrics_path(lake).unlink()
    assert rows(lake, STATES) == FOUND


def test_doing_it_again_changes_no_file(lake: Lake) -> None:
    write_old(lake, 2)
    assert rows(lake, STATES) == FOUND
    files = lake.list("runs") + lake.list("confidence")
    write_old(lake, 2)
    assert rows(lake, STATES) == FOUND
    assert lake.list("runs") + lake.list("confidence") == files


def test_a_crash_halfway_is_made_good_by_the_next_command(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    write_old(lake, 2)
    create = Lake.create_bytes

    def crash_at_the_second(self: Lake, data: bytes, *parts: str) -> bool:
        if self.list("runs"):
            raise KeyboardInterrupt
        return create(self, data, *parts)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Lake, "create_bytes", crash_at_the_second)
        rows(lake, STATES)
    assert len(lake.list("runs")) == 1
    assert rows(lake, STATES) == FOUND


def test_a_run_that_came_further_elsewhere_is_not_replaced(lake: Lake) -> None:
    record_run(lake, Run("killed", "Im", "small", 0, "v1", state="completed"))
    write_old(lake, 2)
    assert rows(lake, "SELECT state FROM runs WHERE run_id = 'killed'") == [("completed",)]


def test_an_empty_database_is_filled(lake: Lake) -> None:
    record_run(lake, Run("run", "Im", "small", 0, "v1", state="completed"))
    metrics_path(lake).unlink()
    duckdb.connect(str(metrics_path(lake))).close()
    assert rows(lake, STATES) == [("run", "completed")]
