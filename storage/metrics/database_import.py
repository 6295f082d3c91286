"""The tables of `needledrop.duckdb`, filled from the lake's files: only from those that are new since the last time.

The tables repeat the files, so a new schema is filled from these again. Intervals and comparisons count only while the
ranks they were computed from are those in the tables. When another machine adds a seed, the old interval of that
system is dropped here, so no row of the leaderboard mixes the two.

A damaged file is left out and remembered in `damaged_files`: it costs what it held, and nothing else.

What older versions kept only in `needledrop.duckdb` (schema versions 1 and 2) is committed as files first. Every
machine does it with the database it has: on an object store each had its own, and runs that one had overwritten
in the store's copy are still in the cache of the machine that measured them. Doing it again adds nothing, so a crash
on the way and two machines at once do no harm.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from storage.errors import LakeError
from storage.lake.lake import Lake
from storage.metrics import run_files
from storage.metrics.database_schema import SCHEMA
from storage.metrics.leaderboard_chance_and_paper_views import VIEWS
from storage.metrics.run_files import (
    CONFIDENCE,
    CONFIDENCE_SCHEMA,
    RANKS_SCHEMA,
    RUNS,
    RUNS_SCHEMA,
    from_list,
    newest_files,
    ranks_digest,
    read_rows,
    row_of,
)
from storage.tables.duckdb_connection import fetch_rows

VIEWS_HASH = hashlib.sha256(json.dumps(VIEWS).encode()).hexdigest()[:16]
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


_ROWS = """
WITH ids AS (SELECT run_id FROM runs UNION SELECT run_id FROM epochs UNION SELECT run_id FROM ranks)
SELECT * FROM ids LEFT JOIN runs USING (run_id)
LEFT JOIN (SELECT run_id, list(epochs ORDER BY epoch) AS epochs FROM epochs GROUP BY run_id) USING (run_id)
LEFT JOIN (SELECT run_id, list(ranks ORDER BY policy, film_id, track_id) AS ranks FROM ranks GROUP BY run_id)
USING (run_id) WHERE run_id = ?
"""


def export_old_database(old: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    """Commit the runs, epochs, ranks, intervals and comparisons of an older database as files of the lake."""
    ids = old.execute("SELECT run_id FROM runs UNION SELECT run_id FROM epochs UNION SELECT run_id FROM ranks")
    with duckdb.connect() as work:
        work.execute("SET TimeZone = 'UTC'")
        work.execute(SCHEMA)
        for name in ("ranked", "film_metrics", "metrics", "latest_runs", "bases", "version_bases"):
            work.execute(f"CREATE VIEW {name} AS {VIEWS[name]}")
        files: dict[str, list[pa.Table]] = {}
        for (run_id,) in sorted(ids.fetchall()):
            row = _run(old, run_id)
            replace_runs(work, row)
            files.setdefault(_file_name(row), []).append(row)
        for name, rows in files.items():
            run_files.update(lake, RUNS, name, partial(_merged, rows))
        _export_confidence(old, work, lake)


def _run(old: duckdb.DuckDBPyConnection, run_id: str) -> pa.Table:
    """Return the row of one run in the columns of a run file."""
    [row] = fetch_rows(old, _ROWS, run_id)
    rows = pa.Table.from_pylist([{name: row.get(name) for name in RUNS_SCHEMA.names}], RUNS_SCHEMA)
    if row["ranks"] is None:
        return rows
    digest = ranks_digest(from_list(rows["ranks"], RANKS_SCHEMA))
    return rows.set_column(RUNS_SCHEMA.get_field_index("ranks_digest"), "ranks_digest", pa.array([digest]))


def _file_name(row: pa.Table) -> str:
    [run_id], [source], [version] = (row[name].to_pylist() for name in ("run_id", "source", "dataset_version"))
    return run_files.baselines_name(version) if source == "control" else str(run_id)


def _merged(rows: list[pa.Table], stored: pa.Table) -> pa.Table:
    """Return what is stored with the rows of runs that it lacks, or of which they came further."""
    for row in rows:
        [run_id] = row["run_id"].to_pylist()
        if _progress(row) > _progress(row_of(stored, run_id)):
            stored = pa.concat_tables([stored.filter(pc.not_equal(stored["run_id"], run_id)), row])
    return stored


def _progress(row: pa.Table) -> tuple[bool, datetime, int]:
    """Return how far a run came: of two states of one run, the greater is kept. A run without values is the least."""
    [state], [finished], [epochs] = (row[name].to_pylist() for name in ("state", "finished_at", "epochs"))
    steps = len(epochs or ()) + int(row["ranks_digest"].null_count == 0) + int(state is not None)
    return state == "completed", finished or datetime.min.replace(tzinfo=UTC), steps


def _export_confidence(old: duckdb.DuckDBPyConnection, work: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    """Commit intervals and comparisons as computed from the ranks next to them: older versions did not say."""
    tables = {name for (name,) in old.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    if not {"intervals", "comparisons"} <= tables:  # schema version 1
        return
    for (version,) in old.execute("SELECT DISTINCT dataset_version FROM intervals ORDER BY ALL").fetchall():
        bases = fetch_rows(work, "FROM bases WHERE dataset_version = ?", version)
        basis = {(row["policy"], row["preset"], row["system"]): row["basis"] for row in bases}
        [(of_all,)] = work.execute("SELECT basis FROM version_bases WHERE dataset_version = ?", [version]).fetchall()
        intervals = fetch_rows(old, "FROM intervals WHERE dataset_version = ?", version)
        compared = fetch_rows(old, "FROM comparisons WHERE dataset_version = ?", version)
        for row in intervals:
            row["basis"] = basis.get((row["policy"], row["preset"], row["system"]), "")
        row = {"dataset_version": version, "intervals": intervals}
        row["comparisons"] = [each | {"basis": of_all} for each in compared]
        rows = pa.Table.from_pylist([row], CONFIDENCE_SCHEMA)
        run_files.update(lake, CONFIDENCE, version, partial(_stored_or, rows))


def _stored_or(rows: pa.Table, stored: pa.Table) -> pa.Table:
    return stored if stored.num_rows else rows
