"""Write what runs measured: runs, epochs, ranks and confidence; every metric is a view over them.

Each write is one short transaction on the lake's DuckDB file (see `storage.metrics.database`) and replaces the
earlier rows of the same key, so repeating it changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa

from storage.errors import LakeError
from storage.lake.lake import Lake
from storage.metrics.database import connect_metrics, publish

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
"""The columns of `record_ranks`: one row per (film, track of that film), ranks counted from 1 over all candidates."""


@dataclass(frozen=True)
class Run:
    """One training of one system with one seed, or one baseline."""

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
    """The losses, speed and memory of one pass over the training set."""

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
    """Write a run or replace the row of its `run_id`: once when it starts, once when it ends."""
    _write(lake, lambda connection: _replace(connection, "runs", _run_values(run)))
    if run.state != "running":
        publish(lake)


def record_epoch(lake: Lake, epoch: Epoch) -> None:
    """Write one epoch of a run, or replace it when a resumed run repeats it."""
    _write(lake, lambda connection: _replace(connection, "epochs", {**vars(epoch), "recorded_at": datetime.now(UTC)}))


def record_ranks(lake: Lake, run_id: str, ranks: pa.Table) -> None:
    """Write the ranks of a run (columns of `RANKS_SCHEMA`); earlier ones of the same run and policy are replaced.

    Raises `LakeError` when a column is missing or a rank is outside 1 … candidates.
    """
    rows = _checked(run_id, ranks)
    _write(lake, lambda connection: _replace_ranks(connection, run_id, rows))


def record_results(lake: Lake, results: Sequence[tuple[Run, pa.Table]]) -> None:
    """Write finished runs with their ranks in one transaction. Raises as `record_ranks` does."""
    rows = [(run, _checked(run.run_id, ranks)) for run, ranks in results]

    def insert(connection: duckdb.DuckDBPyConnection) -> None:
        for run, ranks in rows:
            _replace_ranks(connection, run.run_id, ranks)
            _replace(connection, "runs", _run_values(run))

    _write(lake, insert)
    publish(lake)


def record_intervals(lake: Lake, dataset_version: str, intervals: pa.Table) -> None:
    """Write the confidence intervals of a version's systems; replaces all earlier ones of the version."""
    _write(lake, lambda connection: _replace_version(connection, "intervals", dataset_version, intervals))


def record_comparisons(lake: Lake, dataset_version: str, comparisons: pa.Table) -> None:
    """Write the paired differences between a version's systems; replaces all earlier ones of the version."""
    _write(lake, lambda connection: _replace_version(connection, "comparisons", dataset_version, comparisons))
    publish(lake)


def _write(lake: Lake, change: Callable[[duckdb.DuckDBPyConnection], None]) -> None:
    """Apply a change in one short transaction: the file is locked from opening to closing."""
    with connect_metrics(lake, read_only=False) as connection:
        connection.begin()
        change(connection)
        connection.commit()


def _run_values(run: Run) -> dict[str, Any]:
    values = {**vars(run), "config_json": json.dumps(dict(run.config), sort_keys=True, default=str)}
    del values["config"]
    return values


def _checked(run_id: str, ranks: pa.Table) -> pa.Table:
    """Return the ranks in the table's columns and types. Raises `LakeError` for values that are not ranks."""
    missing = set(RANKS_SCHEMA.names) - set(ranks.column_names)
    if missing:
        raise LakeError(f"The ranks of {run_id} lack the column {', '.join(sorted(missing))}; see RANKS_SCHEMA")
    rows = ranks.select(RANKS_SCHEMA.names).cast(RANKS_SCHEMA)
    low, high, candidates = (rows[name].to_numpy() for name in ("rank_lo", "rank_hi", "candidates"))
    if not ((low >= 1) & (low <= high) & (high <= candidates)).all():
        raise LakeError(f"The ranks of {run_id} are outside 1 … candidates; rank the embeddings again")
    return rows


def _replace_ranks(connection: duckdb.DuckDBPyConnection, run_id: str, rows: pa.Table) -> None:
    connection.register("new", rows)
    connection.execute("DELETE FROM ranks WHERE run_id = ? AND policy IN (SELECT DISTINCT policy FROM new)", [run_id])
    connection.execute("INSERT INTO ranks BY NAME SELECT ? AS run_id, * FROM new", [run_id])


def _replace(connection: duckdb.DuckDBPyConnection, table: str, values: Mapping[str, Any]) -> None:
    parameters = ", ".join("?" for _ in values)
    connection.execute(
        f"INSERT OR REPLACE INTO {table} ({', '.join(values)}) VALUES ({parameters})", list(values.values())
    )


def _replace_version(connection: duckdb.DuckDBPyConnection, table: str, dataset_version: str, rows: pa.Table) -> None:
    connection.register("new", rows)
    connection.execute(f"DELETE FROM {table} WHERE dataset_version = ?", [dataset_version])
    connection.execute(f"INSERT INTO {table} BY NAME SELECT ? AS dataset_version, * FROM new", [dataset_version])
