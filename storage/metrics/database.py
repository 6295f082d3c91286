"""The DuckDB file of a lake: its tables and migrations, how it is opened and locked, and how its views are refreshed.

DuckDB lets one process write or many read. So every write opens the file, writes, and closes it within
milliseconds, and a process that finds it locked waits a moment and retries.

The file is `needledrop.duckdb` in the lake's root. DuckDB writes only to a disk, so for a lake on an object
store it is in the cache folder of the machine that trains (`.cache/metrics/…`, see `NEEDLEDROP_CACHE`).
Each finished run uploads a copy to the lake's root, from which a machine with an empty cache starts; the runs
of one such lake must therefore be measured on one machine at a time.

Only measurements are stored: runs, epochs, ranks, and the confidence computed from them. Every metric is a view over
the ranks (`storage/metrics/leaderboard_views.py`), so each number can be traced.
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


VERSION_1 = """
CREATE TABLE runs (
    run_id VARCHAR PRIMARY KEY,
    system VARCHAR NOT NULL,           -- All, Im, Plo, …, or the name of a control
    preset VARCHAR NOT NULL,
    seed INTEGER NOT NULL,
    dataset_version VARCHAR NOT NULL,
    source VARCHAR NOT NULL,           -- trained, control
    state VARCHAR NOT NULL,            -- running, completed, failed
    message VARCHAR,
    config_json VARCHAR NOT NULL,
    code_version VARCHAR,
    model_folder VARCHAR,
    started_at TIMESTAMPTZ,
    finished_at TIMESTAMPTZ
);
CREATE TABLE epochs (
    run_id VARCHAR NOT NULL,
    epoch INTEGER NOT NULL,
    train_loss DOUBLE,
    valid_loss DOUBLE,
    learning_rate DOUBLE,
    seconds DOUBLE,
    items BIGINT,
    items_per_second DOUBLE,
    data_wait_share DOUBLE,            -- of the epoch's wall time, 0 … 1
    mfu DOUBLE,                        -- model FLOPs used, as a share of the device's peak
    peak_memory_bytes BIGINT,
    recorded_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (run_id, epoch)
);
CREATE TABLE ranks (
    run_id VARCHAR NOT NULL,
    film_id VARCHAR NOT NULL,
    track_id VARCHAR NOT NULL,
    policy VARCHAR NOT NULL,           -- how a track was embedded: segments8, segments1
    rank_lo INTEGER NOT NULL,          -- 1 + tracks that score higher
    rank_hi INTEGER NOT NULL,          -- tracks that score higher or the same
    score FLOAT,
    candidates INTEGER NOT NULL
);
"""

VERSION_2 = """
CREATE TABLE intervals (
    dataset_version VARCHAR NOT NULL,
    policy VARCHAR NOT NULL,
    preset VARCHAR NOT NULL,
    system VARCHAR NOT NULL,
    metric VARCHAR NOT NULL,           -- a column of the view metrics
    value DOUBLE NOT NULL,             -- over all seeds together
    low DOUBLE NOT NULL,
    high DOUBLE NOT NULL,              -- low … high: 95 % by bootstrap over films
    draws INTEGER NOT NULL
);
CREATE TABLE comparisons (
    dataset_version VARCHAR NOT NULL,
    policy VARCHAR NOT NULL,
    preset VARCHAR NOT NULL,
    system VARCHAR NOT NULL,
    against_preset VARCHAR NOT NULL,
    against VARCHAR NOT NULL,
    metric VARCHAR NOT NULL,
    difference DOUBLE NOT NULL,        -- system minus against, on the same films
    low DOUBLE NOT NULL,
    high DOUBLE NOT NULL,
    p DOUBLE NOT NULL,                 -- swapping the two systems' results film by film
    p_holm DOUBLE NOT NULL,            -- the same, adjusted for the number of comparisons (Holm)
    draws INTEGER NOT NULL
);
"""

MIGRATIONS: tuple[str, ...] = (VERSION_1, VERSION_2)
"""`MIGRATIONS[n]` takes a database of schema version n to n + 1. Never edited once released: only appended to."""
