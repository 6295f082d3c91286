"""Progress bars on stderr, where a person watches; silence where nobody does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

Bars = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is (0 where that is not known)."""


@contextmanager
def bars() -> Iterator[Bars]:
    """A function that moves one bar a kind of work; it does nothing if stderr is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda what, done, total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        rows = {}

        def move(what: str, done: int, total: int) -> None:
            if what not in rows:
                rows[what] = progress.add_task(what, total=total or None)
            progress.update(rows[what], completed=done, total=total or None)

        yield move
