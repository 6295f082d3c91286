"""The commands that run the pipeline: `demo`, `refresh`, and those that do one stage of it or a part.

`needledrop refresh` runs all of it over your own films and music and prints the tables that end it; `demo` does so on a
small invented corpus, in minutes, without a network; `films` and `soundtracks` only collect, `retry` tries failures
again, and `fingerprint` brings the fingerprints of an old lake up to date.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flows.parameters import RefreshParameters
from needledrop.cli.options import options_of
from needledrop.cli.run_flow import print_pause, run_flow
from storage.lake.lake import Lake
from storage.metrics.leaderboard_views import RECALL_AT

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


from flows.parameters import CollectFilmsParameters, CollectSoundtracksParameters
from needledrop.cli.options import LakeRoot, Verbose
from storage.errors import InputError, LakeError, SourcePaused
from storage.tables.tables import open_existing
from tasks.run_report import as_words

QUERIES = (
    "SELECT * FROM leaderboard",
    "SELECT stage, reason, count(*) AS items FROM outcomes WHERE status <> 'ok' GROUP BY ALL ORDER BY items DESC",
)
"""Example queries; they are also in README.md."""


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command("demo")(demo_command)
    app.command("refresh")(refresh_command)
    app.command("films")(films_command)
    app.command("soundtracks")(soundtracks_command)
    app.command("retry")(retry_command)
    app.command("fingerprint")(fingerprint_command)


def demo_command(
    lake: str = typer.Option("demo-lake", help="Root of the demo's lake."),
    corpus: Path = typer.Option(Path("demo-corpus"), help="Folder to write the invented films and their music to."),
    verbose: Verbose = False,
) -> None:
    """Make 132 invented films with their music, collect them, train on them and measure the model.

    A second run repeats nothing. Delete demo-lake and demo-corpus to start over.

    [bold]Example[/]: needledrop demo
    """
    from needledrop.demo.corpus import write_corpus
    from tasks.progress import shown_progress

    with shown_progress() as progress:
        written = write_corpus(corpus, on_progress=progress)
    parameters = RefreshParameters(
        lake=lake,
        export=str(written.export),
        images=str(written.images),
        music=(str(written.music),),
        i_have_the_right_to_collect=True,  # every note of it was made on this machine a moment ago
    )
    run_refresh(parameters, verbose=verbose)


@options_of(RefreshParameters)
def refresh_command(parameters: RefreshParameters, verbose: bool) -> None:
    """Run the whole pipeline: films → soundtracks → data-set version → model → metrics.

    Does only what is missing, so the same command is the first run, the update and the repair. To work on single
    films, use `films --film` and `soundtracks --film`; to repeat failures, `retry`; for the settings of a training
    run (batch, learning rate, pretrained models, …), `train`.

    [bold]Examples[/]

    needledrop refresh --export export.xml.bz2 --images posters --music library.csv

    needledrop refresh --years 2019-2022 --contact me@example.org --youtube --i-have-the-right-to-collect
    """
    run_refresh(parameters, verbose=verbose)


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
    """
    _collect_soundtracks(parameters, verbose)


@options_of(CollectSoundtracksParameters, without={"recheck_days", "most_rechecks", "find_only"})
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


def run_refresh(parameters: RefreshParameters, *, verbose: bool) -> None:
    """Run the flow in this process and print its summary."""
    summary = run_flow("flows.refresh:refresh", parameters, verbose=verbose)
    print_summary(parameters.lake, summary)
    print_pause(summary)


def print_summary(root: str, result: dict[str, Any]) -> None:
    """Print what a refresh did and the state of the lake; `result` is what the flow `refresh` returned."""
    from storage.metrics.database import connect_metrics, refresh_views
    from storage.tables import tables

    console = Console()
    lake = tables.open_tables(root)
    refresh_views(lake)
    console.print(_steps(result))
    with connect_metrics(lake, read_only=True) as connection:
        console.print(_left_out(connection))
        if (retrieval := _retrieval(connection, result["dataset"]["version"])).row_count:
            console.print(retrieval)
    _print_files(console, lake)
    for query in QUERIES:
        console.print(f'[bold]Try[/]    {_command()} sql --lake {root} "{query}"', soft_wrap=True, highlight=False)


def _command() -> str:
    """Return the command as the user can type it here: with its folder where that is not on the path."""
    typed = Path(sys.argv[0])
    if shutil.which("needledrop") or typed.name != "needledrop":
        return "needledrop"
    return os.path.relpath(typed)


def _print_files(console: Console, lake: Lake) -> None:
    folders = ("films", "thumbnails", "tracks", "mels", "datasets", "models")
    sizes = {
        name: sum(lake.size_bytes(file) for file in lake.list(name)) / 1e6 for name in folders if lake.exists(name)
    }
    listed = ", ".join(f"{name} {size:,.1f} MB" for name, size in sizes.items())
    console.print(f"[bold]Files[/]  {lake.root}: {listed}", soft_wrap=True, highlight=False)


def _steps(result: dict[str, Any]) -> Table:
    table = _table("Steps of this run", "step", "result")
    for step, counts in result.items():
        if not isinstance(counts, dict):
            continue  # the sentence about a pause, which is printed by itself
        table.add_row(step.replace("_", " "), as_words(counts) or "nothing to do: everything is up to date")
    return table


def _left_out(connection: DuckDBPyConnection) -> Table:
    table = _table("Left out", "item", "reason", "count")
    rows = connection.execute(
        "SELECT stage, reason, count(*) FROM outcomes WHERE status <> 'ok' GROUP BY ALL "
        "UNION ALL SELECT kind || ' not in the version', rule, count(*) FROM exclusions GROUP BY ALL ORDER BY 1, 3 DESC"
    )
    for kind, reason, items in rows.fetchall():
        table.add_row(kind, str(reason).replace("_", " "), str(items))
    return table


def _retrieval(connection: DuckDBPyConnection, version: str) -> Table:
    """Return the metrics of one version's systems, baselines and chance; `leaderboard` also has intervals."""
    recalls = [f"r_at_{k}" for k in RECALL_AT]
    rows = connection.execute(
        f"SELECT system, tracks, {', '.join(recalls)}, medr FROM leaderboard WHERE dataset_version = ? "
        "AND (policy IS NULL OR policy IN "
        "(SELECT policy FROM run_policies JOIN runs USING (run_id) WHERE dataset_version = ?))",
        [version, version],
    ).fetchall()
    tracks = rows[0][1] if rows else 0
    table = _table("Retrieval on held-out films", "system", *(f"R@{k}" for k in RECALL_AT), "MedR")
    table.caption = f"R@K: % of {tracks:,} tracks with a rank of at most K for their film; MedR: their median rank."
    table.caption_justify = "left"
    for system, _, *figures in rows:
        table.add_row(system, *(f"{figure:.1f}" for figure in figures))
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=column == columns[0])
    return table


def fingerprint_command(lake: LakeRoot = "lake") -> None:
    """Make the fingerprints that an earlier version made again from the mels, so that copies at any offset are found.

    The next collection run does the same; this command collects nothing. No audio is fetched or decoded. Interrupted,
    the same command goes on. Make a version of the data set afterwards.

    [bold]Example[/]: needledrop fingerprint
    """
    from flows.run_record import asking_prefect
    from tasks.progress import shown_progress
    from tasks.soundtracks.runs.fingerprints import make_fingerprints

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
