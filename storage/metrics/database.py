"""The DuckDB file of a lake: how it is opened and locked, brought up to date, made again, and its views refreshed.

The file is `needledrop.duckdb` in the lake's root, where any DuckDB client opens it. DuckDB writes only to a disk, so
for a lake on an object store each machine has one in its cache folder (`.cache/metrics/…`, see `NEEDLEDROP_CACHE`).
Its tables repeat what the lake's files hold (`storage.metrics.run_files`): whoever opens it first imports the files
that are new, so every machine sees what the others have measured, and a lost or damaged file is made again.

DuckDB lets one process write or many read. So every write opens the file, writes, and closes it within
milliseconds, and a process that finds it locked waits a moment and retries.

Only measurements are stored: runs, epochs, ranks, and the confidence computed from them. Every metric is a view over
the ranks (`storage/metrics/leaderboard_chance_and_paper_views.py`), so each number can be traced.
"""

from __future__ import annotations

import logging
import random
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from storage.errors import LakeError
from storage.lake.atomic_writes_and_fences import commit_file, create_file, temporary_file
from storage.lake.disk_space import write_error
from storage.lake.lake import INBOX, METRICS, Lake
from storage.lake.object_store import fetch
from storage.metrics.database_import import VIEWS_HASH, export_old_database, import_files, is_imported, wanted_files
from storage.metrics.database_schema import FIRST_WITH_FILES, SCHEMA, SCHEMA_VERSION
from storage.metrics.leaderboard_chance_and_paper_views import VIEWS
from storage.metrics.run_files import mark_interrupted
from storage.tables.duckdb_connection import lake_errors
from storage.views.lake_views import define_audio_views, define_lake_views, define_mel_view

FILE = "needledrop.duckdb"
LOCK_TIMEOUT_SECONDS = 60.0
"""How long to wait for another process to close the file: a thousand times a normal write."""
RECORD_TIMEOUT_SECONDS = 2.0
"""How long a run waits that has committed its results already: they are imported later if not now."""
_WAIT_SECONDS = (0.02, 0.5)
_DAMAGED = ("not a valid DuckDB", "Corrupt database file", "does not match stored checksum", "read enough bytes")
_IN_USE = ("lock on file", "different configuration", "file handle conflict")
_WRITING = threading.Lock()
"""DuckDB lets two threads of one process write, and refuses the transaction of one when both change a row."""
log = logging.getLogger(__name__)


class DatabaseInUseError(LakeError):
    """Another process keeps the DuckDB file open."""


@contextmanager
def connect_metrics(lake: Lake, *, read_only: bool = True) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the lake's metrics, up to date with its files; keep the connection open only briefly.

    Raises `LakeError` when another process keeps the file open for longer than a minute, or when the file was
    written by a newer Needledrop. A file that turns out to be damaged is put aside, so that the next command makes
    it again.
    """
    path = metrics_path(lake)
    with lake_errors():
        connection = _open_up_to_date(lake, path, read_only=read_only)
        try:
            yield connection
        except duckdb.Error as error:
            if not _is_damage(error):
                raise
            connection.close()
            _put_aside(path)
            raise LakeError(
                f"{path} is damaged ({_first_line(error)}) and was put aside; run the same command again, which makes "
                "it again from the lake's files"
            ) from error
        finally:
            connection.close()


def count_runs(lake: Lake) -> dict[str, int]:
    """Return data-set version -> the number of its training runs, of those that have any."""
    with connect_metrics(lake) as connection:
        rows = connection.execute("SELECT dataset_version, count(*) FROM runs GROUP BY ALL").fetchall()
    return dict(rows)


def refresh_views(lake: Lake) -> None:
    """Redefine the views over the lake's Parquet (films, tracks, outcomes, segments, …) for what is committed now."""
    with connect_metrics(lake, read_only=False) as connection:
        define_lake_views(connection, lake)
        define_mel_view(connection, lake)
        define_audio_views(connection, lake)


