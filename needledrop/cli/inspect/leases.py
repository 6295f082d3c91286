"""`needledrop leases`: what processes on all machines are working on, and leases released by hand."""

from __future__ import annotations

from datetime import timedelta

import typer
from rich.console import Console
from rich.table import Table

from needledrop.cli.options import LakeRoot
from storage.coordination.list_and_free_leases import HeldLease, list_leases, release_by_hand
from storage.errors import InputError
from storage.lake.lake import Lake
from storage.tables.tables import open_existing


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("leases")(leases_command)


def leases_command(
    lake: LakeRoot = "lake",
    release: str = typer.Option("", metavar="ITEM", help="Free this item, whoever holds it."),
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask before freeing."),
) -> None:
    """List what processes on all machines are working on, for how long, and whether they live; free one by hand.

    A process that ended blocks nothing for longer than five minutes, so freeing is rarely needed. The holder of a
    lease that was freed, if it lives after all, commits nothing more.

    [bold]Examples[/]: needledrop leases · needledrop leases --release refresh
    """
    from flows.runs.start_and_end import asking_prefect

    opened = open_existing(lake)
    with asking_prefect():
        held = list_leases(opened)
    if release:
        _release(opened, release, held, yes=yes)
    elif held:
        Console().print(_as_table(held))
    else:
        Console().print(f"Nobody works on {opened.root}.", soft_wrap=True)


def _release(lake: Lake, item: str, held: list[HeldLease], *, yes: bool) -> None:
    found = next((one for one in held if one.item == item), None)
    if found is None:
        known = ", ".join(one.item for one in held) or "none"
        raise InputError(f"Nobody holds {item!r}; what is held: {known}")
    if not yes:
        question = f"{item} is held by {found.holder or 'an unknown process'} ({found.standing.value}). Free it?"
        typer.confirm(question, abort=True)
    release_by_hand(lake, item)
    Console().print(f"{item} is free.", soft_wrap=True)


def _as_table(held: list[HeldLease]) -> Table:
    """Return leases as a table for the terminal; an item is never broken, so that it can be copied to --release."""
    table = Table(title="Leases", title_justify="left", title_style="bold", box=None, pad_edge=False)
    for name in ("item", "number", "for", "state", "holder"):
        is_number = name in ("number", "for")
        table.add_column(name, justify="right" if is_number else "left", no_wrap=name == "item", overflow="fold")
    for one in held:
        number = str(one.number) if one.number else "old"
        table.add_row(one.item, number, _age(one.seconds), one.standing.value, str(one.holder or "unknown"))
    return table


def _age(seconds: float | None) -> str:
    return "" if seconds is None else str(timedelta(seconds=max(0, round(seconds))))
