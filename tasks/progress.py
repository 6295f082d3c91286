"""Show progress bars on stderr if it is a terminal, and nothing if it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

Bars = Callable[[str, int, int], None]
"""Progress callback (description, completed, total); total is 0 if it is not known."""


@contextmanager
def bars() -> Iterator[Bars]:
    """Yield a callback that shows one bar per description, or does nothing if stderr is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda description, completed, total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        tasks = {}

        def report(description: str, completed: int, total: int) -> None:
            if description not in tasks:
                tasks[description] = progress.add_task(description, total=total or None)
            progress.update(tasks[description], completed=completed, total=total or None)

        yield report
