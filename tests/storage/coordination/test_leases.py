"""At most one worker holds the lease on an item, and the lease of a dead worker is free again."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage.coordination.leases import LEASE_DURATION, LeaseKeeper, acquire_lease, forget_leases, leased
from storage.errors import LakeError
from storage.lake.atomic import TEMPORARY_PREFIX
from storage.lake.lake import Lake
from storage.tables import tables

ACQUIRE_AND_DIE = """
import os, sys
from storage.coordination.leases import acquire_lease
from storage.lake.lake import Lake
assert acquire_lease(Lake(sys.argv[1]), "f-1")
os._exit(9)
"""

DIE_WHILE_ACQUIRING = """
import os, sys
from storage.coordination.leases import acquire_lease
from storage.lake.lake import Lake
os.link = lambda source, target: os._exit(9)
acquire_lease(Lake(sys.argv[1]), "f-1")
"""


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return tables.open_tables(str(tmp_path / "lake"))


def run_and_die(lake: Lake, script: str, repository: Path) -> None:
    process = subprocess.run([sys.executable, "-c", script, lake.root], cwd=repository, check=False)
    assert process.returncode == 9


def expiry(lake: Lake, item: str) -> str:
    content: dict[str, str] = json.loads(lake.read_bytes("claims", item, "000001.json"))
    return content["until"]


def leased_items(lake: Lake) -> list[str]:
    return [name.split("/")[1] for name in lake.list("claims")]


def test_one_of_many_threads_acquires_the_lease(lake: Lake) -> None:
    with ThreadPoolExecutor(16) as pool:
        acquired = [lease for lease in pool.map(lambda _n: acquire_lease(lake, "f-1"), range(64)) if lease]
    assert len(acquired) == 1


def test_a_released_item_can_be_leased_again(lake: Lake) -> None:
    lease = acquire_lease(lake, "f-1")
    assert lease is not None
    assert acquire_lease(lake, "f-1") is None
    lease.release()
    assert acquire_lease(lake, "f-1") is not None


def test_the_lease_of_a_killed_process_is_taken_over_at_once(lake: Lake, repository: Path) -> None:
    run_and_die(lake, ACQUIRE_AND_DIE, repository)
    assert lake.list("claims")
    with ThreadPoolExecutor(8) as pool:
        acquired = [lease for lease in pool.map(lambda _n: acquire_lease(lake, "f-1"), range(16)) if lease]
    assert len(acquired) == 1


def test_opening_the_lake_removes_what_a_process_killed_while_acquiring_left(lake: Lake, repository: Path) -> None:
    run_and_die(lake, DIE_WHILE_ACQUIRING, repository)
    assert list(Path(lake.root).rglob(".tmp-*"))
    tables.open_tables(lake.root)
    assert not list(Path(lake.root).rglob(".tmp-*"))
    assert acquire_lease(lake, "f-1") is not None


def test_the_lease_of_another_machine_is_valid_until_it_expires(lake: Lake) -> None:
    until = datetime.now(UTC) + LEASE_DURATION
    foreign = {"host": "elsewhere", "pid": 1, "born": "1", "until": until.isoformat()}
    lake.write_bytes(json.dumps(foreign).encode(), "claims", "f-1", "000001.json")
    assert acquire_lease(lake, "f-1") is None
    assert acquire_lease(lake, "f-1", now=until + timedelta(seconds=1)) is not None


def test_renewing_a_lease_extends_it(lake: Lake) -> None:
    lease = acquire_lease(lake, "f-1")
    assert lease is not None
    before = expiry(lake, "f-1")
    lease.renew()
    assert expiry(lake, "f-1") > before


def test_acquiring_reports_a_read_only_lake(small_disk: Callable[[str], Path]) -> None:
    folder = small_disk("size=1m")
    lake = tables.open_tables(str(folder / "lake"))
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    with pytest.raises(LakeError, match="make the lake writable"), leased(lake, "refresh"):
        pass


def test_acquiring_reports_a_full_disk_and_leaves_no_partial_file(small_disk: Callable[[str], Path]) -> None:
    folder = small_disk("size=1m")
    lake = tables.open_tables(str(folder / "lake"))
    with pytest.raises(OSError, match="No space"):
        (folder / "filler").write_bytes(bytes(2_000_000))
    with pytest.raises(LakeError, match="No space left"), leased(lake, "refresh"):
        pass
    assert not list(folder.rglob(f"{TEMPORARY_PREFIX}*"))
    (folder / "filler").unlink()
    with leased(lake, "refresh") as lease:
        assert lease is not None


def test_a_lease_is_renewed_for_as_long_as_the_block_runs(lake: Lake) -> None:
    with leased(lake, "refresh", timedelta(seconds=0.6)) as lease:
        assert lease is not None
        first = expiry(lake, "refresh")
        time.sleep(1.0)
        assert expiry(lake, "refresh") > first
        assert acquire_lease(lake, "refresh") is None
    assert lake.list("claims") == []


def test_a_renewal_that_fails_is_retried(lake: Lake) -> None:
    with leased(lake, "refresh", timedelta(seconds=0.9)) as lease:
        Path(lake.root, "claims").rename(Path(lake.root, "elsewhere"))
        Path(lake.root, "claims").write_text("a file where a folder belongs")
        time.sleep(0.5)
        Path(lake.root, "claims").unlink()
        Path(lake.root, "elsewhere").rename(Path(lake.root, "claims"))
        time.sleep(0.9)
        assert lease is not None
        assert acquire_lease(lake, "refresh") is None


def test_a_renewal_that_fails_does_not_keep_the_other_leases_from_being_renewed(lake: Lake) -> None:
    with LeaseKeeper(lake, timedelta(seconds=0.6)) as leases:
        assert leases.acquire("f-1")
        assert leases.acquire("f-2")
        first = expiry(lake, "f-2")
        Path(lake.root, "claims", "f-1").rename(Path(lake.root, "elsewhere"))
        Path(lake.root, "claims", "f-1").write_text("a file where a folder belongs")
        time.sleep(0.5)
        assert expiry(lake, "f-2") > first
        Path(lake.root, "claims", "f-1").unlink()


def test_a_keeper_releases_items_one_by_one_and_the_rest_at_its_end(lake: Lake) -> None:
    with LeaseKeeper(lake) as leases:
        assert leases.acquire("f-1")
        assert leases.acquire("f-2")
        leases.release(["f-1", "f-3"])
        assert acquire_lease(lake, "f-2") is None
        assert leased_items(lake) == ["f-2"]
    assert not lake.list("claims")


def test_only_expired_leases_on_done_items_are_forgotten(lake: Lake, repository: Path) -> None:
    run_and_die(lake, ACQUIRE_AND_DIE, repository)
    assert acquire_lease(lake, "f-2") is not None
    forget_leases(lake, {"f-1", "f-2"})
    assert leased_items(lake) == ["f-2"]


def test_a_clock_that_steps_back_does_not_revive_the_lease_of_a_dead_process(lake: Lake, repository: Path) -> None:
    run_and_die(lake, ACQUIRE_AND_DIE, repository)
    assert acquire_lease(lake, "f-1", now=datetime.now(UTC) - timedelta(days=1)) is not None


def test_a_clock_that_steps_back_does_not_end_the_lease_of_a_living_process(lake: Lake) -> None:
    assert acquire_lease(lake, "f-1") is not None
    assert acquire_lease(lake, "f-1", now=datetime.now(UTC) - timedelta(days=1)) is None
