"""The tables of `needledrop.duckdb`, filled from the lake's files: only from those that are new since the last time.

The tables repeat the files, so a new schema is filled from these again. Intervals and comparisons count only while the
ranks they were computed from are those in the tables. When another machine adds a seed, the old interval of that
system is dropped here, so no row of the leaderboard mixes the two.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import duckdb
import pyarrow as pa

from storage.errors import LakeError
from storage.lake.lake import Lake
from storage.metrics.leaderboard_views import VIEWS
from storage.metrics.run_files import CONFIDENCE, RUNS, newest_files, read_rows

SCHEMA_VERSION = 3
"""Raised when a table changes. Up to 2, the rows were in the DuckDB file only (`storage.metrics.old_database`)."""
VIEWS_HASH = hashlib.sha256(json.dumps(VIEWS).encode()).hexdigest()[:16]
SCHEMA = """
CREATE TABLE runs (
    run_id VARCHAR NOT NULL,
    system VARCHAR NOT NULL,           -- All, Im, Plo, …, or the name of a control
    preset VARCHAR NOT NULL,
    seed INTEGER NOT NULL,
    dataset_version VARCHAR NOT NULL,
    source VARCHAR NOT NULL,           -- trained, control
    state VARCHAR NOT NULL,            -- running, completed, failed, interrupted
    message VARCHAR,
    config_json VARCHAR NOT NULL,
    code_version VARCHAR,
    model_folder VARCHAR,
    started_at TIMESTAMPTZ,
    finished_at TIMESTAMPTZ,
    ranks_digest VARCHAR               -- the same for the same ranks
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
    recorded_at TIMESTAMPTZ NOT NULL
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
CREATE TABLE intervals (
    dataset_version VARCHAR NOT NULL,
    policy VARCHAR NOT NULL,
    preset VARCHAR NOT NULL,
    system VARCHAR NOT NULL,
    metric VARCHAR NOT NULL,           -- a column of the view metrics
    value DOUBLE NOT NULL,             -- over all seeds together
    low DOUBLE NOT NULL,
    high DOUBLE NOT NULL,              -- low … high: 95 % by bootstrap over films
    draws INTEGER NOT NULL,
    basis VARCHAR NOT NULL             -- of the ranks it was computed from, see the view bases
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
    draws INTEGER NOT NULL,
    basis VARCHAR NOT NULL             -- of all ranks of the version: p_holm depends on every system
);
CREATE TABLE imported_files (
    name VARCHAR NOT NULL,             -- runs/RUN or confidence/VERSION
    path VARCHAR NOT NULL,             -- the file of that name whose rows are in the tables above
    run_ids VARCHAR[] NOT NULL         -- the runs in it
);
"""
_FILES_AT_ONCE = 200
"""Read into memory together: of so many runs with the paper's 1,964 test tracks, 20 MB."""
_ATTEMPTS = 20
_STALE = (
    "DELETE FROM intervals WHERE NOT EXISTS (FROM bases WHERE bases.dataset_version = intervals.dataset_version "
    "AND bases.policy = intervals.policy AND bases.preset = intervals.preset AND bases.system = intervals.system "
    "AND bases.basis = intervals.basis)",
    "DELETE FROM comparisons WHERE NOT EXISTS (FROM version_bases "
    "WHERE version_bases.dataset_version = comparisons.dataset_version AND version_bases.basis = comparisons.basis)",
)


def wanted_files(lake: Lake) -> dict[str, str]:
    """Return name -> path of every file that the tables should hold.

    Intervals are listed before runs: the runs that they were computed from were committed earlier.
    """
    confidence = newest_files(lake, CONFIDENCE)
    return newest_files(lake, RUNS) | confidence


def is_imported(connection: duckdb.DuckDBPyConnection, wanted: Mapping[str, str]) -> bool:
    """Return whether the tables hold exactly these files."""
    return dict(connection.execute("SELECT name, path FROM imported_files").fetchall()) == wanted


def import_files(connection: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    """Bring the tables up to date in one transaction. Raises `LakeError` for a damaged file."""
    connection.begin()
    for _ in range(_ATTEMPTS):
        wanted = wanted_files(lake)
        imported = dict(connection.execute("SELECT name, path FROM imported_files").fetchall())
        _forget(connection, [name for name in imported if name not in wanted])
        new = {name: path for name, path in wanted.items() if imported.get(name) != path}
        names = list(new)
        together = [names[start : start + _FILES_AT_ONCE] for start in range(0, len(names), _FILES_AT_ONCE)]
        if all(_import(connection, lake, {name: new[name] for name in some}) for some in together):
            break
    else:
        raise LakeError(f"The runs of {lake.root} change faster than they can be read; run the same command again")
    for statement in _STALE:
        connection.execute(statement)
    connection.commit()


def _import(connection: duckdb.DuckDBPyConnection, lake: Lake, new: Mapping[str, str]) -> bool:
    """Replace the rows of these names; returns whether every file was still there: some may just have been replaced."""
    contents = lake.read_many(list(new.values()))
    run_ids: dict[str, list[str]] = {}
    runs = []
    for name, path in new.items():
        if path not in contents:
            continue
        rows = read_rows(contents[path], path)
        if name.startswith(f"{RUNS}/"):
            runs.append(rows)
            run_ids[name] = rows["run_id"].to_pylist()
        else:
            _replace_confidence(connection, rows)
            run_ids[name] = []
    if runs:
        replace_runs(connection, pa.concat_tables(runs))
    _note_imported(connection, {name: (new[name], ids) for name, ids in run_ids.items()})
    return len(run_ids) == len(new)


def _note_imported(connection: duckdb.DuckDBPyConnection, files: Mapping[str, tuple[str, list[str]]]) -> None:
    rows = [{"name": name, "path": path, "run_ids": run_ids} for name, (path, run_ids) in files.items()]
    schema = pa.schema([("name", pa.string()), ("path", pa.string()), ("run_ids", pa.list_(pa.string()))])
    connection.register("new", pa.Table.from_pylist(rows, schema))
    connection.execute("DELETE FROM imported_files WHERE name IN (SELECT name FROM new)")
    connection.execute("INSERT INTO imported_files BY NAME FROM new")
    connection.unregister("new")


def replace_runs(connection: duckdb.DuckDBPyConnection, rows: pa.Table) -> None:
    """Replace all rows of these runs; `rows` has the columns of `RUNS_SCHEMA`."""
    connection.register("new", rows)
    for table in ("runs", "epochs", "ranks"):
        connection.execute(f"DELETE FROM {table} WHERE run_id IN (SELECT run_id FROM new)")
    connection.execute("INSERT INTO runs BY NAME SELECT * EXCLUDE (epochs, ranks) FROM new WHERE system IS NOT NULL")
    for table in ("epochs", "ranks"):
        connection.execute(f"INSERT INTO {table} BY NAME SELECT run_id, unnest({table}, recursive := true) FROM new")
    connection.unregister("new")


def _replace_confidence(connection: duckdb.DuckDBPyConnection, rows: pa.Table) -> None:
    connection.register("new", rows)
    for table in ("intervals", "comparisons"):
        connection.execute(f"DELETE FROM {table} WHERE dataset_version IN (SELECT dataset_version FROM new)")
        connection.execute(
            f"INSERT INTO {table} BY NAME SELECT dataset_version, unnest({table}, recursive := true) FROM new"
        )
    connection.unregister("new")


def _forget(connection: duckdb.DuckDBPyConnection, names: list[str]) -> None:
    """Delete the rows of files that are no longer in the lake."""
    forgotten = "SELECT unnest(run_ids) FROM imported_files WHERE list_contains($names, name)"
    versions = [name.removeprefix(f"{CONFIDENCE}/") for name in names if name.startswith(f"{CONFIDENCE}/")]
    if not names:
        return
    for table in ("runs", "epochs", "ranks"):
        connection.execute(f"DELETE FROM {table} WHERE run_id IN ({forgotten})", {"names": names})
    for table in ("intervals", "comparisons"):
        connection.execute(f"DELETE FROM {table} WHERE list_contains(?, dataset_version)", [versions])
    connection.execute("DELETE FROM imported_files WHERE list_contains(?, name)", [names])
