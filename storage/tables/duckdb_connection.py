"""Connect DuckDB to the lake's Parquet, with limits of memory and folders to spill to; its errors as `LakeError`."""

from __future__ import annotations

import atexit
import os
import re
import secrets
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from types import FrameType
from typing import Any

import duckdb

from storage.errors import LakeError, StoreUnreachable
from storage.lake.lake import Lake

MEMORY_LIMIT = "1GB"
"""For a DuckDB connection, which spills to a temporary folder beyond it. Leaves memory for Arrow's writers."""
SMALL_MEMORY_LIMIT = "256MB"
"""For queries that count and look up while other steps work on the same machine."""
SPILL_PREFIX = "needledrop-spill-"
_IN_CLIENT = "Traceback (most recent call last)"
"""In what DuckDB says of an error in Python, which is where an object store is read."""
_CLIENT_ERROR = re.compile(r"^(?:\w+\.)*(\w*(?:Error|Exception|Timeout)): (.*)$", re.M)
_CANNOT_WRITE = ("Could not write", "No space left", "Read-only file system", "Permission denied")
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def connect(lake: Lake, memory_limit: str = MEMORY_LIMIT) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a connection for queries over the lake's Parquet, wherever the lake is, in bounded memory.

    Create only temporary tables and views on it: the connections of a process share a database in memory, and its
    memory limit, since opening one takes 40 ms of a core. `connect_alone` is for others.
    Raises `LakeError` when a file of the lake is damaged, or there is no space to spill to.
    """
    if not lake.is_local:  # a store is registered with a database, and each lake may have another
        with connect_alone(lake, memory_limit) as connection:
            yield connection
        return
    with _shared_database(os.getpid(), memory_limit).cursor() as connection, lake_errors():
        yield connection


@contextmanager
def connect_alone(lake: Lake, memory_limit: str = MEMORY_LIMIT) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database in memory with a limit of its own, as `connect` does, which may get tables and views."""
    with _new_database(memory_limit) as connection:
        if not lake.is_local:
            connection.register_filesystem(lake.filesystem)
        with lake_errors():
            yield connection


@lru_cache(maxsize=4)
def _shared_database(_process: int, memory_limit: str) -> duckdb.DuckDBPyConnection:
    """Return the database of a process: one that a fork inherits has lost its threads."""
    database = _new_database(memory_limit)
    atexit.register(database.close)
    return database


def _new_database(memory_limit: str) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(
        config={
            "autoinstall_known_extensions": "false",
            "enable_external_file_cache": "false",  # a file that is damaged or replaced meanwhile is noticed
            "TimeZone": "UTC",
            "memory_limit": memory_limit,
            "temp_directory": _spill_folder(),
        }
    )


@contextmanager
def joins_as_written(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Hold the right side of each join in memory and read the left one through, as a query is written.

    DuckDB chooses the side that it estimates to have fewer rows, which may be the one with images or fingerprints. The
    setting is of the whole database: for connections of `connect_alone` only.
    """
    connection.execute("SET disabled_optimizers = 'join_order,build_side_probe_side'")
    try:
        yield
    finally:
        connection.execute("RESET disabled_optimizers")


def fetch_rows(connection: duckdb.DuckDBPyConnection, query: str, *values: Any, **named: Any) -> list[dict[str, Any]]:
    """Execute a query with its values, in order or by name, and return its rows as dictionaries."""
    cursor = connection.execute(query, named or list(values))
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _spill_folder() -> str:
    """Return a new folder name; DuckDB creates the folder when it spills, and removes it when it closes."""
    return str(Path(tempfile.gettempdir(), f"{SPILL_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"))


def sweep_spills() -> None:
    """Remove the spill folders of processes that were killed on this machine."""
    for folder in Path(tempfile.gettempdir()).glob(f"{SPILL_PREFIX}*"):
        process = folder.name.removeprefix(SPILL_PREFIX).split("-")[0]
        if Path("/proc").exists() and not Path("/proc", process).exists():
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def lake_errors() -> Iterator[None]:
    """Turn DuckDB's errors about files, the object store, disk and memory into `LakeError`; deliver signals."""
    try:
        with query_signals(), queried_store():
            yield
    except (duckdb.IOException, duckdb.InvalidInputException, duckdb.SerializationException) as error:
        reason = str(error).splitlines()[0]
        if any(sign in reason for sign in _CANNOT_WRITE):
            raise LakeError(f"{reason}; free space or make it writable, and run the same command again") from error
        raise LakeError(
            f"A file of the lake cannot be read ({reason}); `needledrop verify` names the damage"
        ) from error
    except duckdb.OutOfMemoryException as error:
        reason = str(error).splitlines()[0]
        raise LakeError(f"No memory or temporary space is left ({reason}); set TMPDIR to a larger disk") from error
    except duckdb.Error as error:
        if "Corrupt database file" not in str(error):
            raise
        reason = str(error).splitlines()[0]
        raise LakeError(
            f"needledrop.duckdb is damaged ({reason}); delete it: the next command makes it again"
        ) from error


@contextmanager
def queried_store() -> Iterator[None]:
    """Turn an error of the object store's client, which DuckDB hands on as text, into `StoreUnreachable`."""
    try:
        yield
    except duckdb.Error as error:
        said = _CLIENT_ERROR.findall(str(error)) if _IN_CLIENT in str(error) else []
        if not said or said[-1][0] == FileNotFoundError.__name__:
            raise
        raise StoreUnreachable(
            f"The store of the lake cannot be read now ({said[-1][1]}): it is overloaded, does not answer or refuses "
            "us; run the same command again, and if that goes on check its address, the network and the credentials"
        ) from error


@contextmanager
def query_signals() -> Iterator[None]:
    """Deliver a signal that interrupts a query of the block once more, after the block, to the handler that it has.

    DuckDB ends the query that a signal interrupts, but drops the exception that its handler raised, so that Ctrl-C
    would be a `RuntimeError` about an interrupted query, or one about Arrow's rows where DuckDB had just called Python
    for them, and a run that gets SIGTERM would count as failed.
    """
    if threading.current_thread() is not threading.main_thread():  # where Python handles no signals
        yield
        return
    received: list[int] = []
    handlers = {number: handler for number in _SIGNALS if callable(handler := signal.getsignal(number))}
    noting = {number: partial(_note, received, handler) for number, handler in handlers.items()}
    interrupted: Exception | None = None
    try:
        for number, handler in noting.items():
            signal.signal(number, handler)
        yield
    except Exception as error:
        if not received:
            raise
        interrupted = error
    finally:
        for number, handler in noting.items():
            if signal.getsignal(number) is handler:
                signal.signal(number, handlers[number])
    if interrupted is not None:
        signal.raise_signal(received[-1])
        raise interrupted


def _note(received: list[int], handler: Callable[[int, FrameType | None], Any], number: int, frame: Any) -> None:
    try:
        handler(number, frame)
    except BaseException:
        received.append(number)
        raise
