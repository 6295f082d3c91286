"""The `needledrop` command: one typer app, made of one module a room.

A `NeedledropError` ends as one sentence on stderr and its exit status: 2 for what a person gave, 3 for
the lake, 4 for a source that asked us to pause. Anything else is a defect and keeps its traceback.
"""

from __future__ import annotations

import sys

import typer
from rich.console import Console
from rich.markup import escape

from needledrop import __version__
from needledrop.cli import bootstrap, datasets, demo, films, refresh, report, review, search, soundtracks
from needledrop.cli import train as training
from needledrop.cli.inspect import sql, status, verify
from storage.errors import NeedledropError

app = typer.Typer(
    name="needledrop",
    help="Retrieve existing music for films: collect the data, train the model, measure it, search.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
)
# In the order of the road; `--help` lists them so.
ROOMS = (demo, refresh, films, soundtracks, review, datasets, training, search, report, sql, status, verify, bootstrap)
for room in ROOMS:
    room.register(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"needledrop {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Show the version."),
) -> None:
    """Take the options that come before a command."""


def run() -> None:
    """Run the command line; the console script's entry."""
    try:
        app()
    except NeedledropError as error:
        Console(stderr=True).print(f"[bold red]{type(error).__name__}[/]: {escape(str(error))}", soft_wrap=True)
        sys.exit(error.exit_status)


if __name__ == "__main__":
    run()
