"""Kill runs at random moments and run again until one finishes: the same lake as if nothing had happened.

`NEEDLEDROP_CRASHES` sets how often a run is killed; `make chaos` runs the long form. Every few kills begin a new lake:
what was committed stays, so a lake that died more often would be finished, and its later kills would hit nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from needledrop.demo.corpus_and_library import Corpus
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import FILMS, FLOW_RUNS, OUTCOMES, TRACKS

CRASHES = int(os.environ.get("NEEDLEDROP_CRASHES", "3"))
KILLS_PER_LAKE = 4
REFRESH = """
import json, sys
from flows.refresh import refresh
print("loaded", flush=True)
refresh(**json.loads(sys.argv[1]))
"""
VARIES = {"run_id", "recorded_at", "seconds"}

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900 + 120 * CRASHES)]


@pytest.fixture(scope="module")
def parameters(prefect_server: None, demo_corpus: Callable[[int], Corpus]) -> dict[str, Any]:
    """Those of a refresh of a small corpus, without the lake's name."""
    corpus = demo_corpus(2)
    inputs = {"export": str(corpus.export), "images": str(corpus.images), "music": [str(corpus.music)]}
    return {**inputs, "train": "never"}


def _refresh_until_killed(parameters: dict[str, Any], after_seconds: float) -> None:
    """Kill a refresh and every process that it started, so many seconds after its code was loaded."""
    from prefect.settings import PREFECT_API_URL

    # The test server's address, so that a killed run leaves no embedded server behind.
    environment = {**os.environ, "PREFECT_API_URL": str(PREFECT_API_URL.value())}
    command = [sys.executable, "-c", REFRESH, json.dumps(parameters)]
    process = subprocess.Popen(
        command,
        env=environment,
        cwd=Path(__file__).parents[2],
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"loaded\n"
    try:
        process.wait(after_seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    process.stdout.close()


def _rows(root: str, table: Any) -> list[dict[str, Any]]:
    names = [name for name in table.schema.names if name not in VARIES]
    return tables.latest(tables.open_tables(root), table, names).to_pylist()


def _shards(root: str) -> dict[str, str]:
    import pyarrow.parquet as pq

    def digest(path: Path) -> str:
        return hashlib.sha256(b"".join(pq.read_table(path, columns=["mel"])["mel"].to_pylist())).hexdigest()

    return {path.name: digest(path) for path in Path(root, "mels").rglob("*.parquet")}


@pytest.fixture(scope="module")
def calm(parameters: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, float]:
    """A lake that was never disturbed, and the seconds that it took."""
    from flows.refresh import refresh

    root, started = str(tmp_path_factory.mktemp("calm") / "lake"), time.monotonic()
    refresh(**parameters, lake=root)
    return root, time.monotonic() - started


@pytest.fixture(scope="module", params=range(-(-CRASHES // KILLS_PER_LAKE)))
def lakes(
    request: pytest.FixtureRequest,
    calm: tuple[str, float],
    parameters: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, str]:
    """The undisturbed lake, and one whose every run but the last was killed."""
    from flows.refresh import refresh

    stormy = {**parameters, "lake": str(tmp_path_factory.mktemp("stormy") / "lake")}
    moments = random.Random(int(os.environ.get("NEEDLEDROP_SEED", "7")) + request.param)
    for _ in range(min(KILLS_PER_LAKE, CRASHES - request.param * KILLS_PER_LAKE)):
        _refresh_until_killed(stormy, moments.uniform(0.05, 1.0) * calm[1])
    refresh(**stormy)
    return calm[0], stormy["lake"]


@pytest.mark.parametrize("table", [FILMS, TRACKS], ids=["films", "tracks"])
def test_the_tables_are_the_same(lakes: tuple[str, str], table: Any) -> None:
    calm, stormy = lakes
    assert _rows(stormy, table) == _rows(calm, table)


def test_the_mels_are_the_same(lakes: tuple[str, str]) -> None:
    calm, stormy = lakes
    assert _shards(stormy) == _shards(calm)


def test_the_version_is_the_same(lakes: tuple[str, str]) -> None:
    versions = [sorted(path.name for path in Path(root, "datasets").iterdir()) for root in lakes]
    assert versions[0] == versions[1]
    assert len(versions[0]) == 1


def test_no_temporary_file_is_left(lakes: tuple[str, str]) -> None:
    tables.open_tables(lakes[1])
    assert not list(Path(lakes[1]).rglob(".tmp-*"))


def test_no_killed_run_is_shown_as_running(lakes: tuple[str, str]) -> None:
    import httpx
    from prefect.settings import PREFECT_API_URL

    runs = [row["flow_run_id"] for row in tables.latest(tables.open_tables(lakes[1]), FLOW_RUNS).to_pylist()]
    asked = {"flow_runs": {"id": {"any_": runs}}}
    for kind in ("flow_runs", "task_runs"):
        answer = httpx.post(f"{PREFECT_API_URL.value()}/{kind}/filter", json=asked, timeout=30).raise_for_status()
        assert {run["state_type"] for run in answer.json()} <= {"COMPLETED", "CRASHED"}


def test_no_item_was_done_twice(lakes: tuple[str, str]) -> None:
    lake = tables.open_tables(lakes[1])
    files = [lake.uri(part) for part in tables.parts(lake, OUTCOMES)]
    with duckdb_connection.connect(lake) as connection:
        twice = connection.execute(
            "SELECT stage, item, count(*) FROM read_parquet(?) WHERE status = 'ok' GROUP BY ALL HAVING count(*) > 1",
            [files],
        ).fetchall()
    assert twice == []
