"""The rows of run files: their columns, and how the values of one run are read and replaced in them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_TIME = pa.timestamp("us", tz="UTC")
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
EPOCHS_SCHEMA = pa.schema(
    [
        ("epoch", pa.int32()),
        ("train_loss", pa.float64()),
        ("valid_loss", pa.float64()),
        ("learning_rate", pa.float64()),
        ("seconds", pa.float64()),
        ("items", pa.int64()),
        ("items_per_second", pa.float64()),
        ("data_wait_share", pa.float64()),
        ("mfu", pa.float64()),
        ("peak_memory_bytes", pa.int64()),
        ("recorded_at", _TIME),
    ]
)
_SYSTEM = [("policy", pa.string()), ("preset", pa.string()), ("system", pa.string())]
_BOUNDS = [("low", pa.float64()), ("high", pa.float64()), ("draws", pa.int32())]
INTERVALS_SCHEMA = pa.schema(
    [*_SYSTEM, ("metric", pa.string()), ("value", pa.float64()), *_BOUNDS, ("basis", pa.string())]
)
COMPARISONS_SCHEMA = pa.schema(
    [
        *_SYSTEM,
        ("against_preset", pa.string()),
        ("against", pa.string()),
        ("metric", pa.string()),
        ("difference", pa.float64()),
        *_BOUNDS,
        ("p", pa.float64()),
        ("p_holm", pa.float64()),
        ("basis", pa.string()),
    ]
)
RUNS_SCHEMA = pa.schema(
    [
        ("run_id", pa.string()),
        ("system", pa.string()),
        ("preset", pa.string()),
        ("seed", pa.int32()),
        ("dataset_version", pa.string()),
        ("source", pa.string()),
        ("state", pa.string()),
        ("message", pa.string()),
        ("config_json", pa.string()),
        ("code_version", pa.string()),
        ("model_folder", pa.string()),
        ("started_at", _TIME),
        ("finished_at", _TIME),
        ("ranks_digest", pa.string()),
        ("epochs", pa.list_(pa.struct(list(EPOCHS_SCHEMA)))),
        ("ranks", pa.list_(pa.struct(list(RANKS_SCHEMA)))),
    ]
)
CONFIDENCE_SCHEMA = pa.schema(
    [
        ("dataset_version", pa.string()),
        ("intervals", pa.list_(pa.struct(list(INTERVALS_SCHEMA)))),
        ("comparisons", pa.list_(pa.struct(list(COMPARISONS_SCHEMA)))),
    ]
)


def with_values(rows: pa.Table, run_id: str, values: Mapping[str, Any]) -> pa.Table:
    """Return the rows of a file with these values of one run; it is added when it is not among them."""
    row = row_of(rows, run_id)
    for index, column in enumerate(RUNS_SCHEMA):
        if column.name in values:
            value = values[column.name]
            array = value if isinstance(value, pa.Array) else pa.array([value], column.type)
            row = row.set_column(index, column, array)
    return pa.concat_tables([rows.filter(pc.not_equal(rows["run_id"], run_id)), row])


def row_of(rows: pa.Table, run_id: str) -> pa.Table:
    """Return the row of a run; with nothing but its id when it has none yet."""
    found = rows.filter(pc.equal(rows["run_id"], run_id))
    return found if found.num_rows else pa.Table.from_pylist([{"run_id": run_id}], RUNS_SCHEMA)


def ranks_digest(ranks: pa.Table) -> str:
    """Return a digest of ranks (columns of `RANKS_SCHEMA`) that does not depend on their order."""
    ordered = ranks.sort_by([(name, "ascending") for name in ("policy", "film_id", "track_id")])
    digest = hashlib.sha256()
    for name in ("policy", "film_id", "track_id"):
        digest.update("\n".join(ordered[name].to_pylist()).encode())
    for name in ("rank_lo", "rank_hi", "candidates"):
        digest.update(ordered[name].to_numpy().astype(np.int32).tobytes())
    return digest.hexdigest()[:16]


def as_list(rows: pa.Table) -> pa.ListArray:
    """Return a table as one value: a list of structs."""
    rows = rows.combine_chunks()
    columns = [rows[name].combine_chunks() if rows.num_rows else rows[name].type for name in rows.column_names]
    if not rows.num_rows:
        return pa.array([[]], pa.list_(pa.struct(list(rows.schema))))
    structs = pa.StructArray.from_arrays(columns, fields=list(rows.schema))
    return pa.ListArray.from_arrays(pa.array([0, rows.num_rows], pa.int32()), structs)


def from_list(column: pa.ChunkedArray, schema: pa.Schema) -> pa.Table:
    """Return the structs of a column of lists as a table; without rows where the lists are null."""
    structs = column.combine_chunks().flatten()
    if isinstance(structs, pa.ChunkedArray):
        structs = structs.combine_chunks()
    return pa.Table.from_arrays(structs.flatten(), schema=schema)
