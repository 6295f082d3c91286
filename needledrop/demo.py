"""`needledrop demo`: the whole road on a small invented corpus, in minutes, without a network."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from needledrop.refresh import run_refresh


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("demo")(demo_command)


def demo_command(
    lake: str = typer.Option("demo-lake", help="Where the lake of the demo is kept."),
    corpus: Path = typer.Option(Path("demo-corpus"), help="Where the invented films and their music are written."),
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Show Prefect's own log lines."),
) -> None:
    """Make 132 invented films with their music, collect them, train on them and measure the model.

    A second run does no work twice. Remove demo-lake and demo-corpus to start over.
    """
    from flows.demo.corpus import write_corpus

    with _progress() as progress:
        bars: dict[str, int] = {}

        def on_progress(what: str, done: int, total: int) -> None:
            if what not in bars:
                bars[what] = progress.add_task(what, total=total)
            progress.update(bars[what], completed=done, total=total)  # type: ignore[arg-type]

        written = write_corpus(corpus, on_progress=on_progress)
    parameters = {
        "lake": lake,
        "export": str(written.export),
        "images": str(written.images),
        "music": [str(written.music)],
        "i_have_the_right_to_collect": True,  # every note of it was made on this machine a moment ago
    }
    run_refresh(parameters, verbose=verbose)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        disable=not Console(stderr=True).is_terminal,
    )
