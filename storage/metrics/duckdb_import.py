"""The tables of `needledrop.duckdb`, filled from the lake's files: only from those that are new since the last time.

The tables repeat the files, so a new schema is filled from these again. Intervals and comparisons count only while the
ranks they were computed from are those in the tables. When another machine adds a seed, the old interval of that
system is dropped here, so no row of the leaderboard mixes the two.

A damaged file is left out and remembered in `damaged_files`: it costs what it held, and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping

import duckdb
import pyarrow as pa

from storage.errors import LakeError
from storage.lake.lake import Lake
from storage.metrics.leaderboard_and_chance_views import VIEWS
from storage.metrics.run_files import CONFIDENCE, RUNS, newest_files, read_rows

SCHEMA_VERSION = 6
FIRST_WITH_FILES = 3
"""Raised when a table changes. Before 3, the rows were in the DuckDB file only (`storage.metrics.old_database`)."""
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
    ranks_digest VARCHAR,              -- the same for the same ranks
    settings VARCHAR,                  -- the preset and what differs from it: paper, optimiser.rate=1e-3
    settings_digest VARCHAR NOT NULL   -- runs of one digest differ in their seeds alone; '' of a control without model
);
CREATE TABLE epochs (
    run_id VARCHAR NOT NULL,
    epoch INTEGER NOT NULL,
    train_loss DOUBLE,
    valid_loss DOUBLE,
    valid_medr DOUBLE,                 -- the median rank in the validation split, of runs that stop on it
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
    policy VARCHAR NOT NULL,           -- what was embedded: segments8, segments1, segments8-paragraphs
    rank_lo INTEGER NOT NULL,          -- 1 + tracks that score higher
    rank_hi INTEGER NOT NULL,          -- tracks that score higher or the same
    score FLOAT,
    candidates INTEGER NOT NULL
);
CREATE TABLE intervals (
    dataset_version VARCHAR NOT NULL,
    policy VARCHAR NOT NULL,
    preset VARCHAR NOT NULL,
    settings_digest VARCHAR,
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
    settings_digest VARCHAR,
    system VARCHAR NOT NULL,
    against_preset VARCHAR NOT NULL,
    against_settings_digest VARCHAR,
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
CREATE TABLE damaged_files (
    name VARCHAR NOT NULL,             -- as in imported_files
    path VARCHAR NOT NULL,             -- the file of that name that cannot be read
    damage VARCHAR NOT NULL
);
"""
_FILES_AT_ONCE = 200
"""Read into memory together: of so many runs with the paper's 1,964 test tracks, 20 MB."""
_ATTEMPTS = 20
_SETTINGS_DIGEST = """
coalesce(settings_digest, CASE WHEN source = 'control' THEN ''
    ELSE coalesce(nullif(regexp_extract(run_id, '-s\\d+-([0-9a-f]{8})(-\\d+)?$', 1), ''), md5(config_json)[:8]) END)
"""
"""What the files of older versions lack: the digest at the end of a run's name, or else one of its configuration."""
_HELD = "SELECT name, path FROM imported_files UNION ALL SELECT name, path FROM damaged_files"
_warned: set[str] = set()
"""Damaged files that this process has named already: the metrics are opened for every question."""
log = logging.getLogger(__name__)
# Files of older versions do not say which settings a figure is of: they have one only where it could not be another.
_STALE = (
    *(
        f"UPDATE {table} SET {prefix}settings_digest = bases.settings_digest FROM bases "
        f"WHERE {table}.{prefix}settings_digest IS NULL AND bases.dataset_version = {table}.dataset_version "
        f"AND bases.policy = {table}.policy AND bases.preset = {table}.{prefix}preset "
        f"AND bases.system = {table}.{system}"
        for table, prefix, system in (
            ("intervals", "", "system"),
            ("comparisons", "", "system"),
            ("comparisons", "against_", "against"),
        )
    ),
    "DELETE FROM intervals WHERE NOT EXISTS (FROM bases WHERE bases.dataset_version = intervals.dataset_version "
    "AND bases.policy = intervals.policy AND bases.preset = intervals.preset AND bases.system = intervals.system "
    "AND bases.settings_digest = intervals.settings_digest AND bases.basis = intervals.basis)",
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
    """Return whether the tables hold exactly these files, but for damaged ones, which are named in a warning."""
    for path, damage in connection.execute("SELECT path, damage FROM damaged_files ORDER BY path").fetchall():
        if path not in _warned:
            log.warning("%s, and is left out", damage)
            _warned.add(path)
    return dict(connection.execute(_HELD).fetchall()) == wanted


def import_files(connection: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    """Bring the tables up to date in one transaction."""
    connection.begin()
    for _ in range(_ATTEMPTS):
        wanted = wanted_files(lake)
        held = dict(connection.execute(_HELD).fetchall())
        _forget(connection, [name for name in held if name not in wanted])
        new = {name: path for name, path in wanted.items() if held.get(name) != path}
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
    found = {name: path for name, path in new.items() if path in contents}
    rows: dict[str, pa.Table] = {}
    damaged: dict[str, str] = {}
    for name, path in found.items():
        try:
            rows[name] = read_rows(contents[path], path)
        except LakeError as error:
            damaged[name] = str(error)
    _forget(connection, list(damaged))  # every machine shows the same, also one that read an earlier file of the name
    _note_damaged(connection, {name: (new[name], damage) for name, damage in damaged.items()}, list(rows))
    runs = {name: table for name, table in rows.items() if name.startswith(f"{RUNS}/")}
    if runs:
        replace_runs(connection, pa.concat_tables(list(runs.values())))
    for name in rows.keys() - runs.keys():
        _replace_confidence(connection, rows[name])
    run_ids = {name: runs[name]["run_id"].to_pylist() if name in runs else [] for name in rows}
    _note_imported(connection, {name: (new[name], ids) for name, ids in run_ids.items()})
    return len(found) == len(new)


def _note_damaged(
    connection: duckdb.DuckDBPyConnection, files: Mapping[str, tuple[str, str]], intact: list[str]
) -> None:
    connection.execute("DELETE FROM damaged_files WHERE list_contains(?, name)", [intact])
    for name, (path, damage) in files.items():
        connection.execute("INSERT INTO damaged_files VALUES (?, ?, ?)", [name, path, damage])


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
    known = f"{_SETTINGS_DIGEST} AS settings_digest, coalesce(settings, nullif(preset, 'control')) AS settings"
    columns = f"* EXCLUDE (epochs, ranks) REPLACE ({known})"
    connection.execute(f"INSERT INTO runs BY NAME SELECT {columns} FROM new WHERE system IS NOT NULL")
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
    for table in ("imported_files", "damaged_files"):
        connection.execute(f"DELETE FROM {table} WHERE list_contains(?, name)", [names])
