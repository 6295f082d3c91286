"""`needledrop serve`: server, deployments and workers on this machine, in one command."""

from __future__ import annotations

import typer
from rich.console import Console

from needledrop.cli.options import LakeRoot


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("serve")(serve_command)


def serve_command(
    lake: LakeRoot = "lake",
    port: int = typer.Option(4200, min=1, max=65535, help="Port of the Prefect server on this machine."),
    limit: int = typer.Option(2, min=1, help="Runs at once, at most."),
) -> None:
    """Serve a lake on a schedule: a Prefect server, the deployments of prefect.yaml and a worker, until Ctrl-C.

    The deployments work on this lake; relative paths of their parameters are below the present folder. Prefect's
    database is in PREFECT_HOME if that is set, else next to the lake.

    [bold]Example[/]: needledrop serve --lake lake
    """
    from needledrop.service.place import home_of
    from needledrop.service.serve import Service, serve
    from storage.tables.tables import open_tables

    opened = open_tables(lake)
    console = Console()
    serve(
        Service(opened, port, limit, home_of(opened)),
        lambda line: console.print(line, soft_wrap=True, highlight=False),
    )
