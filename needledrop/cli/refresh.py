"""`needledrop refresh`: the whole pipeline over your own films and music."""

from __future__ import annotations

import typer

from flows.parameters import RefreshParameters
from needledrop.cli.options import options_of
from needledrop.cli.run_flow import run_flow
from needledrop.cli.tables.refresh_summary import print_summary


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("refresh")(refresh_command)


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


def run_refresh(parameters: RefreshParameters, *, verbose: bool) -> None:
    """Run the flow in this process and print its summary."""
    summary = run_flow("flows.refresh:refresh", parameters, verbose=verbose)
    print_summary(parameters.lake, summary)
