"""The DuckDB file of a lake: its path, how it is opened, locked and migrated, and how its views are refreshed.

DuckDB lets one process write or many read. So every write opens the file, writes, and closes it within
milliseconds, and a process that finds it locked waits a moment and retries.

The file is `needledrop.duckdb` in the lake's root. DuckDB writes only to a disk, so for a lake on an object
store it is in the cache folder of the machine that trains (`.cache/metrics/…`, see `NEEDLEDROP_CACHE`).
Each finished run uploads a copy to the lake's root, from which a machine with an empty cache starts; the runs
of one such lake must therefore be measured on one machine at a time.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from storage.errors import LakeError
from storage.lake.atomic import create_file, temporary_file, write_error
from storage.lake.lake import INBOX, METRICS, Lake
from storage.lake.object_store import fetch
from storage.metrics.leaderboard_views import VIEWS
from storage.metrics.schema import MIGRATIONS
from storage.tables.tables import lake_errors
from storage.views.lake_views import define_lake_views, define_mel_view

FILE = "needledrop.duckdb"
LOCK_TIMEOUT_SECONDS = 60.0
"""How long to wait for another process to close the file: a thousand times a normal write."""
_WAIT_SECONDS = (0.02, 0.5)
_VIEWS_HASH = hashlib.sha256(json.dumps(VIEWS).encode()).hexdigest()[:16]


@contextmanager
def connect_metrics(lake: Lake, *, read_only: bool = True) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the lake's metrics with tables and views up to date; keep the connection open only briefly.

    Raises `LakeError` when another process keeps the file open for longer than a minute, or when the file was
    written by a newer Needledrop.
    """
    path = metrics_path(lake)
    _restore(lake, path)
    with lake_errors():
        _create(path)
        if read_only:
            _bring_up_to_date(lake, path)
        connection = _open(path, read_only=read_only)
        try:
            if not lake.is_local:
                connection.register_filesystem(lake.filesystem)
            if not read_only:
                _migrate(connection, lake, path)
            yield connection
        finally:
            connection.close()


def refresh_views(lake: Lake) -> None:
    """Redefine the views over the lake's Parquet (films, tracks, outcomes, segments, …) for what is committed now."""
    with connect_metrics(lake, read_only=False) as connection:
        define_lake_views(connection, lake)
        define_mel_view(connection, lake)


def metrics_path(lake: Lake) -> Path:
    """Return the path of a lake's DuckDB file on this machine."""
    if lake.is_local:
        return Path(lake.uri(FILE))
    return lake.cached(METRICS).joinpath(re.sub(r"[^A-Za-z0-9]+", "-", lake.root), FILE)


def publish(lake: Lake) -> None:
    """Upload the file to the root of a lake on an object store; a lake in a folder already has it there."""
    if not lake.is_local:
        lake.filesystem.put_file(str(metrics_path(lake)), lake.uri(FILE))


def _restore(lake: Lake, path: Path) -> None:
    if not lake.is_local and not path.exists() and lake.exists(FILE):
        fetch(lake.filesystem, lake.uri(FILE), path, lake.cached(INBOX))


def _create(path: Path) -> None:
    """Create an empty DuckDB file atomically; DuckDB alone would leave a partial file on a full disk."""
    if path.exists():
        return
    try:
        with temporary_file(path.parent, path.name) as temporary:
            duckdb.connect(str(temporary)).close()
            with suppress(FileExistsError):  # another process was quicker
                create_file(temporary, path)
    except OSError as error:
        raise write_error(error, str(path)) from error


def _open(path: Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    """Open the file, waiting while another process has it open; every other error is raised at once."""
    deadline = time.monotonic() + LOCK_TIMEOUT_SECONDS
    while True:
        try:
            connection = duckdb.connect(str(path), read_only, {"autoinstall_known_extensions": "false"})
            connection.execute("SET TimeZone = 'UTC'")
            return connection
        except duckdb.Error as error:
            if "not a valid DuckDB" in str(error):
                raise LakeError(
                    f"{path} cannot be opened: it is not a DuckDB file, or damaged; restore it or move it away"
                ) from error
            if not is_locked(error):
                reason = str(error).splitlines()[0]
                raise LakeError(
                    f"{path} cannot be opened ({reason}); correct that and run the same command again"
                ) from error
            if time.monotonic() > deadline:
                raise LakeError(
                    f"Another process keeps {path} open; close it and run the same command again"
                ) from error
        time.sleep(random.uniform(*_WAIT_SECONDS))  # noqa: S311 - jitter, not a secret


def is_locked(error: duckdb.Error) -> bool:
    """Return whether another process has the file open, or a reader of this process while we want to write."""
    return "lock on file" in str(error) or "different configuration" in str(error)


def _bring_up_to_date(lake: Lake, path: Path) -> None:
    """Migrate the file if needed, so that a reader finds the present tables and views."""
    with _open(path, read_only=True) as connection:
        if _stored_version(connection, path) == (len(MIGRATIONS), _VIEWS_HASH):
            return
    with _open(path, read_only=False) as connection:
        _migrate(connection, lake, path)


def _stored_version(connection: duckdb.DuckDBPyConnection, path: Path) -> tuple[int, str]:
    """Return the schema version and the hash of the views in the file; (0, "") for an empty one."""
    tables = connection.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'metrics_schema'").fetchall()
    if tables == [(0,)]:
        return 0, ""
    version, views_hash = connection.execute("SELECT version, views_hash FROM metrics_schema").fetchall()[0]
    if version > len(MIGRATIONS):
        raise LakeError(
            f"{path} has schema version {version}, newer than the {len(MIGRATIONS)} that this Needledrop reads; "
            "upgrade Needledrop"
        )
    return int(version), str(views_hash)


def _migrate(connection: duckdb.DuckDBPyConnection, lake: Lake, path: Path) -> None:
    """Apply the missing migrations and redefine the views, in one transaction."""
    version, views_hash = _stored_version(connection, path)
    if (version, views_hash) == (len(MIGRATIONS), _VIEWS_HASH):
        return
    connection.begin()
    for script in MIGRATIONS[version:]:
        connection.execute(script)
    define_lake_views(connection, lake)
    for name, select in VIEWS.items():
        connection.execute(f"CREATE OR REPLACE VIEW {name} AS {select}")
    connection.execute(
        "CREATE OR REPLACE TABLE metrics_schema AS SELECT ?::INTEGER AS version, ?::VARCHAR AS views_hash",
        [len(MIGRATIONS), _VIEWS_HASH],
    )
    connection.commit()
