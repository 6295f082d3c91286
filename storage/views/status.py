"""Read everything that `needledrop status` shows: the status views, budgets, breakers, disk usage."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from storage.coordination.budgets import BUDGETS_FOLDER, Budget
from storage.coordination.list_and_free_leases import HeldLease, list_leases
from storage.datasets import versions as datasets
from storage.lake.disk_space import FreeSpace, folder_bytes
from storage.lake.lake import Lake
from storage.records.flow_runs import CRASHED, RUNNING, is_alive
from storage.records.review_answers_and_agreement import answered_pairs
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import FLOW_RUNS
from storage.views.lake_views import define_lake_views

_LAST_COLLECTION = (
    "SELECT parameters FROM flow_runs WHERE flow = 'collect-soundtracks' ORDER BY recorded_at DESC LIMIT 1"
)
_LAST_RUNS = f"""
SELECT flow, state, recorded_at, flow_run_id FROM (SELECT *, {tables.ROW_ORDER} AS row_order FROM {{rows}})
QUALIFY row_number() OVER (PARTITION BY flow ORDER BY row_order DESC) = 1 ORDER BY row_order DESC
"""
"""In the order in which the lake got them: the clocks of two machines differ."""
_UNANSWERED_REVIEWS = """
SELECT count(*) AS n FROM tracks SEMI JOIN films USING (film_id) ANTI JOIN answered USING (film_id, track_id)
WHERE decision = 'review'
"""


@dataclass(frozen=True)
class Status:
    """Everything that the status screen shows; rows are dictionaries of the views' columns.

    `reviews` counts the doubtful matches that have no answer yet.
    """

    progress: list[dict[str, Any]]
    failures: list[dict[str, Any]]
    waiting: list[dict[str, Any]]
    missing_films: int
    films: int
    breakers: list[dict[str, Any]]
    reviews: int
    spent_today: dict[str, dict[str, int]]
    daily_limits: dict[str, int]
    last_runs: list[dict[str, Any]]
    leases: list[HeldLease]
    version: str | None
    folder_bytes: dict[str, int]
    space: FreeSpace | None


def read_status(lake: Lake) -> Status:
    """Read the status of a lake. Reads plain columns and file sizes only, so it is quick on a large lake."""
    with duckdb_connection.connect(lake, duckdb_connection.SMALL_MEMORY_LIMIT) as connection:
        define_lake_views(connection, lake, temporary=True)
        connection.register("answered", answered_pairs(lake))

        def select(query: str) -> list[dict[str, Any]]:
            rows: list[dict[str, Any]] = connection.sql(query).to_arrow_table().to_pylist()
            return rows

        last_runs = select(_LAST_RUNS.format(rows=tables.rows_sql(lake, FLOW_RUNS)))
        for run in last_runs:
            if run["state"] == RUNNING and not is_alive(lake, run["flow_run_id"]):
                run["state"] = CRASHED  # the next run records it
        return Status(
            progress=select("FROM progress"),
            failures=select("FROM failures"),
            waiting=select("FROM waiting"),
            missing_films=select("SELECT count(*) AS n FROM missing")[0]["n"],
            films=select("SELECT count(*) AS n FROM films")[0]["n"],
            breakers=select(
                "SELECT source, reason, message, until FROM breakers WHERE state = 'open' AND until > now()"
            ),
            reviews=select(_UNANSWERED_REVIEWS)[0]["n"],
            spent_today=_spent_today(lake),
            daily_limits=_daily_limits(select(_LAST_COLLECTION)),
            last_runs=last_runs,
            leases=list_leases(lake),
            version=datasets.current(lake),
            folder_bytes=folder_bytes(lake.filesystem, lake.root, lake.uri() if lake.is_local else None),
            space=lake.free_space() if lake.is_local else None,
        )


def _spent_today(lake: Lake) -> dict[str, dict[str, int]]:
    """Return what each source's daily budget has spent so far: source -> name -> amount."""
    sources = {path.split("/")[1] for path in lake.list(BUDGETS_FOLDER, suffix=".json")}
    return {source: Budget(lake, source, {}).spent_today() for source in sorted(sources)}


def _daily_limits(rows: list[dict[str, Any]]) -> dict[str, int]:
    """Return the daily limits of the newest collection."""
    parameters = json.loads(rows[0]["parameters"]) if rows else {}
    return {name: parameters[f"daily_{name}"] for name in ("requests", "downloads") if f"daily_{name}" in parameters}


def seconds_left(status: Status, now: datetime | None = None) -> float | None:
    """Return the seconds of work that is due now, one item after another; None when no pace is known."""
    moment = now or datetime.now(UTC)
    due = [row for row in status.waiting if row["state"] != "later" or (row["next_due"] and row["next_due"] <= moment)]
    estimates = [row["estimated_seconds"] for row in due if row["estimated_seconds"] is not None]
    return sum(estimates) if estimates else None
