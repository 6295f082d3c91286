"""`needledrop soundtracks` and what belongs to it: find, judge and fetch the music of the films in the lake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from needledrop.embedded import embedded

LAKE = typer.Option(
    "lake", "--lake", envvar="NEEDLEDROP_LAKE", help="Root of the lake: a folder, or s3://bucket/prefix."
)


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command("soundtracks")(soundtracks_command)


def soundtracks_command(
    lake: str = LAKE,
    music: list[Path] = typer.Option(
        None, help="Music folder, or CSV list of film,path,title,artist,licence; may be repeated."
    ),
    workers: int = typer.Option(2, min=1, max=64, help="Processes that decode audio side by side."),
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Show Prefect's own log lines."),
) -> None:
    """Collect the music of every film in the lake that has none yet.

    A folder's files are matched with films by their tags; a list pairs them itself. What is done is never
    done again, so the same command is the first run, the refresh and the repair.

    [bold]Example[/]: needledrop soundtracks --music ~/Music/Soundtracks --music library.csv
    """
    parameters: dict[str, Any] = {
        "lake": lake,
        "music": [str(path) for path in music or []] or None,
        "workers": workers,
    }
    with embedded(verbose=verbose):
        from flows.collect_soundtracks import collect_soundtracks

        done = collect_soundtracks(**parameters)
    Console().print(", ".join(f"{name.replace('_', ' ')} {count}" for name, count in done.items()))
