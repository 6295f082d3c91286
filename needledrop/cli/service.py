"""`needledrop serve`, `bootstrap` and `worker`: the commands of whoever runs Needledrop as a service.

serve: server, deployments and workers on this machine, in one command; bootstrap: what a Prefect server needs; worker:
one that checks what it needs, and whose flow runs end cleanly.
"""

from __future__ import annotations

import os

import typer
from rich.console import Console

from needledrop.cli.options import LakeRoot
from storage.lake.lake import lake_at

NOTIFY_VARIABLE = "NEEDLEDROP_NOTIFY_URL"


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command("serve")(serve_command)
    app.command("bootstrap")(bootstrap_command)
    app.command("worker")(worker_command)


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
    from needledrop.service.serve import Service, home_of, serve

    named = lake_at(lake)
    console = Console()
    serve(
        Service(named, port, limit, home_of(named)),
        lambda line: console.print(line, soft_wrap=True, highlight=False),
    )


def bootstrap_command(
    notify: str = typer.Option(
        None,
        envvar=NOTIFY_VARIABLE,
        show_default=False,
        metavar="URL",
        help="Whom to notify of runs that failed, crashed or were paused: an Apprise address (mailto://, slack://, "
        "json://, …). It is a secret: the variable keeps it out of the list of processes.",
    ),
    gpu: bool = typer.Option(
        False, "--gpu", help="Create the work pool gpu and put training into it, also before its worker starts."
    ),
) -> None:
    """Create work pool, limits, deployments and automations on a Prefect server, or update them. Safe to repeat.

    The address to notify is kept in a block of the server; without the option an earlier one stays. Training is put
    into the work pool [bold]gpu[/] where a worker is online in it, otherwise into [bold]local[/].

    [bold]Example[/]: PREFECT_API_URL=http://127.0.0.1:4200/api needledrop bootstrap
    """
    from pydantic import SecretStr

    from needledrop.service.deployments import set_up_server

    made = set_up_server(notify=SecretStr(notify) if notify else None, gpu=gpu)
    Console().print(str(made), soft_wrap=True, highlight=False)


def worker_command(
    pool: str = typer.Option("local", help="Work pool to take runs from."),
    limit: int = typer.Option(2, min=1, help="Runs at once."),
) -> None:
    """Start a Prefect worker. At SIGTERM or Ctrl-C its runs release their leases before it ends.

    [bold]Example[/]: PREFECT_API_URL=http://127.0.0.1:4200/api needledrop worker
    """
    from needledrop.service.deployments import check_pool
    from needledrop.service.startup_and_health_checks import (
        check_contact,
        check_data,
        check_folders,
        check_port,
        missing_contact,
    )
    from needledrop.service.worker import run_worker

    check_contact()
    check_data()
    check_folders()
    port = os.environ.get("PREFECT_WORKER_WEBSERVER_PORT", "8080")
    check_port(int(port), "PREFECT_WORKER_WEBSERVER_PORT")
    check_pool(pool)
    if lacks := missing_contact():
        Console(stderr=True).print(lacks, soft_wrap=True, highlight=False)
    raise typer.Exit(run_worker(pool, limit))
