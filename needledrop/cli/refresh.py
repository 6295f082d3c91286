"""`needledrop refresh` runs the whole pipeline, and prints the tables that end it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table

from flows.parameters import (
    RefreshParameters,
)
from needledrop.cli.options import options_of
from needledrop.cli.output.terminal_tables import print_pause, typed_command
from needledrop.cli.run_prefect_flow import run_flow
from storage.lake.lake import Lake
from storage.metrics.leaderboard_chance_and_paper_views import RECALL_AT
from tasks.run_report import as_words

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

QUERIES = (
    "SELECT system, policy, r_at_1, r_at_10, medr FROM leaderboard",
    "SELECT stage, reason, count(*) AS items FROM outcomes WHERE status <> 'ok' GROUP BY ALL ORDER BY items DESC",
)
"""Example queries; they are also in README.md."""


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("refresh")(refresh_command)


@options_of(RefreshParameters)
def refresh_command(parameters: RefreshParameters, verbose: bool) -> None:
    """Run the whole pipeline: films → soundtracks → data-set version → model → metrics.

    Does only what is missing, so the same command is the first run, the update and the repair. To work on single
    films, use `films --film` and `soundtracks --film`; to repeat failures, `retry`; for the settings of a training
    run (batch, learning rate, pretrained models, …), `train`.

    [bold]Examples[/]

    needledrop refresh --export export.xml.bz2 --images posters --music library.csv

    needledrop refresh --years 2019-2022 --contact me@example.org --youtube --i-have-the-right-to-collect
    """
    run_refresh(parameters, verbose=verbose)


def run_refresh(parameters: RefreshParameters, *, verbose: bool) -> None:
    """Run the flow in this process and print its summary."""
    summary = run_flow("flows.refresh:refresh", parameters, verbose=verbose)
    print_summary(parameters.lake, summary)
    print_pause(summary)


def print_summary(root: str, result: dict[str, Any]) -> None:
    """Print what a refresh did and the state of the lake; `result` is what the flow `refresh` returned."""
    from storage.metrics.database import connect_metrics, refresh_views
    from storage.tables import tables

    console = Console()
    lake = tables.open_tables(root)
    refresh_views(lake)
    console.print(_steps(result))
    with connect_metrics(lake, read_only=True) as connection:
        console.print(_left_out(connection))
        if (retrieval := _retrieval(connection, result["dataset"]["version"])).row_count:
            console.print(retrieval)
    _print_files(console, lake)
    for query in QUERIES:
        console.print(f'[bold]Try[/]    {typed_command()} sql --lake {root} "{query}"', soft_wrap=True, highlight=False)


def _print_files(console: Console, lake: Lake) -> None:
    folders = ("films", "thumbnails", "tracks", "mels", "datasets", "models")
    sizes = {
        name: sum(lake.size_bytes(file) for file in lake.list(name)) / 1e6 for name in folders if lake.exists(name)
    }
    listed = ", ".join(f"{name} {size:,.1f} MB" for name, size in sizes.items())
    console.print(f"[bold]Files[/]  {lake.root}: {listed}", soft_wrap=True, highlight=False)


def _steps(result: dict[str, Any]) -> Table:
    table = _table("Steps of this run", "step", "result")
    for step, counts in result.items():
        if not isinstance(counts, dict):
            continue  # the sentence about a pause, which is printed by itself
        table.add_row(step.replace("_", " "), as_words(counts) or "nothing to do: everything is up to date")
    return table


def _left_out(connection: DuckDBPyConnection) -> Table:
    table = _table("Left out", "item", "reason", "count")
    rows = connection.execute(
        "SELECT stage, reason, count(*) FROM outcomes WHERE status <> 'ok' GROUP BY ALL "
        "UNION ALL SELECT kind || ' not in the version', rule, count(*) FROM exclusions GROUP BY ALL ORDER BY 1, 3 DESC"
    )
    for kind, reason, items in rows.fetchall():
        table.add_row(kind, str(reason).replace("_", " "), str(items))
    return table


def _retrieval(connection: DuckDBPyConnection, version: str) -> Table:
    """Return the metrics of one version's systems, baselines and chance; `leaderboard` also has intervals."""
    recalls = [f"r_at_{k}" for k in RECALL_AT]
    rows = connection.execute(
        f"SELECT system, tracks, {', '.join(recalls)}, medr FROM leaderboard WHERE dataset_version = ? "
        "AND (policy IS NULL OR policy IN "
        "(SELECT policy FROM run_policies JOIN runs USING (run_id) WHERE dataset_version = ?))",
        [version, version],
    ).fetchall()
    tracks = rows[0][1] if rows else 0
    table = _table("Retrieval on held-out films", "system", *(f"R@{k}" for k in RECALL_AT), "MedR")
    table.caption = f"R@K: % of {tracks:,} tracks with a rank of at most K for their film; MedR: their median rank."
    table.caption_justify = "left"
    for system, _, *figures in rows:
        table.add_row(system, *(f"{figure:.1f}" for figure in figures))
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=column == columns[0])
    return table
