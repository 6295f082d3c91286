"""`needledrop verify`: check the lake for damage, without changing anything."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from needledrop.cli.options import LakeRoot
from storage.errors import LakeError
from storage.tables.tables import open_existing
from storage.verify import Damage, file_count, verify


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("verify")(verify_command)


def verify_command(
    lake: LakeRoot = "lake",
    deep: bool = typer.Option(False, help="Also compare the checksum of every page, which reads the whole lake."),
) -> None:
    """Check for damage: truncated or changed files, mels without tracks, versions that refer to deleted files.

    Changes nothing. Exits with status 3 if anything is damaged, and prints for each file what to do.

    [bold]Example[/]: needledrop verify --deep
    """
    opened = open_existing(lake)
    errors = Console(stderr=True)
    columns = TextColumn("Checking files"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        files = file_count(opened)
        task = progress.add_task("verify", total=files)
        damages = list(verify(opened, deep=deep, on_file=lambda _: progress.advance(task)))
    if damages:
        Console().print(_as_table(damages))
        raise LakeError(f"{len(damages)} damaged files in {opened.root}; the table above tells what to do about each")
    Console().print(
        f"{files} files of {opened.root} are intact{'' if deep else ' (footers and hashes; --deep reads everything)'}"
    )


def _as_table(damages: list[Damage]) -> Table:
    table = Table(title="Damage", title_justify="left")
    for name in ("file", "damage", "what to do"):
        table.add_column(name, overflow="fold")  # a path must be there as a whole
    for damage in damages:
        table.add_row(damage.path, damage.what, damage.remedy)
    return table
