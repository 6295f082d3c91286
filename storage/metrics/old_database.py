"""Commit as files what older versions kept only in `needledrop.duckdb` (schema versions 1 and 2).

Every machine does it with the database it has: on an object store each had its own, and runs that one had overwritten
in the store's copy are still in the cache of the machine that measured them. Doing it again adds nothing, so a crash
on the way and two machines at once do no harm.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from storage.lake.lake import Lake
from storage.metrics import run_files
from storage.metrics.duckdb_import import SCHEMA, replace_runs
from storage.metrics.leaderboard_and_chance_views import VIEWS
from storage.metrics.run_files import (
    CONFIDENCE,
    CONFIDENCE_SCHEMA,
    RANKS_SCHEMA,
    RUNS,
    RUNS_SCHEMA,
    from_list,
    ranks_digest,
    row_of,
)
from storage.tables.duckdb_connection import fetch_rows

_ROWS = """
WITH ids AS (SELECT run_id FROM runs UNION SELECT run_id FROM epochs UNION SELECT run_id FROM ranks)
SELECT * FROM ids LEFT JOIN runs USING (run_id)
LEFT JOIN (SELECT run_id, list(epochs ORDER BY epoch) AS epochs FROM epochs GROUP BY run_id) USING (run_id)
LEFT JOIN (SELECT run_id, list(ranks ORDER BY policy, film_id, track_id) AS ranks FROM ranks GROUP BY run_id)
USING (run_id) WHERE run_id = ?
"""


def export(old: duckdb.DuckDBPyConnection, lake: Lake) -> None:
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
