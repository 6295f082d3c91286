"""Checks before a service starts, health checks while it runs, and the start of the Prefect server in a container.

`python -m needledrop.service.startup_and_health_checks server` starts the Prefect server when its port is free and its
database answers: Prefect itself ends with a page of traceback when Postgres is away. `… health server`, `worker` and
`studio` check a running service as its users meet it; the exit status is 1, with one sentence, when the page of the
server or its database does not answer, or when the worker no longer asks for work or its lake or its cache cannot be
written.

Every failure of a check names the variable or the path to change. Nothing here imports more than the standard library
and `storage` until a server starts, since health checks run every few seconds.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from urllib.request import urlopen

from storage.errors import InputError, LakeError, NeedledropError
from storage.lake.atomic_writes_and_fences import sync, temporary_file
from storage.lake.disk_space import write_error

PORT = 4200
"""Inside the container; NEEDLEDROP_PORT is the port of the machine that leads to it."""
CONNECT_SECONDS = 10
TIMEOUT_SECONDS = 5
DATA = Path("/data")
"""Where docker-compose.yml mounts the folder that NEEDLEDROP_DATA names."""
PROBE_BYTES = 1 << 16
"""More than a file system keeps in a directory entry, so that a full disk refuses it."""


def run_server() -> None:
    """Check, then become the Prefect server; the exit status is that of the error otherwise."""
    try:
        check_port(PORT, "NEEDLEDROP_PORT")
        check_database()
    except NeedledropError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201  without the command's imports
        sys.exit(error.exit_status)
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "0.0.0.0", "--port", str(PORT)]  # noqa: S104
    os.execv(command[0], command)  # noqa: S606  so that signals reach it


def check_database() -> None:
    """Raise `InputError` when the Postgres of PREFECT_SERVER_DATABASE_HOST does not let this server in."""
    import asyncio

    from prefect.settings import get_current_settings

    if get_current_settings().server.database.host:
        asyncio.run(_connect())


async def _connect() -> None:
    import asyncpg
    from prefect.settings import get_current_settings

    database = get_current_settings().server.database
    password = database.password.get_secret_value() if database.password else None
    where = f"Postgres at {database.host}:{database.port or 5432}"
    try:
        connection = await asyncpg.connect(
            host=database.host,
            port=database.port or 5432,
            user=database.user,
            password=password,
            database=database.name,
            timeout=CONNECT_SECONDS,
        )
        await connection.close()
    except asyncpg.InvalidPasswordError as error:
        message = f"{where} refuses the password of {database.user}; set POSTGRES_PASSWORD to the one it was made with"
        raise InputError(message) from error
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        reason = str(error) or "no answer"
        message = f"{where} cannot be used ({reason}); start it, or correct PREFECT_SERVER_DATABASE_HOST"
        raise InputError(message) from error


def check_contact() -> None:
    """Raise `InputError` when NEEDLEDROP_CONTACT is set but empty, as in a container without a .env file."""
    if not os.environ.get("NEEDLEDROP_CONTACT", "unset").strip():
        raise InputError(
            "NEEDLEDROP_CONTACT is empty; set it to your e-mail address in the file .env, since Wikipedia's operators "
            "want to know whom to write to"
        )


def missing_contact() -> str | None:
    """Return what a service cannot do without NEEDLEDROP_CONTACT, as a sentence; None if it is set."""
    if os.environ.get("NEEDLEDROP_CONTACT", "").strip():
        return None
    return (
        "NEEDLEDROP_CONTACT is not set: Wikipedia is asked for films only by runs with the parameter contact; "
        "set it to your e-mail address"
    )


def check_data(folder: Path = DATA) -> None:
    """Raise `InputError` when NEEDLEDROP_DATA names a folder whose content is not at `folder`.

    Docker makes an empty folder out of a path that does not exist, so an empty one is a wrong path.
    """
    source = os.environ.get("NEEDLEDROP_DATA", "").strip()
    if not source:
        return
    try:
        is_empty = next(folder.iterdir(), None) is None
    except OSError as error:
        raise InputError(
            f"NEEDLEDROP_DATA names {source}, which cannot be read ({error.strerror}); let user {os.getuid()} read it"
        ) from error
    if is_empty:
        raise InputError(
            f"NEEDLEDROP_DATA names {source}, which is empty or does not exist; give the absolute path of your films, "
            "images and music, or leave it empty"
        )


def check_writable(folder: Path, remedy: str) -> None:
    """Write a file in a folder, and remove it. Raises `LakeError`, with the remedy, when the system refuses."""
    try:
        with temporary_file(folder, "probe") as probe:
            probe.write_bytes(bytes(PROBE_BYTES))
            sync(probe)
    except OSError as error:
        raise write_error(error, str(folder), remedy) from error


def check_folders() -> None:
    """Raise `LakeError` when the lake of NEEDLEDROP_LAKE or the cache of NEEDLEDROP_CACHE cannot be written.

    A lake on an object store is not tried, and neither is a variable that is not set.
    """
    lake, cache = os.environ.get("NEEDLEDROP_LAKE", ""), os.environ.get("NEEDLEDROP_CACHE", "")
    owner = f"let user {os.getuid()} write it"
    if lake and "://" not in lake:
        check_writable(Path(lake), f"{owner}, or name another in NEEDLEDROP_LAKE_VOLUME")
    if cache:
        check_writable(Path(cache), f"{owner}, or name another in NEEDLEDROP_CACHE")


def check_port(port: int, setting: str, host: str = "") -> None:
    """Raise `InputError`, which names the setting to change, when a port that the service needs is taken."""
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a closed connection is no holder
        try:
            bound.bind((host, port))
        except OSError as error:
            raise InputError(f"Port {port} cannot be used ({error.strerror}); set {setting} to a free one") from error


def check_health(service: str) -> int:
    """Check `server`, `worker` or `studio` as its users meet it, print a sentence if not, return the exit status."""
    try:
        {"server": check_server, "worker": check_worker, "studio": check_studio}[service]()
    except (ConnectionError, LakeError) as error:
        print(error)  # noqa: T201  what `docker inspect` shows
        return 1
    return 0


def check_server() -> None:
    """Ask for the page that a browser shows, and for the API, which is ready only with its database."""
    for path in ("", "api/ready"):
        _ask(f"http://127.0.0.1:4200/{path}")


def check_worker() -> None:
    """Ask the worker whether it still polls, then write in its lake and cache."""
    _ask(f"http://127.0.0.1:{os.environ.get('PREFECT_WORKER_WEBSERVER_PORT', '8080')}/health")
    check_folders()


def check_studio() -> None:
    """Ask the studio whether it answers."""
    _ask("http://127.0.0.1:7300/health")


def _ask(address: str) -> None:
    try:
        with urlopen(address, timeout=TIMEOUT_SECONDS):  # noqa: S310  an address of our own
            return
    except OSError as error:  # also a status of 400 or more
        raise ConnectionError(f"{address} does not answer ({error})") from error


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["server"]:
            run_server()
        case ["health", service]:
            sys.exit(check_health(service))
        case _:
            sys.exit("Give server, health server, health worker or health studio")
