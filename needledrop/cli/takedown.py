"""`needledrop takedown`: never collect a film, track or channel again, and delete what is stored of it."""

from __future__ import annotations

import typer
from rich.console import Console

from needledrop.cli.options import LakeRoot
from storage.tables.tables import open_existing


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("takedown")(takedown_command)


def takedown_command(
    item: str = typer.Argument(help="A film id (enwiki-123), a track id (youtube:ID) or a channel (channel:ID)."),
    lake: LakeRoot = "lake",
    because: str = typer.Option("", help="Reason, for the record."),
    undo: bool = typer.Option(False, "--undo", help="Allow the item again; what was deleted stays deleted."),
) -> None:
    """Never collect an item again, and delete what is stored of it: mels, audio, unfinished downloads.

    [bold]Example[/]: needledrop takedown youtube:dQw4w9WgXcQ --because "requested by the label"
    """
    from flows.runs.start_and_end import asking_prefect
    from storage.errors import InputError, LakeError
    from storage.takedown_list_and_erasure import record_takedown
    from tasks.soundtracks.runs.takedown import take_down

    opened = open_existing(lake)
    if ":" in item and not all(item.partition(":")):
        raise InputError(f"{item!r} names nothing; give a film id (enwiki-123), youtube:ID or channel:ID")
    if undo:
        record_takedown(opened, item, because, "command", is_active=False)
        Console().print(f"{item} may be collected again")
        return
    stderr = Console(stderr=True)
    with asking_prefect():
        purged = take_down(opened, item, because, "command", on_wait=lambda said: stderr.print(said, soft_wrap=True))
    Console().print(f"{item} is taken down; deleted the mels of {purged.tracks} tracks of {purged.films} films")
    if purged.held:
        films = ", ".join(f"{film_id} by {holder}" for film_id, holder in purged.held.items())
        raise LakeError(
            f"What is stored of {item} is not all deleted yet, because others hold {films}. A run deletes it itself "
            "before it ends; run this command again after that to be sure"
        )
