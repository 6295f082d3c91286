"""What commands print alike: rows as a table or as CSV, lengths, the sentence about a pause, a command to type."""

from __future__ import annotations

import csv
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

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
    """Print rows as a table; one wider than the screen continues below, with the columns that tell its rows apart."""
    digits = [_digits([row[index] for row in rows[:ROWS_SHOWN]]) for index in range(len(columns))]
    cells = [[_text(value, digits[index]) for index, value in enumerate(row)] for row in rows[:ROWS_SHOWN]]
    numeric = {i for i in range(len(columns)) if any(isinstance(row[i], int | float) for row in rows[:ROWS_SHOWN])}
    for group in _groups(columns, cells, numeric, console.width):
        table = Table(box=None, header_style="bold", pad_edge=False)
        for index in group:
            justify: Literal["left", "right"] = "right" if index in numeric else "left"
            table.add_column(columns[index], justify=justify, overflow="fold")
        for row in cells:
            table.add_row(*(row[index] for index in group))
        console.print(table, markup=False, highlight=False)
        console.print()
    more = f", {len(rows) - ROWS_SHOWN} not shown: narrow the query or send it to a file" * (len(rows) > ROWS_SHOWN)
    console.print(f"{len(rows)} row{'s' * (len(rows) != 1)}{more}", style="dim", highlight=False)


def _groups(
    columns: Sequence[str], cells: Sequence[Sequence[str]], numeric: Set[int], width: int
) -> Iterator[list[int]]:
    """Yield column numbers that fit on the screen together, in every group first those that tell rows apart."""
    needed = [
        min(max([len(name), *(len(row[index]) for row in cells)]), _WIDEST_CELL) + _PADDING
        for index, name in enumerate(columns)
    ]
    if sum(needed) <= width:
        yield list(range(len(columns)))
        return
    names = _names(cells, {i: length for i, length in enumerate(needed) if i not in numeric or i == 0}, 2 * width // 3)
    group = list(names)
    for index in (index for index in range(len(columns)) if index not in names):
        if len(group) > len(names) and sum(needed[i] for i in group) + needed[index] > width:
            yield group
            group = list(names)
        group.append(index)
    yield group


def _names(cells: Sequence[Sequence[str]], needed: Mapping[int, int], width: int) -> list[int]:
    """Return the first column and, as far as they fit, those of `needed` with which the fewest rows look alike."""
    names = [0]

    def told_apart(index: int) -> int:
        return len({tuple(row[i] for i in (*names, index)) for row in cells})

    while told_apart(0) < len(cells):
        fitting = [i for i in needed if sum(needed[name] for name in (*names, i)) <= width]
        best = max((i for i in fitting if i not in names), key=told_apart, default=0)
        if told_apart(best) == told_apart(0):
            break
        names.append(best)
    return names


def _digits(values: Sequence[Any]) -> int:
    """Return after how many decimals a column's numbers end: all alike, so that they can be compared."""
    return 2 if any(isinstance(value, float) and abs(value) >= 1 for value in values) else 4


def _text(value: Any, digits: int) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.{digits}f}"
    return printable(str(value).replace("\n", " "))


def indented(text: str, columns: int = 5, style: str = "") -> Padding:
    """Return a text whose every line, where it is wrapped, begins at the same column."""
    return Padding(Text(text, style, overflow="fold"), (0, 0, 0, columns), expand=False)


def as_clock(seconds: float) -> str:
    """Return a length or a place in a recording as minutes and whole seconds, or hours: 7:21, 1:02:03.

    A part of a second is left off, as players do and the studio does: a moment never begins after its sound.
    """
    minutes, left = divmod(int(seconds), 60)
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
