"""`needledrop sql`: queries, the shell, and its refusals."""

import io

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from needledrop.cli.inspect import sql
from storage.errors import InputError
from storage.metrics.records import Run, record_run
from storage.tables.schemas import FILMS
from storage.tables.tables import append, open_tables


@pytest.fixture
def lake(tmp_path):
    lake = open_tables(str(tmp_path / "lake"))
    append(lake, FILMS, [{"film_id": "w-1", "title": "A film", "year": 2020}], "r")
    return lake


def run(*arguments, **options):
    app = typer.Typer()
    app.command("other")(lambda: None)
    sql.register(app)
    return CliRunner().invoke(app, ["sql", *arguments], catch_exceptions=True, **options)


def test_a_query_into_a_pipe_gives_csv(lake):
    assert run("--lake", lake.root, "SELECT title, year FROM films").stdout == "title,year\nA film,2020\n"


def test_films_collected_a_moment_ago_are_seen(lake):
    run("--lake", lake.root, "SELECT 1")
    append(lake, FILMS, [{"film_id": "w-2"}], "r")
    assert run("--lake", lake.root, "SELECT count(*) AS n FROM films").stdout == "n\n2\n"


def test_the_shell_reads_queries_over_several_lines(lake):
    found = run("--lake", lake.root, input="SELECT title\nFROM films;\nSELECT 7 AS seven;\n.quit\nSELECT 8;\n")
    assert found.stdout.splitlines() == ["title", "A film", "seven", "7"]


def test_the_shell_lists_tables_and_views(lake):
    listed = run("--lake", lake.root, input=".tables\n").stdout
    assert all(f"\n{name}," in listed for name in ("runs", "epochs", "ranks", "leaderboard", "films"))
    assert "system" in run("--lake", lake.root, input=".describe runs\n").stdout


def test_nothing_can_be_changed(lake):
    record_run(lake, Run("r", "All", "small", 0, "v1"))
    assert "read-only" in str(run("--lake", lake.root, "DELETE FROM runs").exception)


def test_a_wrong_query_is_explained_in_duckdbs_words(lake):
    failed = run("--lake", lake.root, "SELECT nothing FROM films").exception
    assert isinstance(failed, InputError) and "nothing" in str(failed)


def test_a_lake_that_is_not_there_is_not_made(tmp_path):
    assert "There is no lake" in str(run("--lake", str(tmp_path / "typo"), "SELECT 1").exception)
    assert not (tmp_path / "typo").exists()


def test_a_wide_table_goes_on_below_with_its_first_column():
    console = Console(file=io.StringIO(), width=40)
    sql.show(console, ["system", *(f"column_{i}" for i in range(6))], [("All", *range(6))])
    text = console.file.getvalue()
    assert text.count("system") > 1 and text.count("column_5") == 1 and "1 row" in text
    assert max(map(len, text.splitlines())) <= 40
