"""`needledrop serve`, `bootstrap`, `worker` and `leases`: the commands of whoever runs Needledrop as a service.

serve: server, deployments and workers on this machine, in one command; bootstrap: what a Prefect server needs; worker:
one that checks what it needs, and whose flow runs end cleanly; leases: who holds what, and how to free what a lost
process holds.
"""

from __future__ import annotations

import os
from datetime import timedelta

import typer
from rich.console import Console
from rich.table import Table

from needledrop.cli.options import LakeRoot
from storage.coordination.held_leases import HeldLease, list_leases, release_by_hand
from storage.errors import InputError
from storage.lake.lake import Lake, lake_at
from storage.tables.tables import open_existing

NOTIFY_VARIABLE = "NEEDLEDROP_NOTIFY_URL"


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command("serve")(serve_command)
    app.command("bootstrap")(bootstrap_command)
    app.command("worker")(worker_command)
    app.command("leases")(leases_command)


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
    gpu: bool = typer.Option(False, "--gpu", help="Also create the work pool gpu, for workers that train."),
) -> None:
    """Create work pool, limits, deployments and automations on a Prefect server, or update them. Safe to repeat.

    The address to notify is kept in a block of the server; without the option an earlier one stays. Training is put
    into the work pool [bold]gpu[/] where the server has one, otherwise into [bold]local[/].

    [bold]Example[/]: PREFECT_API_URL=http://127.0.0.1:4200/api needledrop bootstrap
    """
    os.environ.setdefault("DO_NOT_TRACK", "1")
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
    from needledrop.service.containers import check_contact, check_data, check_folders, check_port, missing_contact
    from needledrop.service.deployments import check_pool
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


def leases_command(
    lake: LakeRoot = "lake",
    release: str = typer.Option("", metavar="ITEM", help="Free this item, whoever holds it."),
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask before freeing."),
) -> None:
    """List what processes on all machines are working on, for how long, and whether they live; free one by hand.

    A process that ended blocks nothing for longer than five minutes, so freeing is rarely needed. The holder of a
    lease that was freed, if it lives after all, commits nothing more.

    [bold]Examples[/]: needledrop leases · needledrop leases --release refresh
    """
    from flows.run_record import asking_prefect

    opened = open_existing(lake)
    with asking_prefect():
        held = list_leases(opened)
    if release:
        _release(opened, release, held, yes=yes)
    elif held:
        Console().print(_as_table(held))
    else:
        Console().print(f"Nobody works on {opened.root}.", soft_wrap=True)


def _release(lake: Lake, item: str, held: list[HeldLease], *, yes: bool) -> None:
    found = next((one for one in held if one.item == item), None)
    if found is None:
        known = ", ".join(one.item for one in held) or "none"
        raise InputError(f"Nobody holds {item!r}; what is held: {known}")
    if not yes:
        question = f"{item} is held by {found.holder or 'an unknown process'} ({found.standing.value}). Free it?"
        typer.confirm(question, abort=True)
    release_by_hand(lake, item)
    Console().print(f"{item} is free.", soft_wrap=True)


def _as_table(held: list[HeldLease]) -> Table:
    """Return leases as a table for the terminal, one line each."""
    table = Table(title="Leases", title_justify="left", title_style="bold", box=None, pad_edge=False)
    for name in ("item", "number", "for", "holder", "flow run", "state"):
        table.add_column(name, justify="right" if name in ("number", "for") else "left", overflow="fold")
    for one in held:
        holder = f"process {one.holder.pid} on {one.holder.host}" if one.holder else "unknown"
        flow_run = getattr(one.holder, "flow_run_id", "")
        number = str(one.number) if one.number else "old"
        table.add_row(one.item, number, _age(one.seconds), holder, flow_run, one.standing.value)
    return table


def _age(seconds: float | None) -> str:
    return "" if seconds is None else str(timedelta(seconds=max(0, round(seconds))))
