"""`needledrop worker`: a Prefect worker that checks what it needs, and whose flow runs end cleanly."""

from __future__ import annotations

import os

import typer


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("worker")(worker_command)


def worker_command(
    pool: str = typer.Option("local", help="Work pool to take runs from."),
    limit: int = typer.Option(2, min=1, help="Runs at once."),
) -> None:
    """Start a Prefect worker. At SIGTERM or Ctrl-C its runs release their leases before it ends.

    [bold]Example[/]: PREFECT_API_URL=http://127.0.0.1:4200/api needledrop worker
    """
    from needledrop.service.checks import check_contact, check_data, check_folders, check_port
    from needledrop.service.worker import run_worker

    check_contact()
    check_data()
    check_folders()
    port = os.environ.get("PREFECT_WORKER_WEBSERVER_PORT", "8080")
    check_port(int(port), "PREFECT_WORKER_WEBSERVER_PORT")
    _check_server()
    raise typer.Exit(run_worker(pool, limit))


def _check_server() -> None:
    from prefect.settings import PREFECT_API_URL

    from storage.errors import InputError

    if not PREFECT_API_URL.value():  # Prefect would start a server of its own, which has no work
        raise InputError("No Prefect server is named; start one and set PREFECT_API_URL=http://127.0.0.1:4200/api")
