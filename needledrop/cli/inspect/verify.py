"""`needledrop verify`: is everything in the lake what it says it is? Looks, and changes nothing."""

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
    deep: bool = typer.Option(False, help="Also read every page and compare its checksum: reads the whole lake."),
) -> None:
    """Look for damage: files cut short or changed, mels without tracks, versions that name what is gone.

    Changes nothing. Ends with status 3 if anything is damaged, and says for each file what to do.

    [bold]Example[/]: needledrop verify --deep
    """
    opened = open_existing(lake)
    shown = Console(stderr=True)
    columns = TextColumn("Looking for damage"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal) as progress:
        files = file_count(opened)
        looking = progress.add_task("verify", total=files)
        damages = list(verify(opened, deep=deep, on_file=lambda _: progress.advance(looking)))
    if damages:
        Console().print(_as_table(damages))
        raise LakeError(f"{len(damages)} damages in {opened.root}; the table says what to do about each")
    Console().print(
        f"{files} files of {opened.root} are whole{'' if deep else ' (footers and hashes; --deep reads all)'}"
    )


def _as_table(damages: list[Damage]) -> Table:
    table = Table("file", "damage", "what to do", title="Damage", title_justify="left")
    for damage in damages:
        table.add_row(damage.path, damage.what, damage.remedy)
    return table
