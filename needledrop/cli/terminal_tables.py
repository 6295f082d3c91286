"""What commands print alike: rows as a table or as CSV, lengths, the sentence about a pause, a command to type."""

from __future__ import annotations

import csv
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from storage.output_escaping import printable

ROWS_SHOWN = 1000
"""Rows printed in a terminal at most; a file or a pipe gets every row."""
_WIDEST_CELL = 60
_PADDING = 2


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows as a table in a terminal, as CSV into a pipe or a file."""
    if sys.stdout.isatty():
        show(Console(), columns, rows)
    else:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def show(console: Console, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows as a table; one wider than the screen continues below, with its first column repeated."""
    cells = [[_text(value) for value in row] for row in rows[:ROWS_SHOWN]]
    for group in _groups(columns, cells, console.width):
        table = Table(box=None, header_style="bold", pad_edge=False)
        for index in group:
            numeric = any(isinstance(row[index], int | float) for row in rows[:ROWS_SHOWN])
            table.add_column(columns[index], justify="right" if numeric else "left", overflow="fold")
        for row in cells:
            table.add_row(*(row[index] for index in group))
        console.print(table, markup=False, highlight=False)
        console.print()
    more = f", {len(rows) - ROWS_SHOWN} not shown: narrow the query or send it to a file" * (len(rows) > ROWS_SHOWN)
    console.print(f"{len(rows)} row{'s' * (len(rows) != 1)}{more}", style="dim", highlight=False)


def _groups(columns: Sequence[str], cells: Sequence[Sequence[str]], width: int) -> Iterator[list[int]]:
    """Yield column numbers that fit on the screen together, column 0 first in every group."""
    needed = [
        min(max([len(name), *(len(row[index]) for row in cells)]), _WIDEST_CELL) + _PADDING
        for index, name in enumerate(columns)
    ]
    group: list[int] = []
    for index in range(len(columns)):
        if len(group) > 1 and sum(needed[i] for i in group) + needed[index] > width:
            yield group
            group = [0]
        group.append(index)
    yield group


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.2f}" if abs(value) >= 1 else f"{value:.4f}"
    return printable(str(value).replace("\n", " "))


def as_clock(seconds: float) -> str:
    """Return a length or a place in a recording as minutes and seconds, or hours: 7:21, 1:02:03."""
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def print_pause(summary: Mapping[str, Any]) -> bool:
    """Print the sentence about a source's pause that a run's summary may have; return whether it has one."""
    paused = summary.get("paused")
    if paused:
        Console(stderr=True).print(f"[bold yellow]Paused[/]: {escape(str(paused))}", soft_wrap=True)
    return bool(paused)


def typed_command() -> str:
    """Return the command as the user can type it here: with its folder where that is not on the path."""
    typed = Path(sys.argv[0])
    if shutil.which("needledrop") or typed.name != "needledrop":
        return "needledrop"
    return os.path.relpath(typed)
