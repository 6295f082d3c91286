"""Write what runs measured: runs, epochs, ranks and confidence; every metric is a view over them.

Each write commits the run's next file (`storage.metrics.run_files`) and repeating it changes nothing. On a folder,
`needledrop.duckdb` is then brought up to date, so that any DuckDB client sees it; while another process keeps that
file open, the next command does so.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from storage.errors import LakeError
from storage.lake.lake import Lake
from storage.metrics import run_files
from storage.metrics.database import update_on_a_folder
from storage.metrics.run_files import (
    CONFIDENCE,
    CONFIDENCE_SCHEMA,
    EPOCHS_SCHEMA,
    RANKS_SCHEMA,
    RUNS,
    as_list,
    from_list,
    ranks_digest,
    row_of,
    with_values,
)


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
    settings: str | None = None
    """The preset and what differs from it, for people."""
    settings_digest: str | None = None
    """Runs of one digest differ in their seeds alone."""


@dataclass(frozen=True)
class Epoch:
    """The losses, speed and memory of one pass over the training set."""

    run_id: str
    epoch: int
    train_loss: float | None = None
    valid_loss: float | None = None
    valid_medr: float | None = None
    learning_rate: float | None = None
    seconds: float | None = None
    items: int | None = None
    items_per_second: float | None = None
    data_wait_share: float | None = None
    mfu: float | None = None
    peak_memory_bytes: int | None = None


def record_run(lake: Lake, run: Run) -> None:
    """Write a run or replace the values of its `run_id`: once when it starts, once when it ends."""
    _update(lake, run.run_id, lambda rows: with_values(rows, run.run_id, _run_values(run)))


def record_epoch(lake: Lake, epoch: Epoch) -> None:
    """Write one epoch of a run, or replace it when a resumed run repeats it."""
    new = {name: value for name, value in vars(epoch).items() if name != "run_id"} | {"recorded_at": datetime.now(UTC)}

    def change(rows: pa.Table) -> pa.Table:
        earlier = from_list(row_of(rows, epoch.run_id)["epochs"], EPOCHS_SCHEMA).to_pylist()
        epochs = {row["epoch"]: row for row in [*earlier, new]}
        return with_values(rows, epoch.run_id, {"epochs": [epochs[number] for number in sorted(epochs)]})

    _update(lake, epoch.run_id, change)


def record_ranks(lake: Lake, run_id: str, ranks: pa.Table) -> None:
    """Write the ranks of a run (columns of `RANKS_SCHEMA`); earlier ones of the same run and policy are replaced.

    Raises `LakeError` when a column is missing or a rank is outside 1 … candidates.
    """
    checked = _checked(run_id, ranks)
    _update(lake, run_id, lambda rows: _with_ranks(rows, run_id, checked))


def record_baselines(lake: Lake, dataset_version: str, results: Sequence[tuple[Run, pa.Table]]) -> None:
    """Write baselines of a version with their ranks, all in one file. Raises as `record_ranks` does."""
    checked = [(run, _checked(run.run_id, ranks)) for run, ranks in results]

    def change(rows: pa.Table) -> pa.Table:
        rows = _without_unknown_settings(rows, [run for run, _ in checked])
        for run, ranks in checked:
            rows = _with_ranks(with_values(rows, run.run_id, _run_values(run)), run.run_id, ranks)
        return rows

    _update(lake, run_files.baselines_name(dataset_version), change)


def record_confidence(lake: Lake, dataset_version: str, after: int, intervals: pa.Table, comparisons: pa.Table) -> bool:
    """Write the intervals and comparisons of a version's systems in place of those of file number `after`.

    Returns False, and writes nothing, when another process has written some since: they may be of more runs.
    """
    values = {"intervals": as_list(intervals), "comparisons": as_list(comparisons)}
    columns = [pa.array([dataset_version]), *values.values()]
    rows = pa.Table.from_arrays(columns, schema=CONFIDENCE_SCHEMA)
    is_written = run_files.create(lake, CONFIDENCE, dataset_version, after + 1, rows)
    if is_written:
        run_files.remove_older(lake, CONFIDENCE, dataset_version, after + 1)
        update_on_a_folder(lake)
    return is_written


def _without_unknown_settings(rows: pa.Table, runs: Sequence[Run]) -> pa.Table:
    """Return the rows without the baselines that older versions recorded without settings and that are now with."""
    known = {(run.system, run.preset, run.seed) for run in runs if run.settings_digest}
    columns = ("system", "preset", "seed", "settings_digest")
    kept = [
        bool(row["settings_digest"]) or (row["system"], row["preset"], row["seed"]) not in known
        for row in rows.select(columns).to_pylist()
    ]
    return rows.filter(pa.array(kept, pa.bool_()))


def _update(lake: Lake, name: str, change: Callable[[pa.Table], pa.Table]) -> None:
    run_files.update(lake, RUNS, name, change)
    update_on_a_folder(lake)


def _run_values(run: Run) -> dict[str, Any]:
    values = {**vars(run), "config_json": json.dumps(dict(run.config), sort_keys=True, default=str)}
    del values["config"]
    return values


def _checked(run_id: str, ranks: pa.Table) -> pa.Table:
    """Return the ranks in the file's columns and types. Raises `LakeError` for values that are not ranks."""
    missing = set(RANKS_SCHEMA.names) - set(ranks.column_names)
    if missing:
        raise LakeError(f"The ranks of {run_id} lack the column {', '.join(sorted(missing))}; see RANKS_SCHEMA")
    rows = ranks.select(RANKS_SCHEMA.names).cast(RANKS_SCHEMA)
    low, high, candidates = (rows[name].to_numpy() for name in ("rank_lo", "rank_hi", "candidates"))
    if not ((low >= 1) & (low <= high) & (high <= candidates)).all():
        raise LakeError(f"The ranks of {run_id} are outside 1 … candidates; rank the embeddings again")
    return rows


def _with_ranks(rows: pa.Table, run_id: str, ranks: pa.Table) -> pa.Table:
    earlier = from_list(row_of(rows, run_id)["ranks"], RANKS_SCHEMA)
    kept = earlier.filter(pc.invert(pc.is_in(earlier["policy"], pc.unique(ranks["policy"]))))
    together = pa.concat_tables([kept, ranks])
    return with_values(rows, run_id, {"ranks": as_list(together), "ranks_digest": ranks_digest(together)})
