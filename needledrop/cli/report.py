"""`needledrop report`: one HTML page about a version's runs."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.console import Console

from needledrop.cli.options import LakeRoot
from storage.errors import InputError
from storage.tables.tables import open_existing


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("report")(report_command)


def report_command(
    lake: LakeRoot = "lake",
    dataset: str = typer.Option(None, help="Data-set version; default: the one measured last."),
    output: Path = typer.Option(Path("needledrop-report.html"), "--output", "-o", help="File to write."),
) -> None:
    """Write one self-contained HTML page: results next to the paper's, curves, histograms, subsets, films.

    The page loads nothing from the network, so it can be stored, printed and sent.

    [bold]Example[/]: needledrop report --lake lake -o report.html
    """
    opened = open_existing(lake)

    from needledrop.report.page import write_report

    try:
        report = write_report(opened, dataset, output)
    except OSError as error:
        raise InputError(f"{output} cannot be written ({error.strerror}); choose another --output") from error
    systems = f"{len(report.systems)} system{'s' * (len(report.systems) != 1)}"
    Console().print(f"{output}: {systems} of {report.version} on {report.films:,} test films", soft_wrap=True)
