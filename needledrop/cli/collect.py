"""The commands that collect: `films`, `soundtracks`, `retry` for failures, `fingerprint` for what an old lake lacks."""

from __future__ import annotations

from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flows.parameters import (
    CollectFilmsParameters,
    CollectSoundtracksParameters,
)
from needledrop.cli.options import LakeRoot, options_of
from needledrop.cli.output.terminal_tables import print_pause
from needledrop.cli.run_prefect_flow import run_flow
from storage.errors import InputError, LakeError, SourcePaused
from storage.tables.tables import open_existing


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command("films")(films_command)
    app.command("soundtracks")(soundtracks_command)
    app.command("retry")(retry_command)
    app.command("fingerprint")(fingerprint_command)


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

    needledrop soundtracks --youtube --i-have-the-right-to-collect --limit 20 --find-only

    needledrop soundtracks --music ~/Music/Soundtracks --audio-encoder laion/larger_clap_music --encode
    """
    _collect_soundtracks(parameters, verbose)


@options_of(CollectSoundtracksParameters, without={"recheck_days", "most_rechecks", "find_only", "encode"})
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
    if "found" in counts:
        _print_found(counts.pop("found"))
    shown = (f"{name.replace('_', ' ')} {count}" for name, count in counts.items() if name != "paused")
    Console().print(", ".join(shown), soft_wrap=True)
    if print_pause(counts):
        raise typer.Exit(SourcePaused.exit_status)


def _print_found(lines: list[dict[str, Any]]) -> None:
    """Print what would be taken of each film, left for review, or the reason why there is nothing."""
    headings = ("film", "decision", "score", "reason", "recording", "album", "by", "url")
    table = Table(title="Judged by what lists state; a recording's own page may still refuse it", title_justify="left")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for line in lines:
        table.add_row(*(escape("" if line[name] is None else str(line[name])) for name in headings))
    Console().print(table)


def fingerprint_command(lake: LakeRoot = "lake") -> None:
    """Make the fingerprints that an earlier version made again from the mels, so that copies at any offset are found.

    The next collection run does the same; this command collects nothing. No audio is fetched or decoded. Interrupted,
    the same command goes on. Make a version of the data set afterwards.

    [bold]Example[/]: needledrop fingerprint
    """
    from flows.runs.start_and_end import asking_prefect
    from tasks.progress import shown_progress
    from tasks.soundtracks.runs.fingerprint_upgrade import make_fingerprints

    opened = open_existing(lake)
    with asking_prefect(), shown_progress() as report:
        done = make_fingerprints(opened, "command", report)
    for sentence in done.unreadable:
        Console(stderr=True).print(sentence, soft_wrap=True)
    Console().print(f"Made the fingerprints of {done.tracks:,} tracks", soft_wrap=True)
    if done.held:
        raise LakeError(f"Others hold {', '.join(done.held)}; run this command again when they are done")
    if done.unreadable:
        raise LakeError(f"{len(done.unreadable)} shards cannot be read; see above, and `needledrop verify`")
