"""The short table that ends a refresh: what was collected, what was dropped and why, how good the model is."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from storage import metrics, tables

QUERIES = (
    "SELECT * FROM leaderboard",
    "SELECT stage, reason, count(*) AS items FROM outcomes WHERE status <> 'ok' GROUP BY ALL ORDER BY items DESC",
)
"""Two to start from; they are also in README.md."""


def print_summary(root: str, done: dict[str, Any]) -> None:
    """Print what a refresh did and where it stands; `done` is what the flow returned."""
    console = Console()
    lake = tables.open_tables(root)
    metrics.refresh_views(lake)
    console.print(_collected(done))
    with metrics.connect_metrics(lake, read_only=True) as connection:
        console.print(_dropped(connection))
        console.print(_measured(connection))
    console.print(f"[bold]Files[/]    lake {lake.root}   database {metrics.database_path(lake)}")
    console.print("[bold]Try[/]      " + "\n         ".join(f'needledrop sql --lake {root} "{q}"' for q in QUERIES), soft_wrap=True)


def _collected(done: dict[str, Any]) -> Table:
    table = Table(title="What this run did", title_justify="left")
    table.add_column("step")
    table.add_column("result")
    for step, counts in done.items():
        table.add_row(step, ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in counts.items()))
    return table
