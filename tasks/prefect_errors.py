"""The errors of the HTTP client through which Prefect talks with its server: httpx, or its successor httpx2."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module


def _errors(name: str) -> tuple[type[Exception], ...]:
    """Return the classes of this name in both clients, as far as they are installed; neither derives from the other."""
    found: list[type[Exception]] = []
    for client in ("httpx", "httpx2"):
        with suppress(ImportError):
            found.append(getattr(import_module(client), name))
    return tuple(found)


HTTP_ERRORS = _errors("HTTPError")
"""Everything that can go wrong with a request: no connection, a timeout, an error status."""
CONNECT_ERRORS = _errors("ConnectError")
"""Nobody listens at the server's address."""
