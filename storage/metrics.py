"""What the runs measured: one DuckDB file with runs, epochs and ranks, and a view for every metric.

The file is `needledrop.duckdb` in the lake's root. DuckDB writes only to a disk, so for a lake on an object
store it stands in the cache folder of the machine that trains (`.cache/metrics/…`, see `NEEDLEDROP_CACHE`).

DuckDB lets one process write or many read. So every write here opens the file, writes, and closes it within
milliseconds, and whoever finds it locked waits a moment and tries again. Every write replaces what it wrote
before under the same key, so repeating one changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from storage.errors import LakeError
from storage.lake import Lake
from storage.metrics_schema import MIGRATIONS, VIEWS
from storage.views import define_lake_views

FILE = "needledrop.duckdb"
PATIENCE_SECONDS = 60.0
"""How long to wait for another process to let go of the file: a thousand times a normal write."""
_WAIT_SECONDS = (0.02, 0.5)
_VIEWS_HASH = hashlib.sha256(json.dumps(VIEWS).encode()).hexdigest()[:16]

RANKS_SCHEMA = pa.schema(
    [
        ("film_id", pa.string()),
        ("track_id", pa.string()),
        ("policy", pa.string()),
        ("rank_lo", pa.int32()),
        ("rank_hi", pa.int32()),
        ("score", pa.float32()),
        ("candidates", pa.int32()),
    ]
)
"""What `record_ranks` takes: one row a (film, own track), ranks counted from 1 over all candidates."""


@dataclass(frozen=True)
class Run:
    """One training of one system with one seed, or one control."""

    run_id: str
    system: str
    preset: str
    seed: int
    dataset_version: str
    source: str = "trained"
    state: str = "running"
    message: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    code_version: str | None = None
    model_folder: str | None = None
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    finished_at: datetime | None = None


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training set gave and cost."""

    run_id: str
    epoch: int
    train_loss: float | None = None
    valid_loss: float | None = None
    learning_rate: float | None = None
    seconds: float | None = None
    items: int | None = None
    items_per_second: float | None = None
    data_wait_share: float | None = None
    mfu: float | None = None
    peak_memory_bytes: int | None = None


def record_run(lake: Lake, run: Run) -> None:
    """Write a run, or replace what stands under its `run_id`: once when it starts, once when it ends."""
    values = {**vars(run), "config_json": json.dumps(dict(run.config), sort_keys=True, default=str)}
    del values["config"]
    _write(lake, lambda connection: _replace(connection, "runs", values))


def record_epoch(lake: Lake, epoch: Epoch) -> None:
    """Write one epoch of a run, or replace it when a resumed run repeats it."""
    _write(lake, lambda connection: _replace(connection, "epochs", {**vars(epoch), "recorded_at": datetime.now(UTC)}))


def record_ranks(lake: Lake, run_id: str, ranks: pa.Table) -> None:
    """Write the ranks of a run (columns of `RANKS_SCHEMA`); earlier ones of the same run and policy are replaced.

    Raises `LakeError` when a column is missing or a rank is outside 1 … candidates.
    """
    missing = set(RANKS_SCHEMA.names) - set(ranks.column_names)
    if missing:
        raise LakeError(f"The ranks of {run_id} lack the column {', '.join(sorted(missing))}; see RANKS_SCHEMA")
    rows = ranks.select(RANKS_SCHEMA.names).cast(RANKS_SCHEMA)

    def insert(connection: duckdb.DuckDBPyConnection) -> None:
        connection.register("new_ranks", rows)
        wrong = (
            "SELECT count(*) FROM new_ranks WHERE NOT (1 <= rank_lo AND rank_lo <= rank_hi AND rank_hi <= candidates)"
        )
        if connection.execute(wrong).fetchall() != [(0,)]:
            raise LakeError(f"The ranks of {run_id} are outside 1 … candidates; rank the embeddings again")
        connection.execute(
            "DELETE FROM ranks WHERE run_id = ? AND policy IN (SELECT DISTINCT policy FROM new_ranks)", [run_id]
        )
        connection.execute("INSERT INTO ranks BY NAME SELECT ? AS run_id, * FROM new_ranks", [run_id])

    _write(lake, insert)