def metrics_path(lake: Lake) -> Path:
    """Return the path of a lake's DuckDB file on this machine."""
    if lake.is_local:
        return Path(lake.uri(FILE))
    return lake.cached(METRICS).joinpath(re.sub(r"[^A-Za-z0-9]+", "-", lake.root), FILE)


def update_on_a_folder(lake: Lake) -> None:
    """Import new files into a database that others open without Needledrop; not now if one of them has it open."""
    if lake.is_local:
        with lake_errors(), suppress(DatabaseInUseError):
            _open_up_to_date(lake, metrics_path(lake), read_only=False, timeout=RECORD_TIMEOUT_SECONDS).close()


def _open_up_to_date(
    lake: Lake, path: Path, *, read_only: bool, timeout: float | None = None
) -> duckdb.DuckDBPyConnection:
    """Open the database after importing what is new; usually nothing is, and it is opened once."""
    seconds = LOCK_TIMEOUT_SECONDS if timeout is None else timeout
    try:
        connection = _open_existing(lake, path, read_only=read_only, timeout=seconds)
        try:
            mark_interrupted(lake, _running(connection))
            if _is_up_to_date(connection, lake):
                return connection
            if read_only:
                connection.close()
                connection = _open(lake, path, read_only=False, timeout=seconds)
            _bring_up_to_date(connection, lake)
            if read_only:
                connection.close()
                connection = _open(lake, path, read_only=True, timeout=seconds)
            return connection
        except BaseException:
            connection.close()
            raise
    except duckdb.Error as error:
        if not _is_damage(error):
            raise
        _put_aside(path)
        return _open_existing(lake, path, read_only=read_only, timeout=seconds)


def _open_existing(lake: Lake, path: Path, *, read_only: bool, timeout: float) -> duckdb.DuckDBPyConnection:
    """Open the database in the present schema: it is made if there is none, or made again from one of another."""
    if not path.exists():
        _export_uploaded(lake)
        _make(lake, path, replace=False)
    connection = _open(lake, path, read_only=read_only, timeout=timeout)
    version = _stored_version(connection, path)
    if version == SCHEMA_VERSION:
        return connection
    connection.close()
    with _open(lake, path, read_only=False, timeout=timeout) as old:
        if _stored_version(old, path) != SCHEMA_VERSION:  # another process was quicker
            if 0 < version < FIRST_WITH_FILES:
                _export_uploaded(lake)
                export_old_database(old, lake)
            _make(lake, path, replace=True)
    return _open(lake, path, read_only=read_only, timeout=timeout)


def _export_uploaded(lake: Lake) -> None:
    """Take over the copy that an older version uploaded to an object store, and remove it."""
    if lake.is_local or not lake.exists(FILE):
        return
    with temporary_file(lake.cached(INBOX), FILE) as copy:
        fetch(lake.filesystem, lake.uri(FILE), copy, lake.cached(INBOX))
        try:
            with _open(lake, copy, read_only=False, timeout=LOCK_TIMEOUT_SECONDS) as old:
                if _stored_version(old, copy):
                    export_old_database(old, lake)
        except duckdb.Error as error:
            raise LakeError(
                f"{lake.uri(FILE)}, which an older version uploaded, cannot be read ({_first_line(error)}); restore "
                "it or move it away"
            ) from error
    lake.remove(FILE)


def _make(lake: Lake, path: Path, *, replace: bool) -> None:
    """Make the database from the lake's files under a temporary name, then give it its own, complete."""
    try:
        with temporary_file(path.parent, path.name) as temporary:
            with _open(lake, temporary, read_only=False, timeout=0) as connection:
                connection.execute(SCHEMA)
                connection.execute("CREATE TABLE metrics_schema (version INTEGER, views_hash VARCHAR)")
                connection.execute("INSERT INTO metrics_schema VALUES (?, '')", [SCHEMA_VERSION])
                _bring_up_to_date(connection, lake)
            if replace:
                commit_file(temporary, path)
                return
            _wal(path).unlink(missing_ok=True)
            with suppress(FileExistsError):  # another process was quicker
                create_file(temporary, path)
    except OSError as error:
        raise write_error(error, str(path)) from error


