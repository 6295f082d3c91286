"""Everything that `needledrop status` shows, read in one go: the status views, budgets, breakers, disk."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from storage.coordination import budgets
from storage.datasets import versions as datasets
from storage.lake.lake import Lake
from storage.tables import tables
from storage.views.lake_views import define_lake_views

_LAST_COLLECTION = (
    "SELECT parameters FROM flow_runs WHERE flow = 'collect-soundtracks' ORDER BY recorded_at DESC LIMIT 1"
)
_LAST_RUNS = """
SELECT flow, state, recorded_at, flow_run_id FROM flow_runs
QUALIFY row_number() OVER (PARTITION BY flow ORDER BY recorded_at DESC) = 1 ORDER BY recorded_at DESC
"""


@dataclass(frozen=True)
class Status:
    """Everything that the status screen shows; rows are dictionaries of the views' columns."""

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
    version: str | None
    folder_bytes: dict[str, int]
    free_bytes: int | None


def read_status(lake: Lake) -> Status:
    """Ask the lake where it stands. Reads plain columns and file sizes only, so it is quick on a large lake."""
    with tables.connect(lake, tables.SMALL_MEMORY_LIMIT) as connection:
        define_lake_views(connection, lake, temporary=True)

        def ask(query: str) -> list[dict[str, Any]]:
            rows: list[dict[str, Any]] = connection.sql(query).to_arrow_table().to_pylist()
            return rows

        return Status(
            progress=ask("FROM progress"),
            failures=ask("FROM failures"),
            waiting=ask("FROM waiting"),
            missing_films=ask("SELECT count(*) AS n FROM missing")[0]["n"],
            films=ask("SELECT count(*) AS n FROM films")[0]["n"],
            breakers=ask("SELECT source, reason, message, until FROM breakers WHERE state = 'open' AND until > now()"),
            reviews=ask("SELECT count(*) AS n FROM tracks WHERE decision = 'review'")[0]["n"],
            spent_today=_spent_today(lake),
            daily_limits=_daily_limits(ask(_LAST_COLLECTION)),
            last_runs=ask(_LAST_RUNS),
            version=datasets.current(lake),
            folder_bytes=_folder_bytes(lake),
            free_bytes=shutil.disk_usage(lake.uri()).free if lake.is_local else None,
        )


def _spent_today(lake: Lake) -> dict[str, dict[str, int]]:
    """Source -> what was spent of its daily budget so far."""
    sources = {path.split("/")[1] for path in lake.list(budgets.FOLDER, suffix=".json")}
    return {source: budgets.Budget(lake, source, {}).spent_today() for source in sorted(sources)}


def _daily_limits(rows: list[dict[str, Any]]) -> dict[str, int]:
    """The daily limits that the newest collection ran with."""
    parameters = json.loads(rows[0]["parameters"]) if rows else {}
    return {name: parameters[f"daily_{name}"] for name in ("requests", "downloads") if f"daily_{name}" in parameters}


def _folder_bytes(lake: Lake) -> dict[str, int]:
    """Bytes of each folder and file in the lake's root, the largest first."""
    sizes: dict[str, int] = {}
    if lake.is_local:
        for path, _, names in os.walk(lake.uri()):
            folder = path.removeprefix(lake.uri()).lstrip("/").partition("/")[0]
            for name in names:
                with suppress(FileNotFoundError):  # a run beside this one has just renamed or merged it
                    top = folder or name
                    sizes[top] = sizes.get(top, 0) + os.lstat(f"{path}/{name}").st_size
    else:
        root = lake.filesystem._strip_protocol(lake.root).rstrip("/") + "/"
        for name, facts in lake.filesystem.find(lake.root, detail=True).items():
            top = name.removeprefix(root).split("/")[0]
            sizes[top] = sizes.get(top, 0) + int(facts["size"])
    return dict(sorted(sizes.items(), key=lambda pair: -pair[1]))


def seconds_left(status: Status, now: datetime | None = None) -> float | None:
    """Seconds of work that is due now, one item after another; None when nothing is known of its pace."""
    moment = now or datetime.now(UTC)
    due = [row for row in status.waiting if row["state"] != "later" or (row["next_due"] and row["next_due"] <= moment)]
    known = [row["estimated_seconds"] for row in due if row["estimated_seconds"] is not None]
    return sum(known) if known else None
