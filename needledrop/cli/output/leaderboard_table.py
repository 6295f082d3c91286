"""The leaderboard's rows of a training as a table for the terminal, next to baselines, chance and the paper.

It has one row per system and settings over all its seeds, as in the view `leaderboard`; where a system has several
settings, a column has their digest, and below the table is said once what each is. Where it is wider than the terminal
it loses its less important columns, so that no number is clipped; these are in the view, and the results of each seed
in `metrics`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from storage.tables.duckdb_connection import fetch_rows
from storage.tables.tables import open_tables

Row = dict[str, Any]
_GAP = 2
"""Characters between two columns."""


@dataclass(frozen=True)
class Column:
    """A column of the table; where not all fit, the ones with the highest `dropped_at` go first, 0 never."""

    heading: str
    dropped_at: int
    cell: Callable[[Row], str]

    def width(self, rows: Sequence[Row]) -> int:
        """Return the characters of the longest line of the heading and the cells."""
        cells = (self.heading, *(self.cell(row) for row in rows))
        return max(len(line) for cell in cells for line in cell.splitlines() or [""])


def leaderboard_rows(root: str, version: str, run_ids: Sequence[str]) -> list[Row]:
    """Return the leaderboard's rows of the systems of these runs, and of the baselines, ceiling and chance.

    Baselines that are made of a run's queries are those of these settings; those of audio encoders are of no run.

    A system that was measured with several settings has a row for each, and so has a model for any parts for each
    choice of them.
    """
    from storage.metrics.database import connect_metrics

    with connect_metrics(open_tables(root)) as connection:
        rows = fetch_rows(
            connection,
            "WITH shown AS (SELECT DISTINCT system, settings_digest, policy FROM runs JOIN run_policies USING (run_id) "
            "WHERE list_contains($runs, run_id) OR list_contains($runs, regexp_extract(model_folder, '[^/]*$'))) "
            "SELECT board.*, paper.r_at_10 AS paper_r_at_10, paper.medr AS paper_medr, "
            "paper.r_at_10 / (100 * 10 / 1964) AS paper_times FROM leaderboard AS board "
            "LEFT JOIN paper ON board.source = 'trained' AND paper.system = board.system "
            "WHERE dataset_version = $version AND CASE source "
            "WHEN 'trained' THEN (board.system, policy) IN (SELECT (system, policy) FROM shown) "
            "WHEN 'control' THEN policy IN (SELECT policy FROM shown) "
            "AND (coalesce(settings_digest, '') IN (SELECT settings_digest FROM shown UNION SELECT '') "
            "OR settings_digest NOT IN (SELECT settings_digest FROM runs WHERE source = 'trained')) ELSE true END",
            runs=list(run_ids),
            version=version,
        )
    return _each_baseline_once(rows)


def _each_baseline_once(rows: Sequence[Row]) -> list[Row]:
    """Return the rows without repeated baselines, where runs of whole plots and others have policies of their own.

    The first row of a baseline, of the policy with all paragraphs, stays.
    """
    kept: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        policy = row["policy"] if row["source"] != "control" else None
        kept.setdefault((row["source"], row["system"], row["settings_digest"], policy), row)
    return list(kept.values())


def training_table(rows: Sequence[Row], width: int) -> Table:
    """Return the rows as a table of at most `width` characters, with as many columns as fit."""
    chance = next((row["r_at_10"] for row in rows if row["source"] == "chance"), None)
    rows = [{**row, "chance": chance} for row in rows]
    table = Table(
        box=box.SIMPLE_HEAD, show_edge=False, padding=(0, _GAP - 1, 0, 0), pad_edge=False, caption_justify="left"
    )
    columns = columns_that_fit(rows, width)
    has_settings = any(column.heading == "settings" for column in columns)
    has_paper = {column.heading for column in columns} >= _PAPER
    below = [*(_legend(rows) if has_settings else ()), _caption(rows), *(() if has_paper else _of_paper(rows))]
    table.caption = Text("\n".join(below))
    for column in columns:
        is_name = column.heading in ("system", "settings")
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
    columns = [column for column in _COLUMNS if column.heading != "settings" or len(_legend(rows)) > 1]
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


def _legend(rows: Sequence[Row]) -> list[str]:
    """Return what the settings of each digest are, in the order of the rows: with a digest `compare` finds a row."""
    known = {row["settings_digest"]: row["settings"] for row in rows if row["settings_digest"]}
    return [f"{digest}: {settings}" for digest, settings in known.items()]


def _of_paper(rows: Sequence[Row]) -> list[str]:
    """Return the paper's figures as a line, for a terminal that has no place for their columns."""
    recall, medr = _figure("paper_r_at_10", 2), _figure("paper_medr")
    known = {row["system"]: f"{row['system']} {recall(row)}, {medr(row)}" for row in rows if row["paper_medr"]}
    return [f"The paper's R@10 and MedR, of 1,964 tracks: {'; '.join(known.values())}."] if known else []


def _times(row: Row) -> str:
    return f"{row['r_at_10'] / row['chance']:.1f}" if row["chance"] else ""


_PAPER = {"paper\nR@10", "paper\nMedR"}
_COLUMNS: tuple[Column, ...] = (
    Column("system", 0, lambda row: row["system"]),
    Column("settings", 0, lambda row: row["settings_digest"] or ""),
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
