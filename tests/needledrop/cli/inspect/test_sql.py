"""`needledrop sql`: queries, the shell, and refused queries."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from needledrop.cli.main import app
from needledrop.cli.output.terminal_tables import show
from storage.errors import InputError
from storage.lake.lake import Lake
from storage.metrics.record_measurements import Run, record_run
from storage.tables.schemas import FILMS
from storage.tables.tables import append, open_tables


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = open_tables(str(tmp_path / "lake"))
    append(lake, FILMS, [{"film_id": "w-1", "title": "A film", "year": 2020}], "r")
    return lake


def run(*arguments: str, **options: Any) -> Any:
    return CliRunner().invoke(app, ["sql", *arguments], catch_exceptions=True, **options)


def test_a_query_into_a_pipe_gives_csv(lake: Lake) -> None:
    assert run("--lake", lake.root, "SELECT title, year FROM films").stdout == "title,year\nA film,2020\n"


def test_a_query_may_begin_with_a_comment(lake: Lake) -> None:
    assert run("--lake", lake.root, "-- How many?\nSELECT 1 AS one").stdout == "one\n1\n"
    assert run("--How many?\nSELECT 1 AS one", "--lake", lake.root).stdout == "one\n1\n"
    assert run("--lak", lake.root, "SELECT 1").exit_code == 2


def test_every_one_of_several_queries_is_answered(lake: Lake) -> None:
    assert run("--lake", lake.root, "SELECT 1 AS one; SELECT 2 AS two").stdout == "one\n1\n\ntwo\n2\n"


@pytest.mark.parametrize("query", ["", " ", "-- only a comment"])
def test_an_empty_query_is_refused(lake: Lake, query: str) -> None:
    failed = run("--lake", lake.root, query).exception
    assert isinstance(failed, InputError) and "There is no query" in str(failed)


def test_rows_appended_after_a_query_are_seen_by_the_next(lake: Lake) -> None:
    run("--lake", lake.root, "SELECT 1")
    append(lake, FILMS, [{"film_id": "w-2"}], "r")
    assert run("--lake", lake.root, "SELECT count(*) AS n FROM films").stdout == "n\n2\n"


def test_the_shell_reads_queries_over_several_lines(lake: Lake) -> None:
    result = run("--lake", lake.root, input="SELECT title\nFROM films;\nSELECT 7 AS seven;\n.quit\nSELECT 8;\n")
    assert result.stdout.splitlines() == ["title", "A film", "seven", "7"]


def test_the_shell_lists_tables_and_views(lake: Lake) -> None:
    listed = run("--lake", lake.root, input=".tables\n").stdout
    assert all(f"\n{name}," in listed for name in ("runs", "epochs", "ranks", "leaderboard", "films"))
    assert "system" in run("--lake", lake.root, input=".describe runs\n").stdout


def test_a_query_cannot_change_anything(lake: Lake) -> None:
    record_run(lake, Run("r", "All", "small", 0, "v1"))
    assert "read-only" in str(run("--lake", lake.root, "DELETE FROM runs").exception)


def test_a_wrong_query_fails_with_the_message_of_duckdb(lake: Lake) -> None:
    failed = run("--lake", lake.root, "SELECT nothing FROM films").exception
    assert isinstance(failed, InputError) and "nothing" in str(failed)


def test_a_wide_table_continues_below_with_its_first_column() -> None:
    console = Console(file=io.StringIO(), width=40)
    show(console, ["system", *(f"column_{i}" for i in range(6))], [("All", *range(6))])
    text = console.file.getvalue()
    assert text.count("system") > 1 and text.count("column_5") == 1 and "1 row" in text
    assert max(map(len, text.splitlines())) <= 40


def test_a_wide_table_repeats_the_columns_that_tell_its_rows_apart_and_aligns_decimals() -> None:
    console = Console(file=io.StringIO(), width=40)
    rows = [("All", "small", policy, value, *range(6)) for policy, value in (("one", 12.5), ("best", 0.5))]
    show(console, ["system", "preset", "policy", "share", *(f"column_{i}" for i in range(6))], rows)
    text = console.file.getvalue()
    parts = text.split("\n\n")[:-1]
    assert len(parts) > 1 and all("one" in part and "best" in part for part in parts)
    assert text.count("preset") == 1
    assert "12.50" in text and " 0.50" in text
