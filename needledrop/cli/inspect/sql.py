"""`needledrop sql`: query the lake in SQL, read-only, or open a shell.

Each query opens the metrics file, reads and closes it, so a shell that stays open never keeps a training run from
writing its results.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import duckdb
import typer
from rich.console import Console
from typer.core import TyperCommand

from needledrop.cli.options import LakeRoot
from needledrop.cli.output.terminal_tables import print_rows
from storage.errors import InputError
from storage.lake.lake import Lake
from storage.tables.duckdb_connection import queried_store
from storage.tables.tables import open_existing

Result = tuple[list[str], list[tuple[Any, ...]]]
"""Columns and rows of one query."""
_HELP = "End a query with ; and Enter. .tables lists tables and views, .describe NAME its columns, .quit leaves."
_TABLES = (
    "SELECT table_name AS name, CASE table_type WHEN 'VIEW' THEN 'view' ELSE 'table' END AS kind, "
    "string_agg(column_name, ', ' ORDER BY ordinal_position) AS columns FROM information_schema.tables "
    "JOIN information_schema.columns USING (table_catalog, table_schema, table_name) "
    "WHERE table_catalog <> 'temp' AND table_name <> 'metrics_schema' GROUP BY ALL ORDER BY kind, name"
)


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("sql", cls=_QueryCommand)(sql_command)


class _QueryCommand(TyperCommand):
    """A command whose query may begin with a comment, as those of the documentation do."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        comments = [arg for arg in args if re.match(r"--(\s|.*\n)", arg)]
        if comments and "--" not in args:
            args = [*(arg for arg in args if arg not in comments), "--", *comments]
        return super().parse_args(ctx, args)


def sql_command(
    query: str | None = typer.Argument(None, help="Query; without one, a shell opens."),
    lake: LakeRoot = "lake",
) -> None:
    """Query the lake in SQL (DuckDB, read-only): runs, epochs, ranks, metrics and everything collected.

    Prints a table in a terminal, CSV into a pipe or a file; of several queries, separated by semicolons, one after
    another. In the shell, .tables lists tables and views. Read-only means that no query changes the lake or its
    metrics; COPY (SELECT …) TO 'films.parquet' writes a file of your own.

    [bold]Examples[/]: needledrop sql "SELECT * FROM leaderboard"
    · needledrop sql "SELECT year, count(*) FROM films GROUP BY year ORDER BY year" > years.csv
    · needledrop sql
    """
    opened = open_existing(lake)
    if query is None:
        _shell(opened)
    else:
        print_answers(ask(opened, query))


def print_answers(results: Iterable[Result]) -> None:
    """Print the results of queries, an empty line between two."""
    for number, (columns, rows) in enumerate(results):
        if number:
            sys.stdout.write("\n")
        print_rows(columns, rows)


def ask(lake: Lake, query: str) -> list[Result]:
    """Return the columns and rows of each query in the text.

    Raises `InputError` with DuckDB's own message for a wrong one, and where there is none.
    """
    from storage.metrics.database import connect_metrics
    from storage.views.lake_views import define_audio_views, define_lake_views, define_mel_view

    with connect_metrics(lake) as connection:
        define_lake_views(connection, lake, temporary=True)
        # Listing every shard takes time, so these views are defined for queries that name them.
        views = [
            define for part, define in (("mels", define_mel_view), ("audio_e", define_audio_views)) if part in query
        ]
        damaged = [path for define in views for path in define(connection, lake, temporary=True)]
        try:
            try:
                with queried_store():
                    result = _run(connection, query)
            except duckdb.Error:
                if not views or damaged:
                    raise
                damaged = [
                    path for define in views for path in define(connection, lake, temporary=True, only_intact=True)
                ]
                with queried_store():
                    result = _run(connection, query)
        except duckdb.Error as error:
            raise InputError(f"This query cannot be answered: {error}") from error
    if damaged:
        warning = f"Left out {len(damaged)} damaged files, such as {damaged[0]}; `needledrop verify` lists them"
        Console(stderr=True).print(warning, style="red", markup=False, highlight=False)
    return result


def _run(connection: duckdb.DuckDBPyConnection, query: str) -> list[Result]:
    results = []
    for statement in connection.extract_statements(query):
        cursor = connection.execute(statement)
        results.append(([column[0] for column in cursor.description or []], cursor.fetchall()))
    if not results:
        raise InputError('There is no query; give one, such as "SELECT * FROM leaderboard", or none to open the shell')
    return results


def _shell(lake: Lake) -> None:
    """Read queries until the end of the input; an error is printed and the shell continues."""
    interactive = sys.stdin.isatty()
    console = Console()
    if interactive:
        import readline  # noqa: F401 - gives input() history and editing

        console.print(f"[bold]{lake.root}[/]  read-only. {_HELP}", highlight=False)
    for query in _queries(_lines(interactive)):
        if query == ".quit":
            return
        try:
            print_answers(ask(lake, _expanded(query)))
        except InputError as error:
            if not interactive:
                raise
            console.print(str(error), style="red", markup=False, highlight=False)


def _lines(interactive: bool) -> Iterator[str]:
    while True:
        try:
            yield input("needledrop> " if interactive else "")
        except (EOFError, KeyboardInterrupt):
            return


def _queries(lines: Iterable[str]) -> Iterator[str]:
    """Yield complete queries: a line that starts with a dot, or lines up to one that ends with a semicolon."""
    pending: list[str] = []
    for line in lines:
        if not pending and line.strip().startswith("."):
            yield line.strip()
        elif line.strip():
            pending.append(line)
            if line.rstrip().endswith(";"):
                yield "\n".join(pending)
                pending = []
    if pending:
        yield "\n".join(pending)


def _expanded(query: str) -> str:
    if query == ".tables":
        return _TABLES
    if query.startswith(".describe "):
        name = query.removeprefix(".describe ").strip()
        return f'DESCRIBE "{name}"'
    if query.startswith("."):
        raise InputError(f"There is no command {query}. {_HELP}")
    return query
