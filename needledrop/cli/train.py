"""`needledrop train`: train the systems of the paper's Table 1 on a data-set version, measure them, print their table.

The table has one row per system over all its seeds, as in the view `leaderboard`, next to baselines, chance and the
paper. Where it is wider than the terminal it loses its less important columns, so that no number is clipped; these
are in the view, and the results of each seed in `metrics`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from flows.parameters import TrainAndEvaluateParameters
from needledrop.cli.options import options_of
from needledrop.cli.run_flow import prefect_for_commands, run_flow
from storage.tables.tables import fetch_rows, open_existing, open_tables

Row = dict[str, Any]

_GAP = 2
"""Characters between two columns."""


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("train")(train_command)


@options_of(TrainAndEvaluateParameters)
def train_command(parameters: TrainAndEvaluateParameters, verbose: bool) -> None:
    """Train systems and measure them on the held-out years.

    Finished runs are skipped, and an interrupted one resumes where it stopped. A system that fails does not stop
    the others. On several GPUs start it with torchrun: each batch is split among them.

    [bold]Examples[/]

    needledrop train --system all --preset small --seeds 3

    torchrun --no-python --nproc-per-node 4 needledrop train --system All --preset paper
    """
    parameters = replace(parameters, lake=open_existing(parameters.lake).root)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:  # under torchrun all ranks are one run, not one flow run each
        with prefect_for_commands(verbose=verbose):
            from flows.train_and_evaluate import train_and_evaluate

            result = train_and_evaluate.fn(**vars(parameters))
    else:
        result = run_flow("flows.train_and_evaluate:train_and_evaluate", parameters, verbose=verbose)
    if int(os.environ.get("RANK", "0")) == 0:
        print_training(parameters.lake, result)


@dataclass(frozen=True)
class Column:
    """A column of the table; where not all fit, the ones with the highest `dropped_at` go first, 0 never."""

    heading: str
    dropped_at: int
    cell: Callable[[Row], str]

    def width(self, rows: Sequence[Row]) -> int:
        """Return the characters of the longest line of the heading and the cells."""
        return max(len(line) for line in (*self.heading.splitlines(), *(self.cell(row) for row in rows)))


def print_training(root: str, result: dict[str, Any]) -> None:
    """Print what was trained and the table of its systems; `result` is what the flow `train-and-evaluate` returned."""
    console = Console()
    console.print(
        f"{result['trained']} trained, {result['already_done']} already done, {result['failed']} failed "
        f"on {result['version']}",
        highlight=False,
    )
    if result["runs"]:
        rows = leaderboard_rows(root, result["version"], result["runs"])
        console.print(training_table(rows, console.width))
        by_seed = f"SELECT * FROM metrics WHERE dataset_version = '{result['version']}'"
        console.print(f'Results by seed: needledrop sql --lake {root} "{by_seed}"', soft_wrap=True, highlight=False)


def leaderboard_rows(root: str, version: str, run_ids: Sequence[str]) -> list[Row]:
    """Return the leaderboard's rows of the systems of these runs, and of the baselines, ceiling and chance."""
    from storage.metrics.database import connect_metrics

    with connect_metrics(open_tables(root)) as connection:
        return fetch_rows(
            connection,
            "WITH shown AS (SELECT DISTINCT system, preset, policy FROM runs JOIN run_policies USING (run_id) "
            "WHERE list_contains($runs, run_id)) "
            "SELECT board.*, paper.r_at_10 AS paper_r_at_10, paper.medr AS paper_medr, "
            "paper.r_at_10 / (100 * 10 / 1964) AS paper_times FROM leaderboard AS board "
            "LEFT JOIN paper ON board.source = 'trained' AND paper.system = board.system "
            "WHERE dataset_version = $version AND CASE source "
            "WHEN 'trained' THEN (board.system, preset, policy) IN (SELECT (system, preset, policy) FROM shown) "
            "WHEN 'control' THEN policy IN (SELECT policy FROM shown) "
            "AND preset IN (SELECT preset FROM shown UNION SELECT 'control') ELSE true END",
            runs=list(run_ids),
            version=version,
        )


def training_table(rows: Sequence[Row], width: int) -> Table:
    """Return the rows as a table of at most `width` characters, with as many columns as fit."""
    chance = next((row["r_at_10"] for row in rows if row["source"] == "chance"), None)
    rows = [{**row, "chance": chance} for row in rows]
    table = Table(
        box=box.SIMPLE_HEAD, show_edge=False, padding=(0, _GAP - 1, 0, 0), pad_edge=False, caption_justify="left"
    )
    table.caption = _caption(rows)
    columns = columns_that_fit(rows, width)
    for column in columns:
        is_name = column.heading == "system"
        table.add_column(column.heading, justify="left" if is_name else "right", no_wrap=not is_name, vertical="bottom")
    previous = None
    for row in rows:
        if previous not in (None, row["source"]):
            table.add_section()
        previous = row["source"]
        table.add_row(*(column.cell(row) for column in columns))
    return table


def columns_that_fit(rows: Sequence[Row], width: int) -> list[Column]:
    """Return the columns without the least important ones, so that the longest cells fit into `width` characters."""
    columns = list(_COLUMNS)
    while sum(column.width(rows) + _GAP for column in columns) - _GAP > width:
        least = max(columns, key=lambda column: column.dropped_at)
        if not least.dropped_at:
            break
        columns.remove(least)
    return columns


def _caption(rows: Sequence[Row]) -> str:
    tracks, films = (rows[0][name] if rows else 0 for name in ("tracks", "films"))
    return (
        f"R@K: % of the {tracks:,} tracks of {films:,} held-out films with a rank of at most K for their film; "
        "MedR: their median rank; 95 %: bootstrap over films, all seeds; times: R@10 over chance, here and in the "
        "paper's Table 1."
    )


def _figure(name: str, digits: int = 1) -> Callable[[Row], str]:
    return lambda row: "" if row[name] is None else f"{row[name]:,.{digits}f}"


def _interval(name: str) -> Callable[[Row], str]:
    low, high = _figure(f"{name}_low"), _figure(f"{name}_high")
    return lambda row: "" if row[f"{name}_low"] is None else f"{low(row)}–{high(row)}"


def _times(row: Row) -> str:
    return f"{row['r_at_10'] / row['chance']:.1f}" if row["chance"] else ""


_COLUMNS: tuple[Column, ...] = (
    Column("system", 0, lambda row: row["system"]),
    Column("seeds", 4, _figure("seeds", 0)),
    Column("R@1", 6, _figure("r_at_1")),
    Column("R@5", 7, _figure("r_at_5")),
    Column("R@10", 0, _figure("r_at_10")),
    Column("95 %", 1, _interval("r_at_10")),
    Column("± seed", 9, _figure("r_at_10_sd")),
    Column("R@20", 10, _figure("r_at_20")),
    Column("R@50", 11, _figure("r_at_50")),
    Column("R@100", 8, _figure("r_at_100")),
    Column("MedR", 0, _figure("medr")),
    Column("95 %", 5, _interval("medr")),
    Column("times", 2, _times),
    Column("paper\nR@10", 12, _figure("paper_r_at_10", 2)),
    Column("paper\nMedR", 13, _figure("paper_medr")),
    Column("paper\ntimes", 3, _figure("paper_times")),
)
