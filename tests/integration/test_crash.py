"""Kill runs at random moments and run again until one finishes: the same lake as if nothing had happened.

`NEEDLEDROP_CRASHES` sets how often a run is killed; `make chaos` runs the long form. Every few kills begin a new lake:
what was committed stays, so a lake that died more often would be finished, and its later kills would hit nothing.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from storage.tables import tables
from storage.tables.schemas import FILMS, OUTCOMES, TRACKS

CRASHES = int(os.environ.get("NEEDLEDROP_CRASHES", "3"))
KILLS_PER_LAKE = 4
VARIES = {"run_id", "recorded_at", "seconds"}

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900 + 120 * CRASHES)]


@pytest.fixture(scope="module")
def command(prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A refresh of a small corpus, without the lake's name."""
    from needledrop.demo.corpus import write_corpus

    corpus = write_corpus(tmp_path_factory.mktemp("crash-corpus"), films_per_year=2)
    inputs = ["--export", str(corpus.export), "--images", str(corpus.images), "--music", str(corpus.music)]
    return [sys.executable, "-m", "needledrop", "refresh", *inputs, "--train", "never", "--lake"]


@pytest.fixture(scope="module")
def environment(prefect_server: None) -> dict[str, str]:
    """The test server's address, so that a killed run leaves no embedded server behind."""
    from prefect.settings import PREFECT_API_URL

    return {**os.environ, "PREFECT_API_URL": str(PREFECT_API_URL.value())}


def _run_until_killed(command: list[str], environment: dict[str, str], after_seconds: float) -> None:
    process = subprocess.Popen(command, env=environment, start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        process.wait(after_seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _rows(root: str, table: Any) -> list[dict[str, Any]]:
    names = [name for name in table.schema.names if name not in VARIES]
    return tables.latest(tables.open_tables(root), table, names).to_pylist()


def _shards(root: str) -> dict[str, str]:
    import pyarrow.parquet as pq

    def digest(path: Path) -> str:
        return hashlib.sha256(b"".join(pq.read_table(path, columns=["mel"])["mel"].to_pylist())).hexdigest()

    return {path.name: digest(path) for path in Path(root, "mels").rglob("*.parquet")}


@pytest.fixture(scope="module")
def calm(
    command: list[str], environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, float]:
    """A lake that was never disturbed, and the seconds that it took."""
    root, started = str(tmp_path_factory.mktemp("calm") / "lake"), time.monotonic()
    subprocess.run([*command, root], env=environment, check=True, stdout=subprocess.DEVNULL)
    return root, time.monotonic() - started


@pytest.fixture(scope="module", params=range(-(-CRASHES // KILLS_PER_LAKE)))
def lakes(
    request: pytest.FixtureRequest,
    calm: tuple[str, float],
    command: list[str],
    environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, str]:
    """The undisturbed lake, and one whose every run but the last was killed."""
    stormy = str(tmp_path_factory.mktemp("stormy") / "lake")
    moments = random.Random(int(os.environ.get("NEEDLEDROP_SEED", "7")) + request.param)
    for _ in range(min(KILLS_PER_LAKE, CRASHES - request.param * KILLS_PER_LAKE)):
        _run_until_killed([*command, stormy], environment, moments.uniform(0.2, 1.0) * calm[1])
    subprocess.run([*command, stormy], env=environment, check=True, stdout=subprocess.DEVNULL)
    return calm[0], stormy


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


def test_no_item_was_done_twice(lakes: tuple[str, str]) -> None:
    lake = tables.open_tables(lakes[1])
    files = [lake.uri(part) for part in tables.parts(lake, OUTCOMES)]
    with tables.connect(lake) as connection:
        twice = connection.execute(
            "SELECT stage, item, count(*) FROM read_parquet(?) WHERE status = 'ok' GROUP BY ALL HAVING count(*) > 1",
            [files],
        ).fetchall()
    assert twice == []
