"""`needledrop demo` runs the whole pipeline on a small invented corpus, in minutes, without a network."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.console import Console

from flows.parameters import (
    IndexLibraryParameters,
    RefreshParameters,
)
from needledrop.cli.options import Verbose
from needledrop.cli.output.terminal_tables import typed_command
from needledrop.cli.refresh import run_refresh
from needledrop.cli.run_prefect_flow import run_flow
from storage.tables.tables import open_existing
from tasks.run_report import as_words

DEMO_LIBRARY = "demo"


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("demo")(demo_command)


def demo_command(
    lake: str = typer.Option("demo-lake", help="Root of the demo's lake."),
    corpus: Path = typer.Option(Path("demo-corpus"), help="Folder to write the invented films and their music to."),
    verbose: Verbose = False,
) -> None:
    """Make 132 invented films with their music, collect them, train on them and measure the model.

    It also makes a library of invented music without films and indexes it, so that there is something to search.
    A second run repeats nothing. Delete demo-lake and demo-corpus to start over.

    [bold]Example[/]: needledrop demo
    """
    from needledrop.demo.corpus_and_library import write_corpus
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
    _index_demo_library(lake, corpus / "library", verbose=verbose)


def _index_demo_library(lake: str, folder: Path, *, verbose: bool) -> None:
    """Make a library of invented music without films, index it, and print how it is searched and listened to."""
    from needledrop.demo.corpus_and_library import write_library
    from storage.libraries.library import add_folder
    from tasks.progress import shown_progress

    with shown_progress() as progress:
        catalogue = write_library(folder, on_progress=progress)
    add_folder(open_existing(lake), DEMO_LIBRARY, catalogue)
    indexed = IndexLibraryParameters(lake=lake, library=DEMO_LIBRARY)
    summary = run_flow("flows.index_library:index_library", indexed, verbose=verbose)
    counts = as_words({name: count for name, count in summary.items() if name != "run"})
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]Library[/] {DEMO_LIBRARY}: {counts}")
    asked = f'--library {DEMO_LIBRARY} --plot "A chase through the night."'
    console.print(f"[bold]Search[/]  {typed_command()} search --lake {lake} {asked}")
    console.print(f"[bold]Listen[/]  {typed_command()} studio --lake {lake}")
