"""`needledrop studio`: the local page with which music is searched for a film, heard, kept and exported."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from needledrop.cli.options import LakeRoot
from storage.errors import InputError
from storage.libraries.library import open_library
from storage.tables.tables import open_existing

if TYPE_CHECKING:
    from needledrop.studio.security import Access

TOKEN_VARIABLE = "NEEDLEDROP_STUDIO_TOKEN"  # noqa: S105  the name of a variable
PORT = 7300
SHUTDOWN_SECONDS = 3
"""How long a stream may go on when the studio ends."""


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("studio")(studio_command)


def studio_command(
    lake: LakeRoot = "lake",
    library: list[str] = typer.Option(None, help="Library to search; default: all. May be repeated."),
    dataset: bool = typer.Option(
        False, "--dataset", help="Offer the tracks of the run's data set too; they are chosen on the page."
    ),
    run: str = typer.Option(None, help="Run to search with; default: the best that has indexed the libraries."),
    host: str = typer.Option("127.0.0.1", help="Address to listen at; others than this machine's own need the token."),
    port: int = typer.Option(PORT, min=0, max=65535, help="Port to listen at; 0: any that is free."),
    name: list[str] = typer.Option(
        None,
        help="Name, next to its addresses, under which browsers reach it, as in studio.example.org.",
        metavar="NAME",
    ),
    token: str = typer.Option(
        None,
        envvar=TOKEN_VARIABLE,
        show_default=False,
        help="What browsers must type first, 16 characters or more; the variable keeps it out of lists of processes. "
        "Default: none on this machine alone, else a new one, which is printed.",
    ),
) -> None:
    """Serve a page to search your music with a film, to listen, to keep, and to export; until Ctrl-C.

    Nothing leaves this machine, and the page loads nothing from elsewhere. Keeps, rejects and shortlists are rows of
    the lake.

    [bold]Example[/]: needledrop studio --lake lake
    """
    opened = open_existing(lake)
    for one in library or ():
        open_library(opened, one)
    listening = _bound(host, port)

    import uvicorn

    from needledrop.studio.app import create_app
    from needledrop.studio.engine import Engine
    from needledrop.studio.security import Access, checked_token, is_loopback
    from training.loop.devices_and_torchrun import open_machine

    try:
        taken = listening.getsockname()[1]
        needed = checked_token(token or None, host)
        names = tuple(
            one.strip().lower() for one in (*(name or ()), *([] if is_loopback(host) else [socket.gethostname()]))
        )
        access = Access(taken, host.lower(), names, needed)
        with open_machine() as machine, suppress(KeyboardInterrupt):
            engine = Engine(opened, machine, run, tuple(library or ()), dataset=dataset)
            app = create_app(engine, access)
            _greet(access, is_new=token is None)
            config = uvicorn.Config(
                app, log_level="warning", access_log=False, server_header=False, proxy_headers=False,
                timeout_graceful_shutdown=SHUTDOWN_SECONDS,
            )  # fmt: skip
            uvicorn.Server(config).run(sockets=[listening])
    finally:
        listening.close()


def _bound(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address. Raises `InputError` when it cannot be, because another studio has it."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise InputError(f"--host {host} is no address of this machine ({error.strerror}); give another") from error
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
        bound.listen(128)
    except (OSError, OverflowError) as error:
        bound.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"Port {port} of {host} cannot be used ({reason}); give a free one with --port") from error
    return bound


def _greet(access: Access, *, is_new: bool) -> None:
    console, shown = Console(highlight=False), "localhost" if access.is_local else access.host
    if shown in ("0.0.0.0", "::"):  # noqa: S104
        shown = socket.gethostname() if not access.names else access.names[0]
    console.print(f"[bold]Studio[/]  http://{shown}:{access.port}  (Ctrl-C ends it)", soft_wrap=True)
    if access.token is not None and is_new:
        console.print(f"[bold]Token[/]   {access.token}  (browsers ask for it)", soft_wrap=True, markup=True)
