"""The table that ends `needledrop train`: the systems with their intervals, beside controls, chance and the paper.

A row is a system over all its seeds, as in the view `leaderboard`. A narrow terminal gets fewer columns
rather than cut numbers; what is left out there is in the view, and each seed by itself in `metrics`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from storage.metrics.records import connect_metrics
from storage.tables import tables

Row = dict[str, Any]

_GAP = 2
"""Characters between two columns."""
_LEAST_WIDTH = 80


def print_training(root: str, done: dict[str, Any]) -> None:
    """Print what was trained and what stands measured; `done` is what the flow `train-and-evaluate` returned."""
    console = Console()
    console.print(
        f"{done['trained']} trained, {done['already_done']} done before, {done['failed']} failed on {done['version']}",
        highlight=False,
    )
    if done["runs"]:
        console.print(training_table(measured_rows(root, done["version"], done["runs"]), console.width))
        by_seed = f"SELECT * FROM metrics WHERE dataset_version = '{done['version']}'"
        console.print(f'Seed by seed: needledrop sql --lake {root} "{by_seed}"', soft_wrap=True, highlight=False)


def measured_rows(root: str, version: str, run_ids: Sequence[str]) -> list[Row]:
    """The leaderboard's rows of the systems of these runs, and of the controls, ceiling and chance beside them."""
    with connect_metrics(tables.open_tables(root)) as connection:
        cursor = connection.execute(
            "WITH shown AS (SELECT DISTINCT system, preset, policy FROM runs JOIN run_policies USING (run_id) "
            "WHERE list_contains($runs, run_id)) "
            "SELECT board.*, paper.r_at_10 AS paper_r_at_10, paper.medr AS paper_medr, "
            "paper.r_at_10 / (100 * 10 / 1964) AS paper_times FROM leaderboard AS board "
            "LEFT JOIN paper ON board.source = 'trained' AND paper.system = board.system "
            "WHERE dataset_version = $version AND CASE source "
            "WHEN 'trained' THEN (board.system, preset, policy) IN (SELECT (system, preset, policy) FROM shown) "
            "WHEN 'control' THEN policy IN (SELECT policy FROM shown) "
            "AND preset IN (SELECT preset FROM shown UNION SELECT 'control') ELSE true END",
            {"runs": list(run_ids), "version": version},
        )
        names = [column[0] for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def training_table(rows: Sequence[Row], width: int) -> Table:
    """The rows as a table for a terminal of `width` characters (a narrower one than 80 is taken for that)."""
    columns = [column for column in _COLUMNS if column[1] <= max(width, _LEAST_WIDTH)]
    table = Table(
        box=box.SIMPLE_HEAD, show_edge=False, padding=(0, _GAP - 1, 0, 0), pad_edge=False, caption_justify="left"
    )
    table.caption = _caption(rows)
    for heading, _, _ in columns:
        name = heading == "system"
        table.add_column(heading, justify="left" if name else "right", no_wrap=True, vertical="bottom")
    chance = next((row["r_at_10"] for row in rows if row["source"] == "chance"), None)
    previous = None
    for row in rows:
        if previous not in (None, row["source"]):
            table.add_section()
        previous = row["source"]
        table.add_row(*(cell({**row, "chance": chance}) for _, _, cell in columns))
    return table


def _caption(rows: Sequence[Row]) -> str:
    tracks, films = (rows[0][name] if rows else 0 for name in ("tracks", "films"))
    return (
        f"R@K: % of the {tracks:,} tracks of {films:,} held-out films that stand among the first K for their film; "
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


_COLUMNS: tuple[tuple[str, int, Callable[[Row], str]], ...] = (
    ("system", 0, lambda row: row["system"]),
    ("seeds", 0, _figure("seeds", 0)),
    ("R@1", 0, _figure("r_at_1")),
    ("R@5", 100, _figure("r_at_5")),
    ("R@10", 0, _figure("r_at_10")),
    ("95 %", 0, _interval("r_at_10")),
    ("± seed", 120, _figure("r_at_10_sd")),
    ("R@20", 120, _figure("r_at_20")),
    ("R@50", 120, _figure("r_at_50")),
    ("R@100", 100, _figure("r_at_100")),
    ("MedR", 0, _figure("medr")),
    ("95 %", 0, _interval("medr")),
    ("times", 0, _times),
    ("paper\nR@10", 140, _figure("paper_r_at_10", 2)),
    ("paper\nMedR", 140, _figure("paper_medr")),
    ("paper\ntimes", 0, _figure("paper_times")),
)
"""(heading, the narrowest terminal that shows it, its cell)."""
