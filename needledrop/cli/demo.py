"""`needledrop demo`: the whole pipeline on a small invented corpus, in minutes, without a network."""

from __future__ import annotations

from pathlib import Path

import typer

from flows.parameters import RefreshParameters
from needledrop.cli.options import Verbose
from needledrop.cli.refresh import run_refresh


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("demo")(demo_command)


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
