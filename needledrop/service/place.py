"""Where a service of a laptop is: its address, whether that is free, and the folder of its database."""

from __future__ import annotations

import fcntl
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from needledrop.service import checks
from storage.errors import InputError
from storage.lake.lake import Lake

HOST = "127.0.0.1"
"""This machine only: the server has no log-in."""
LOCK = "serve.lock"


def address_of(port: int) -> str:
    """Return the address of the server and its pages."""
    return f"http://{HOST}:{port}"


def answers(address: str) -> bool:
    """Return whether a Prefect server is up at an address."""
    try:
        with urllib.request.urlopen(f"{address}/api/health", timeout=3) as response:  # noqa: S310
            return bool(response.read(16) == b"true")
    except (OSError, urllib.error.URLError, ValueError):
        return False


def check_port(port: int) -> None:
    """Raise `InputError` for a port that another program has, or that this user may not open."""
    try:
        checks.check_port(port, "--port", HOST)
    except InputError as error:
        if answers(address_of(port)):
            raise InputError(
                f"A Prefect server is already running at {address_of(port)}; "
                "use it, end it, or choose another port with --port"
            ) from error
        raise


def home_of(lake: Lake) -> Path:
    """Return the folder of Prefect's database: PREFECT_HOME, or one next to the lake (for a bucket, in the cache)."""
    if os.environ.get("PREFECT_HOME"):
        return Path(os.environ["PREFECT_HOME"]).expanduser().absolute()
    if not lake.is_local:
        return Path(lake.cache_folder).absolute() / "prefect"
    root = Path(lake.root.removeprefix("file://"))
    return root.with_name(f"{root.name}-prefect")


@contextmanager
def only_service_in(home: Path) -> Iterator[None]:
    """Make the folder and hold its lock. Raises `InputError` while another service uses the same database."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        file = (home / LOCK).open("w")
    except OSError as error:
        message = f"{home} cannot be written ({error.strerror}); set PREFECT_HOME to a folder that can"
        raise InputError(message) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(
                f"Another needledrop serve uses the database in {home}; end it, or set PREFECT_HOME to another folder"
            ) from error
        yield
