"""`needledrop bootstrap`: give a Prefect server what the deployments expect to find there."""

from __future__ import annotations

import os

import typer
from rich.console import Console


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("bootstrap")(bootstrap_command)


def bootstrap_command() -> None:
    """Create the work pool, the concurrency limits and the automation on a Prefect server; safe to repeat.

    [bold]Example[/]: PREFECT_API_URL=http://127.0.0.1:4200/api needledrop bootstrap
    """
    os.environ.setdefault("DO_NOT_TRACK", "1")
    from needledrop.cli.prefect_server import set_up_server

    Console().print(set_up_server())
