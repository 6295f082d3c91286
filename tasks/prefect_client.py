"""Clients of Prefect's server: one that asks only once, and the errors of the HTTP client under it, httpx or httpx2."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

ANSWER_SECONDS = 10.0
"""Longest wait for the server: whoever asks goes on without an answer."""


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
NO_ANSWER: tuple[type[Exception], ...] = (ObjectNotFound, PrefectException, *HTTP_ERRORS, OSError, ValueError)
"""What calls raise whose caller goes on without an answer."""


@contextmanager
def impatient_client(seconds: float = ANSWER_SECONDS) -> Iterator[SyncPrefectClient]:
    """Yield a client that asks the server once, for who goes on without an answer. Calls raise one of `NO_ANSWER`."""
    with (
        temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}),
        get_client(sync_client=True, httpx_settings={"timeout": seconds}) as client,
    ):
        yield client
