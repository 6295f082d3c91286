"""Append-only tables: the newest row counts, whatever the clock says and however the parts are merged."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from storage.errors import LakeError
from storage.lake.lake import Lake
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import FILMS, OUTCOMES
from storage.tables.tables import live_parts, stored_parts


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return tables.open_tables(str(tmp_path / "lake"))


def titles(lake: Lake) -> dict[str, str]:
    return {row["film_id"]: row["title"] for row in tables.latest(lake, FILMS, ["film_id", "title"]).to_pylist()}


def every_title(lake: Lake) -> list[str]:
    with duckdb_connection.connect(lake) as connection:
        query = f"SELECT title FROM {tables.rows_sql(lake, FILMS)} ORDER BY {tables.ROW_ORDER}"
        return [title for (title,) in connection.execute(query).fetchall()]


def test_a_new_lake_answers_queries_with_no_rows(lake: Lake) -> None:
    assert tables.latest(lake, FILMS).num_rows == 0
    assert tables.latest(lake, FILMS).schema.names == FILMS.schema.names


def test_the_newest_row_of_a_key_counts(lake: Lake) -> None:
    tables.append(lake, FILMS, [{"film_id": "a", "title": "old"}, {"film_id": "b", "title": "kept"}], "run")
    tables.append(lake, FILMS, [{"film_id": "a", "title": "older"}, {"film_id": "a", "title": "new"}], "run")
    assert titles(lake) == {"a": "new", "b": "kept"}


def test_a_clock_that_steps_back_does_not_bring_old_rows_back(lake: Lake) -> None:
    now = datetime.now(UTC)
    tables.append(lake, FILMS, [{"film_id": "a", "title": "first", "recorded_at": now}], "run")
    tables.append(lake, FILMS, [{"film_id": "a", "title": "second", "recorded_at": now - timedelta(days=9)}], "run")
    assert titles(lake) == {"a": "second"}


def test_a_column_that_the_table_lacks_is_refused_and_nothing_is_written(lake: Lake) -> None:
    with pytest.raises(LakeError, match="films has no column titel"):
        tables.append(lake, FILMS, [{"film_id": "a", "titel": "x"}], "run")
    assert tables.latest(lake, FILMS).num_rows == 0


def test_a_part_of_an_older_schema_reads_with_nulls(lake: Lake) -> None:
    old = pa.table({"film_id": ["a"], "title": ["old"]})
    lake.write_table(old, "films/part-000000001-0000.parquet")
    assert tables.latest(lake, FILMS).to_pylist()[0]["year"] is None


def test_many_small_parts_are_merged_without_changing_any_row(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MERGE_AT", 8)
    for number in range(30):
        tables.append(lake, FILMS, [{"film_id": str(number % 5), "title": f"title {number}"}], "run")
    assert len(tables.parts(lake, FILMS)) < 12
    assert titles(lake) == {str(n % 5): f"title {n}" for n in range(25, 30)}
    assert every_title(lake) == [f"title {n}" for n in range(30)]


def test_a_merge_that_was_killed_before_its_commit_changes_nothing(lake: Lake) -> None:
    for number in range(4):
        tables.append(lake, FILMS, [{"film_id": str(number), "title": f"title {number}"}], "run")
    (Path(lake.root) / "films" / ".tmp-x-part-000000004-from-000000001.parquet").write_bytes(b"half")
    assert every_title(lake) == [f"title {n}" for n in range(4)]


def test_a_part_that_comes_late_with_a_number_already_merged_is_not_lost(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "MERGE_AT", 4)
    for number in range(4):
        tables.append(lake, FILMS, [{"film_id": str(number), "title": f"title {number}"}], "run")
    late = pa.table({"film_id": ["late"], "title": ["from a slow writer"]})
    lake.write_table(late, "films/part-000000003-abcd.parquet")
    assert titles(lake)["late"] == "from a slow writer"


def test_replaced_parts_are_removed_only_when_no_query_can_still_read_them(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "MERGE_AT", 4)
    for number in range(4):
        tables.append(lake, FILMS, [{"film_id": str(number), "title": f"title {number}"}], "run")
    assert len(stored_parts(lake, FILMS)) == 6
    monkeypatch.setattr(tables, "REMOVE_AFTER_SECONDS", -1)
    for number in range(4, 8):
        tables.append(lake, FILMS, [{"film_id": str(number), "title": f"title {number}"}], "run")
    assert every_title(lake) == [f"title {n}" for n in range(8)]
    stored = stored_parts(lake, FILMS)
    assert len(stored) == 7
    assert len(live_parts(lake, stored)) == 3


def test_a_damaged_part_is_named(lake: Lake) -> None:
    path = tables.append(lake, OUTCOMES, [{"stage": "film", "item": "a"}], "run")
    Path(lake.root, path).write_bytes(b"not a Parquet file at all")
    with pytest.raises(LakeError, match=f"{path}.*needledrop verify"):
        tables.latest(lake, OUTCOMES)


def test_two_processes_that_merge_different_parts_at_once_lose_and_double_nothing(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "MERGE_AT", 4)
    for number in range(1, 4):
        tables.append(lake, FILMS, [{"film_id": str(number), "title": f"title {number}"}], "run")
    contenders = {}
    for suffix in ("aaaa", "bbbb"):
        path = f"films/part-000000004-{suffix}.parquet"
        lake.write_table(pa.table({"film_id": ["3"], "title": [f"title {suffix}"]}), path)
        merged = tables.compact(lake, FILMS)
        assert merged is not None
        contenders |= {name: lake.read_bytes(name) for name in (path, merged)}
        for name in (path, merged):
            lake.remove(name)
    for name, content in contenders.items():
        lake.write_bytes(content, name)
    assert len(contenders) == 4
    assert sorted(every_title(lake)) == ["title 1", "title 2", "title 3", "title aaaa", "title bbbb"]
    assert titles(lake)["3"] in {"title aaaa", "title bbbb"}


def test_a_part_that_was_merged_by_an_older_version_is_read(lake: Lake) -> None:
    for number in (1, 2):
        tables.append(lake, FILMS, [{"film_id": str(number), "title": f"title {number}"}], "run")
    replaced = tables.parts(lake, FILMS)[1:]
    rows = pa.table({"film_id": ["1", "2"], "title": ["title 1", "title 2"]})
    metadata = {tables.REPLACES_KEY: json.dumps(replaced).encode()}
    lake.write_table(rows.replace_schema_metadata(metadata), "films/part-000000002-from-000000001.parquet")
    assert every_title(lake) == ["title 1", "title 2"]
    assert titles(lake) == {"1": "title 1", "2": "title 2"}


def test_the_spill_folders_of_killed_processes_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    folders = [tmp_path / f"{duckdb_connection.SPILL_PREFIX}{pid}-x" for pid in (dead.pid, 1)]
    for folder in folders:
        folder.mkdir()
    duckdb_connection.sweep_spills()
    assert [folder.exists() for folder in folders] == [False, True]
