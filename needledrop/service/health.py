"""Check a running service as its users meet it: `python -m needledrop.service.health server` (or `worker`).

The exit status is 1, with one sentence, when the page of the server or its database does not answer, or when the
worker no longer asks for work or its lake or its cache cannot be written.
"""

from __future__ import annotations

import os
import sys
from urllib.request import urlopen

from needledrop.service.checks import check_folders
from storage.errors import LakeError

TIMEOUT_SECONDS = 5


def check_server() -> None:
    """Ask for the page that a browser shows, and for the API, which is ready only with its database."""
    for path in ("", "api/ready"):
        _ask(f"http://127.0.0.1:4200/{path}")


def check_worker() -> None:
    """Ask the worker whether it still polls, then write in its lake and cache."""
    _ask(f"http://127.0.0.1:{os.environ.get('PREFECT_WORKER_WEBSERVER_PORT', '8080')}/health")
    check_folders()


def _ask(address: str) -> None:
    try:
        with urlopen(address, timeout=TIMEOUT_SECONDS):  # noqa: S310  an address of our own
            return
    except OSError as error:  # also a status of 400 or more
        raise ConnectionError(f"{address} does not answer ({error})") from error


def main(service: str) -> int:
    """Check `server` or `worker` and return the exit status."""
    try:
        {"server": check_server, "worker": check_worker}[service]()
    except (ConnectionError, LakeError) as error:
        print(error)  # noqa: T201  what `docker inspect` shows
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
