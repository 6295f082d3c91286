"""Clients of Prefect's server: one that asks only once, and the errors of the HTTP client under it, httpx or httpx2."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import ObjectNotFound, PrefectException, TerminationSignal
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, get_current_settings, temporary_settings

from storage.errors import InputError

UNAUTHORIZED = 401
ANSWER_SECONDS = 10.0
"""Longest wait for the server: whoever asks goes on without an answer."""
RETRIES_OF_THE_STOPPED = 2
"""After 2 and 4 seconds. Whoever stops a process kills it soon: after 30 s where a run is cancelled, two minutes in
containers."""


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


@contextmanager
def server_named_in_errors() -> Iterator[None]:
    """Raise `InputError`, with what to do, where no server answers at PREFECT_API_URL, or it refuses the log-in."""
    url = PREFECT_API_URL.value()
    try:
        yield
    except CONNECT_ERRORS as error:
        raise InputError(f"No Prefect server answers at {url}; start it, or wait until it is up") from error
    except HTTP_ERRORS as error:
        if status_of(error) != UNAUTHORIZED:
            raise
        raise InputError(
            f"The Prefect server at {url} refuses the log-in; set PREFECT_API_AUTH_STRING to what the server has in "
            "PREFECT_SERVER_API_AUTH_STRING"
        ) from error


def status_of(error: Exception) -> int | None:
    """Return the status with which the server answered; None where it did not answer."""
    status: int | None = getattr(getattr(error, "response", None), "status_code", None)
    return status


def is_refused(error: Exception) -> bool:
    """Return whether the server answered that a request is wrong, as it will again: 401, 404, 422."""
    status = status_of(error) or 500
    return 400 <= status < 500 and status not in (408, 429)


@contextmanager
def stopping_soon() -> Iterator[None]:
    """Have calls of the server be repeated only for seconds once SIGTERM or Ctrl-C has ended the block.

    Otherwise a process whose server is away, as when a machine shuts down, would report its end for more than eight
    minutes, and the leases of an outer block would be held for as long.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit, TerminationSignal):
        # Not in a context of settings: the thread that sends the log of a run has one of its own.
        of_client = get_current_settings().client
        of_client.max_retries = min(of_client.max_retries, RETRIES_OF_THE_STOPPED)
        raise
