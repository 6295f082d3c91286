"""Start the Prefect server when its port is free and its database answers: `python -m needledrop.service.server`.

Prefect itself ends with a page of traceback when Postgres is away.
"""

from __future__ import annotations

import asyncio
import os
import sys

from needledrop.service.checks import check_port
from storage.errors import InputError, NeedledropError

PORT = 4200
"""Inside the container; NEEDLEDROP_PORT is the port of the machine that leads to it."""
CONNECT_SECONDS = 10


def check_database() -> None:
    """Raise `InputError` when the Postgres of PREFECT_SERVER_DATABASE_HOST does not let this server in."""
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


def main() -> None:
    """Check, then become the server; the exit status is that of the error otherwise."""
    try:
        check_port(PORT, "NEEDLEDROP_PORT")
        check_database()
    except NeedledropError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201  without the command's imports
        sys.exit(error.exit_status)
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "0.0.0.0", "--port", str(PORT)]  # noqa: S104
    os.execv(command[0], command)  # noqa: S606  so that signals reach it


if __name__ == "__main__":
    main()
