"""The files that hold what was measured: one per run, and one per version for its intervals and comparisons.

`runs/RUN.000003.parquet` has one row per run with its epochs and ranks as lists; the baselines of a version share a
file. `confidence/VERSION.000002.parquet` has one row with lists of intervals and comparisons. A file is never edited:
what is measured next is committed as a whole new file under the next number, the highest number counts, and the lower
ones are removed. So a run is always one file, however many epochs it has. The values of one run are replaced in the
rows of its file by `with_values`.

A number can be created once. Of two processes that add to the same run at once, the second reads what the first
committed and adds to that, so neither loses anything.

A process holds a lease on the run that it trains or ranks. A run that is recorded as running and whose lease nobody
holds was killed, and is recorded as interrupted.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from storage.coordination.list_and_free_leases import is_leased
from storage.errors import LakeError
from storage.lake.lake import Lake

RUNS, CONFIDENCE = "runs", "confidence"
"""The two folders."""
_NUMBERED = re.compile(r"(?P<name>.+)\.(?P<number>\d{6})\.parquet")
"""Other files of the two folders, such as a copy that somebody made, are not read."""
_TIME = pa.timestamp("us", tz="UTC")
log = logging.getLogger(__name__)
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
        ("valid_medr", pa.float64()),
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
_SYSTEM = [("policy", pa.string()), ("preset", pa.string()), ("settings_digest", pa.string()), ("system", pa.string())]
_BOUNDS = [("low", pa.float64()), ("high", pa.float64()), ("draws", pa.int32())]
INTERVALS_SCHEMA = pa.schema(
    [*_SYSTEM, ("metric", pa.string()), ("value", pa.float64()), *_BOUNDS, ("basis", pa.string())]
)
COMPARISONS_SCHEMA = pa.schema(
    [
        *_SYSTEM,
        ("against_preset", pa.string()),
        ("against_settings_digest", pa.string()),
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
        ("settings", pa.string()),
        ("settings_digest", pa.string()),
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
_NEVER_NULL = {"run_id", "system", "preset", "seed", "dataset_version", "source", "state", "config_json"}
"""Of runs that have a system: one whose first epoch is recorded before the run itself has none yet."""
_DAMAGED = ".damaged"
_SCHEMAS = {RUNS: RUNS_SCHEMA, CONFIDENCE: CONFIDENCE_SCHEMA}
_NEWER_COLUMNS = ("settings", "settings_digest")
"""Columns that the files of older versions lack."""
INTERRUPTED = "interrupted"
_MESSAGE = "Its process was ended before it had finished; training the same system again continues it"


def baselines_name(dataset_version: str) -> str:
    """Return the name of the file in which all baselines of a version are."""
    return f"{dataset_version}-baselines"


def newest_files(lake: Lake, folder: str) -> dict[str, str]:
    """Return FOLDER/NAME -> path of the newest file of that name."""
    numbered = (match for path in lake.list(folder, suffix=".parquet") if (match := _NUMBERED.fullmatch(path)))
    return {match["name"]: match[0] for match in numbered}


def newest_number(lake: Lake, folder: str, name: str) -> int:
    """Return the highest number of a name; 0 when it has no file."""
    return max(_numbers(lake, folder, name), default=0)


def update(lake: Lake, folder: str, name: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Commit what `change` makes of the newest file's rows; of no rows when there is none, or when it is damaged.

    `change` is called again with what another process has committed in the meantime. A damaged file is set aside: it is
    copied to a name that nothing reads. Raises `LakeError` when the store cannot be read, which damages nothing.
    """
    while True:
        newest = newest_number(lake, folder, name)
        path = _path(folder, name, newest)
        content = lake.read_many([path]).get(path) if newest else None
        if newest and content is None:
            continue  # replaced since it was listed
        try:
            before = _SCHEMAS[folder].empty_table() if content is None else read_rows(content, path)
        except LakeError as error:
            lake.create_bytes(content or b"", f"{path}{_DAMAGED}")  # its own number must stay taken
            log.warning("%s; it is now %s%s, and what it held is measured again", error, path, _DAMAGED)
            before = _SCHEMAS[folder].empty_table()
        after = change(before)
        if after.equals(before):
            return
        if create(lake, folder, name, newest + 1, after):
            break
    remove_older(lake, folder, name, newest + 1)


def create(lake: Lake, folder: str, name: str, number: int, rows: pa.Table) -> bool:
    """Commit a file under this number and return True; return False when another process has that number or a later.

    The second look is for a number that was free only because it was replaced and removed already.
    """
    buffer = pa.BufferOutputStream()
    pq.write_table(rows, buffer, compression="zstd", write_page_checksum=True)
    created = lake.create_bytes(buffer.getvalue().to_pybytes(), _path(folder, name, number))
    return created and newest_number(lake, folder, name) == number


def remove_older(lake: Lake, folder: str, name: str, number: int) -> None:
    """Remove the files of a name that a later number has replaced."""
    for older in _numbers(lake, folder, name):
        if older < number:
            lake.remove(_path(folder, name, older))


def read_rows(content: bytes, path: str) -> pa.Table:
    """Return the rows of a file's content. Raises `LakeError` when it is damaged."""
    schema = _SCHEMAS[path.split("/", maxsplit=1)[0]]
    try:
        file = pa.BufferReader(content)
        rows = pq.read_table(file, page_checksum_verification=True, use_threads=False)
        for name in _NEWER_COLUMNS:
            if name in schema.names and name not in rows.column_names:
                rows = rows.append_column(name, pa.nulls(rows.num_rows, pa.string()))
        rows = rows.select(schema.names).cast(schema)  # which also adds columns of epochs that older versions lack
    except (pa.ArrowException, OSError, KeyError) as error:
        raise LakeError(f"{path} cannot be read ({error}); `needledrop verify` says what to do") from error
    known = rows.filter(pc.is_valid(rows["system"])) if "system" in schema.names else rows
    empty = [name for name in schema.names if name in _NEVER_NULL and known[name].null_count]
    if empty:
        raise LakeError(f"{path} lacks values of {', '.join(empty)}; `needledrop verify` says what to do")
    return rows


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


def _numbers(lake: Lake, folder: str, name: str) -> Sequence[int]:
    found = map(_NUMBERED.fullmatch, lake.list(folder, suffix=".parquet"))
    return [int(match["number"]) for match in found if match and match["name"] == f"{folder}/{name}"]


def _path(folder: str, name: str, number: int) -> str:
    return f"{folder}/{name}.{number:06d}.parquet"


def run_lease(run_id: str) -> str:
    """Return the item whose lease a process holds while it trains or ranks a run."""
    return f"run-{run_id}"


def mark_interrupted(lake: Lake, running: Iterable[str]) -> bool:
    """Record the runs of dead processes as interrupted; returns whether there were any.

    In a lake that cannot be written they stay as they are.
    """
    dead = [run_id for run_id in running if not is_leased(lake, run_lease(run_id))]
    for run_id in dead:
        with suppress(LakeError):
            update(lake, RUNS, run_id, partial(_interrupted, run_id))
    return bool(dead)


def _interrupted(run_id: str, rows: pa.Table) -> pa.Table:
    """Return the rows with the run interrupted, unless it has ended since it was seen running."""
    if row_of(rows, run_id)["state"].to_pylist() != ["running"]:
        return rows
    return with_values(rows, run_id, {"state": INTERRUPTED, "message": _MESSAGE})
