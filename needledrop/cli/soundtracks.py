"""`needledrop soundtracks` and `needledrop retry`: collect the music of the films in the lake."""

from __future__ import annotations

import typer
from rich.console import Console

from flows.parameters import CollectSoundtracksParameters
from needledrop.cli.options import options_of
from needledrop.cli.run_flow import print_pause, run_flow
from storage.errors import InputError, SourcePaused


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command("soundtracks")(soundtracks_command)
    app.command("retry")(retry_command)


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
    _collect(parameters, verbose)


@options_of(CollectSoundtracksParameters, without={"recheck_days", "most_rechecks"})
def retry_command(parameters: CollectSoundtracksParameters, verbose: bool) -> None:
    """Try failures of the given reasons again, permanent failures too, and do nothing else.

    `needledrop status` lists the reasons that there are.

    [bold]Example[/]: needledrop retry --reason http_403 --reason timeout --youtube --i-have-the-right-to-collect
    """
    if not parameters.retry_reasons:
        raise InputError("Name the failures to try again with --reason; `needledrop status` lists the reasons")
    _collect(parameters, verbose)


def _collect(parameters: CollectSoundtracksParameters, verbose: bool) -> None:
    """Run the flow, print its counts, and exit with status 4 if a source asked for a pause."""
    counts = run_flow("flows.collect_soundtracks:collect_soundtracks", parameters, verbose=verbose)
    shown = (f"{name.replace('_', ' ')} {count}" for name, count in counts.items() if name != "paused")
    Console().print(", ".join(shown), soft_wrap=True)
    if print_pause(counts):
        raise typer.Exit(SourcePaused.exit_status)