def refresh_views(lake: Lake) -> None:
    """Point the views over the lake's Parquet (films, tracks, outcomes, segments, …) at what is committed now."""
    with connect_metrics(lake, read_only=False) as connection:
        define_lake_views(connection, lake)


@contextmanager
def connect_metrics(lake: Lake, *, read_only: bool = True) -> Iterator[duckdb.DuckDBPyConnection]:
    """An open connection to the lake's metrics, its tables and views up to date; keep it open only briefly.

    Raises `LakeError` when another process holds the file for longer than a minute, or when the file was
    made by a newer Needledrop.
    """
    path = metrics_path(lake)
    if read_only:
        _bring_up_to_date(path)
    connection = _open(path, read_only=read_only)
    try:
        if not read_only:
            _migrate(connection, path)
        yield connection
    finally:
        connection.close()


def metrics_path(lake: Lake) -> Path:
    """Where the DuckDB file of a lake stands on this machine."""
    if lake.is_local:
        return Path(lake.uri(FILE))
    return Path(lake.cache_folder, "metrics", re.sub(r"[^A-Za-z0-9]+", "-", lake.root), FILE)


def _write(lake: Lake, change: Callable[[duckdb.DuckDBPyConnection], None]) -> None:
    """One short transaction. The file is locked from opening to closing, so nothing else is done in between."""
    with connect_metrics(lake, read_only=False) as connection:
        connection.begin()
        change(connection)
        connection.commit()


def _replace(connection: duckdb.DuckDBPyConnection, table: str, values: Mapping[str, Any]) -> None:
    places = ", ".join("?" for _ in values)
    connection.execute(f"INSERT OR REPLACE INTO {table} ({', '.join(values)}) VALUES ({places})", list(values.values()))


def _open(path: Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    """Open the file, waiting for whoever holds it; other errors are not worth waiting for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            connection = duckdb.connect(str(path), read_only, {"autoinstall_known_extensions": "false"})
            connection.execute("SET TimeZone = 'UTC'")
            return connection
        except duckdb.Error as error:
            if not _is_locked(error):
                raise LakeError(f"{path} cannot be opened as a DuckDB file; restore it or move it away") from error
            if time.monotonic() > deadline:
                raise LakeError(
                    f"Another process keeps {path} open; close it and run the same command again"
                ) from error
        time.sleep(random.uniform(*_WAIT_SECONDS))  # noqa: S311 - spreads the waiting processes, hides nothing


def _is_locked(error: duckdb.Error) -> bool:
    """Held by another process, or by a reader of this very process while we want to write."""
    return "lock" in str(error) or "different configuration" in str(error)


def _bring_up_to_date(path: Path) -> None:
    """Make or migrate the file if needed, so that a reader finds today's tables and views."""
    if path.exists():
        with _open(path, read_only=True) as connection:
            if _found(connection, path) == (len(MIGRATIONS), _VIEWS_HASH):
                return
    with _open(path, read_only=False) as connection:
        _migrate(connection, path)


def _found(connection: duckdb.DuckDBPyConnection, path: Path) -> tuple[int, str]:
    """The schema version and the hash of the views in the file; (0, "") in an empty one."""
    known = connection.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'metrics_schema'").fetchall()
    if known == [(0,)]:
        return 0, ""
    version, views_hash = connection.execute("SELECT version, views_hash FROM metrics_schema").fetchall()[0]
    if version > len(MIGRATIONS):
        raise LakeError(
            f"{path} has schema version {version}, newer than the {len(MIGRATIONS)} that this Needledrop reads; "
            "upgrade Needledrop"
        )
    return int(version), str(views_hash)


def _migrate(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Apply the migrations that are missing and redefine the views, in one transaction."""
    version, views_hash = _found(connection, path)
    if (version, views_hash) == (len(MIGRATIONS), _VIEWS_HASH):
        return
    connection.begin()
    for script in MIGRATIONS[version:]:
        connection.execute(script)
    for name, select in VIEWS.items():
        connection.execute(f"CREATE OR REPLACE VIEW {name} AS {select}")
    connection.execute(
        "CREATE OR REPLACE TABLE metrics_schema AS SELECT ?::INTEGER AS version, ?::VARCHAR AS views_hash",
        [len(MIGRATIONS), _VIEWS_HASH],
    )
    connection.commit()