def _is_up_to_date(connection: duckdb.DuckDBPyConnection, lake: Lake) -> bool:
    return _views_hash(connection) == VIEWS_HASH and is_imported(connection, wanted_files(lake))


def _bring_up_to_date(connection: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    with _WRITING:
        _define_views(connection, lake)
        import_files(connection, lake)
        if mark_interrupted(lake, _running(connection)):
            import_files(connection, lake)


def _define_views(connection: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    if _views_hash(connection) != VIEWS_HASH:
        connection.begin()
        define_lake_views(connection, lake)
        for name, select in VIEWS.items():
            connection.execute(f"CREATE OR REPLACE VIEW {name} AS {select}")
        connection.execute("UPDATE metrics_schema SET views_hash = ?", [VIEWS_HASH])
        connection.commit()


def _open(lake: Lake, path: Path, *, read_only: bool, timeout: float) -> duckdb.DuckDBPyConnection:
    """Open the file, waiting while another process has it open; every other error is raised at once."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            connection = duckdb.connect(str(path), read_only, {"autoinstall_known_extensions": "false"})
            connection.execute("SET TimeZone = 'UTC'")
            if not lake.is_local:
                connection.register_filesystem(lake.filesystem)
            return connection
        except duckdb.Error as error:
            if _is_damage(error):
                raise
            if not is_locked(error):
                raise LakeError(
                    f"{path} cannot be opened ({_first_line(error)}); correct that and run the same command again"
                ) from error
            if time.monotonic() > deadline:
                raise DatabaseInUseError(
                    f"Another process keeps {path} open; close it and run the same command again"
                ) from error
        time.sleep(random.uniform(*_WAIT_SECONDS))  # noqa: S311 - jitter, not a secret


def is_locked(error: duckdb.Error) -> bool:
    """Return whether another process has the file open, or a thread of this one: to read it, or just closing it."""
    return any(sign in str(error) for sign in _IN_USE)


def _is_damage(error: duckdb.Error) -> bool:
    return any(sign in str(error) for sign in _DAMAGED)


def _put_aside(path: Path) -> None:
    """Rename a damaged database; nothing of it is needed, but it is not ours to delete."""
    aside = path.with_name(f"{path.name}.damaged")
    log.warning("%s is damaged; it is now %s, and is made again from the lake's files", path, aside)
    with suppress(FileNotFoundError):  # another process was quicker
        path.replace(aside)
    _wal(path).unlink(missing_ok=True)


def _wal(path: Path) -> Path:
    """Return the file in which DuckDB keeps what a killed writer had not yet merged."""
    return path.with_name(f"{path.name}.wal")


def _first_line(error: duckdb.Error) -> str:
    return str(error).splitlines()[0]


def _stored_version(connection: duckdb.DuckDBPyConnection, path: Path) -> int:
    """Return the schema version of the file; 0 for an empty one."""
    try:
        [(version,)] = connection.execute("SELECT version FROM metrics_schema").fetchall()
    except duckdb.CatalogException:  # no such table
        return 0
    if version > SCHEMA_VERSION:
        raise LakeError(
            f"{path} has schema version {version}, newer than the {SCHEMA_VERSION} that this Needledrop reads; "
            "upgrade Needledrop"
        )
    return int(version)


def _views_hash(connection: duckdb.DuckDBPyConnection) -> str:
    [(views_hash,)] = connection.execute("SELECT views_hash FROM metrics_schema").fetchall()
    return str(views_hash)


def _running(connection: duckdb.DuckDBPyConnection) -> list[str]:
    return [run_id for (run_id,) in connection.execute("SELECT run_id FROM runs WHERE state = 'running'").fetchall()]
