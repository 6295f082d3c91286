"""The `needledrop` command: one typer app, to which each module adds its commands.

A `NeedledropError` ends as one sentence on stderr and its exit status: 2 for bad input, 3 for a lake that
cannot be read or written, 4 for a source that asked for a pause. Anything else is a defect and keeps its traceback.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence

import typer
from rich.console import Console
from rich.markup import escape

from needledrop import __version__
from needledrop.cli import collect, compare, datasets, demo, refresh, report, review, service, takedown, train
from needledrop.cli.inspect import doctor, leases, sql, status, verify
from needledrop.cli.output.help_pages import fold_long_words
from needledrop.cli.retrieval import cues, library, search, studio
from needledrop.cli.run_prefect_flow import send_no_usage_data
from storage.errors import NeedledropError
from storage.output_escaping import printable


def _joined(text: str) -> str:
    """Return a docstring with one line per paragraph: rich would keep its line ends and wrap each line again."""
    return "\n\n".join(" ".join(paragraph.split("\n")) for paragraph in text.split("\n\n"))


app = typer.Typer(
    name="needledrop",
    help="Retrieve existing music for films: collect the data, train the model, measure it, search.\n\n"
    "[bold]Start with[/] `needledrop demo` (everything on an invented corpus, in minutes), then `needledrop refresh`.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
)
COMMANDS = (
    demo,
    refresh,
    collect,
    review,
    takedown,
    datasets,
    train,
    search,
    library,
    cues,
    studio,
    report,
    compare,
    sql,
    status,
    verify,
    doctor,
    service,
    leases,
)
"""In the order of the pipeline, as `--help` lists them."""
fold_long_words()
for module in COMMANDS:
    module.register(app)
for group in (app, *(one.typer_instance for one in app.registered_groups if one.typer_instance)):
    for command in group.registered_commands:
        command.help = _joined(inspect.getdoc(command.callback) or "")


def _show_version(is_requested: bool) -> None:
    if is_requested:
        typer.echo(f"needledrop {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Show the version."),
) -> None:
    """Take the options that come before a command."""


def run(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, by default with the arguments of this process; the console script's entry point."""
    send_no_usage_data()
    try:
        app(arguments)
    except NeedledropError as error:
        Console(stderr=True).print(f"[bold red]Error[/]: {escape(printable(str(error)))}", soft_wrap=True)
        sys.exit(error.exit_status)


if __name__ == "__main__":
    run()
