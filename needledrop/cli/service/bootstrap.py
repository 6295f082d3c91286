"""`needledrop bootstrap`: create what Needledrop needs on a Prefect server."""

from __future__ import annotations

import os

import typer
from rich.console import Console

NOTIFY_VARIABLE = "NEEDLEDROP_NOTIFY_URL"


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("bootstrap")(bootstrap_command)


def bootstrap_command(
    notify: str = typer.Option(
        None,
        envvar=NOTIFY_VARIABLE,
        show_default=False,
        metavar="URL",
        help="Whom to notify of runs that failed, crashed or were paused: an Apprise address (mailto://, slack://, "
        "json://, …). It is a secret: the variable keeps it out of the list of processes.",
    ),
    gpu: bool = typer.Option(False, "--gpu", help="Also create the work pool gpu, for workers that train."),
) -> None:
    """Create work pool, limits, deployments and automations on a Prefect server, or update them. Safe to repeat.

    The address to notify is kept in a block of the server; without the option an earlier one stays. Training is put
    into the work pool [bold]gpu[/] where the server has one, otherwise into [bold]local[/].

    [bold]Example[/]: PREFECT_API_URL=http://127.0.0.1:4200/api needledrop bootstrap
    """
    os.environ.setdefault("DO_NOT_TRACK", "1")
    from pydantic import SecretStr

    from needledrop.service.set_up import set_up_server

    made = set_up_server(notify=SecretStr(notify) if notify else None, gpu=gpu)
    Console().print(str(made), soft_wrap=True, highlight=False)
