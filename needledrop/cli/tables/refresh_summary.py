"""The short table that ends a refresh: what was collected, what was dropped and why, how good the model is."""

from __future__ import annotations

from typing import Any

from duckdb import DuckDBPyConnection
from rich.console import Console
from rich.table import Table

from storage.lake.lake import Lake
from storage.metrics.schema import RECALL_AT

QUERIES = (
    "SELECT * FROM leaderboard",
    "SELECT stage, reason, count(*) AS items FROM outcomes WHERE status <> 'ok' GROUP BY ALL ORDER BY items DESC",
)
"""Two to start from; they are also in README.md."""


def print_summary(root: str, done: dict[str, Any]) -> None:
    """Print what a refresh did and where the lake stands; `done` is what the flow returned."""
    from storage.metrics import records as metrics
    from storage.tables import tables

    console = Console()
    lake = tables.open_tables(root)
    metrics.refresh_views(lake)
    console.print(_what_was_done(done))
    with metrics.connect_metrics(lake, read_only=True) as connection:
        console.print(_what_was_dropped(connection))
        console.print(_how_good_it_is(connection, done["dataset"]["version"]))
    _print_files(console, lake)
    for query in QUERIES:
        console.print(f'[bold]Try[/]    needledrop sql --lake {root} "{query}"', soft_wrap=True, highlight=False)


def _print_files(console: Console, lake: Lake) -> None:
    folders = ("films", "thumbnails", "tracks", "mels", "datasets", "models")
    sizes = {
        name: sum(lake.size_bytes(file) for file in lake.list(name)) / 1e6 for name in folders if lake.exists(name)
    }
    listed = ", ".join(f"{name} {size:,.1f} MB" for name, size in sizes.items())
    console.print(f"[bold]Files[/]  {lake.root}: {listed}", soft_wrap=True, highlight=False)


def _what_was_done(done: dict[str, Any]) -> Table:
    table = _table("What this run did", "step", "result")
    for step, counts in done.items():
        said = [f"{name.replace('_', ' ')} {_as_text(value)}" for name, value in counts.items() if value]
        table.add_row(step, ", ".join(said) or "nothing to do: all of it is committed already")
    return table


def _as_text(value: Any) -> str:
    return ", ".join(str(part) for part in value) if isinstance(value, list) else str(value)


def _what_was_dropped(connection: DuckDBPyConnection) -> Table:
    table = _table("What was left out, and why", "what", "reason", "how many")
    rows = connection.execute(
        "SELECT stage, reason, count(*) FROM outcomes WHERE status <> 'ok' GROUP BY ALL "
        "UNION ALL SELECT kind || ' not in the version', rule, count(*) FROM exclusions GROUP BY ALL ORDER BY 1, 3 DESC"
    )
    for what, reason, items in rows.fetchall():
        table.add_row(what, str(reason).replace("_", " "), str(items))
    return table


def _how_good_it_is(connection: DuckDBPyConnection, version: str) -> Table:
    """The systems of one version beside chance; `leaderboard` has intervals and the paper's table too."""
    recalls = [f"r_at_{k}" for k in RECALL_AT]
    rows = connection.execute(
        f"SELECT system, tracks, {', '.join(recalls)}, medr FROM leaderboard WHERE dataset_version = ? "
        "AND (policy IS NULL OR policy IN "
        "(SELECT policy FROM run_policies JOIN runs USING (run_id) WHERE dataset_version = ?))",
        [version, version],
    )
    found = rows.fetchall()
    tracks = found[0][1] if found else 0
    title = f"How well the music of held-out films is found: recall in % over {tracks} tracks, median rank"
    table = _table(title, "system", *(f"R@{k}" for k in RECALL_AT), "MedR")
    for system, _, *figures in found:
        table.add_row(system, *(f"{figure:.1f}" for figure in figures))
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=column == columns[0])
    return table
