"""The short table that ends a refresh: what was collected, what was dropped and why, how good the model is."""

from __future__ import annotations

from typing import Any

from duckdb import DuckDBPyConnection
from rich.console import Console
from rich.table import Table

QUERIES = (
    "SELECT * FROM leaderboard",
    "SELECT stage, reason, count(*) AS items FROM outcomes WHERE status <> 'ok' GROUP BY ALL ORDER BY items DESC",
)
"""Two to start from; they are also in README.md."""


def print_summary(root: str, done: dict[str, Any]) -> None:
    """Print what a refresh did and where the lake stands; `done` is what the flow returned."""
    from storage import metrics, tables

    console = Console()
    lake = tables.open_tables(root)
    metrics.refresh_views(lake)
    console.print(_what_was_done(done))
    with metrics.connect_metrics(lake, read_only=True) as connection:
        console.print(_what_was_dropped(connection))
        console.print(_how_good_it_is(connection))
    console.print(f"[bold]Files[/]  {lake.root}", soft_wrap=True)
    for query in QUERIES:
        console.print(f'[bold]Try[/]    needledrop sql --lake {root} "{query}"', soft_wrap=True, highlight=False)


def _what_was_done(done: dict[str, Any]) -> Table:
    table = _table("What this run did", "step", "result")
    for step, counts in done.items():
        table.add_row(step, ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in counts.items()))
    return table


def _what_was_dropped(connection: DuckDBPyConnection) -> Table:
    table = _table("What was left out, and why", "what", "reason", "how many")
    rows = connection.execute(
        "SELECT stage, reason, count(*) FROM outcomes WHERE status <> 'ok' GROUP BY ALL "
        "UNION ALL SELECT kind || ' not in the version', rule, count(*) FROM exclusions GROUP BY ALL ORDER BY 1, 3 DESC"
    )
    for what, reason, items in rows.fetchall():
        table.add_row(what, str(reason).replace("_", " "), str(items))
    return table


def _how_good_it_is(connection: DuckDBPyConnection) -> Table:
    rows = connection.execute("SELECT * FROM leaderboard")
    names = [column[0] for column in rows.description or []]
    table = _table("How well music is found", *names)
    for row in rows.fetchall():
        table.add_row(*(f"{value:.2f}" if isinstance(value, float) else str(value or "") for value in row))
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column)
    return table
