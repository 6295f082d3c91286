"""`needledrop films`, `soundtracks` and `retry`: collect films from Wikipedia or an export, and their music."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.table import Table

from flows.parameters import CollectFilmsParameters, CollectSoundtracksParameters
from needledrop.cli.options import options_of
from needledrop.cli.run_flow import print_pause, run_flow
from storage.errors import InputError, SourcePaused


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command("films")(films_command)
    app.command("soundtracks")(soundtracks_command)
    app.command("retry")(retry_command)


@options_of(CollectFilmsParameters)
def films_command(parameters: CollectFilmsParameters, verbose: bool) -> None:
    """Collect films: plot, tags, year and poster. Fetches only what is new or changed.

    When the wiki asks for a pause, the run ends with exit status 4: run it again later.

    [bold]Examples[/]

    needledrop films --years 2022 --contact me@example.org

    needledrop films --film "Metropolis (1927 film)" --film @more-films.txt --contact me@example.org

    needledrop films --export enwiki-latest-pages-articles.xml.bz2 --images posters
    """
    counts = run_flow("flows.collect_films:collect_films", parameters, verbose=verbose)
    table = Table("result", "pages or images", title=f"Films in {parameters.lake}", title_justify="left")
    for name, count in counts.items():
        if name != "paused":
            table.add_row(name.replace("_", " "), f"{count:,}")
    Console().print(table)
    if print_pause(counts):
        raise typer.Exit(SourcePaused.exit_status)


@options_of(CollectSoundtracksParameters, without={"retry_reasons"})
def soundtracks_command(parameters: CollectSoundtracksParameters, verbose: bool) -> None:
    """Collect the music of every film in the lake that has none yet.

    Files in a folder are matched with films by their tags; a CSV list assigns them itself; on YouTube, each film's
    official album is looked for. Finished films are skipped, so the same command is the first run, the update and
    the repair. When a source asks for a pause, the run ends with exit status 4: run it again later.

    [bold]Examples[/]

    needledrop soundtracks --music ~/Music/Soundtracks --music library.csv

    needledrop soundtracks --youtube --i-have-the-right-to-collect --film enwiki-123
    """
    _collect_soundtracks(parameters, verbose)


@options_of(CollectSoundtracksParameters, without={"recheck_days", "most_rechecks"})
def retry_command(parameters: CollectSoundtracksParameters, verbose: bool) -> None:
    """Try failures of the given reasons again, permanent failures too, and do nothing else.

    `needledrop status` lists the reasons that there are.

    [bold]Example[/]: needledrop retry --reason http_403 --reason timeout --youtube --i-have-the-right-to-collect
    """
    if not parameters.retry_reasons:
        raise InputError("Name the failures to try again with --reason; `needledrop status` lists the reasons")
    _collect_soundtracks(parameters, verbose)


def _collect_soundtracks(parameters: CollectSoundtracksParameters, verbose: bool) -> None:
    """Run the flow, print its counts, and exit with status 4 if a source asked for a pause."""
    counts = run_flow("flows.collect_soundtracks:collect_soundtracks", parameters, verbose=verbose)
    shown = (f"{name.replace('_', ' ')} {count}" for name, count in counts.items() if name != "paused")
    Console().print(", ".join(shown), soft_wrap=True)
    if print_pause(counts):
        raise typer.Exit(SourcePaused.exit_status)
