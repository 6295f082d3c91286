"""Leases on an object store: one of many workers holds an item, and the lease of a dead worker is free again."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage.coordination.leases import LEASE_DURATION, acquire_lease, leased
from storage.lake.lake import Lake

pytestmark = pytest.mark.integration

ACQUIRE_AND_DIE = """
import os, sys
from storage.coordination.leases import acquire_lease
from storage.lake.lake import Lake
assert acquire_lease(Lake(sys.argv[1]), "film")
os._exit(9)
"""
ACQUIRE_AND_PRINT = """
import sys
from storage.coordination.leases import acquire_lease
from storage.lake.lake import Lake
lease = acquire_lease(Lake(sys.argv[1]), "film")
print("acquired" if lease else "leased by another", flush=True)
sys.stdin.read()
"""


def run(lake: Lake, script: str, repository: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, lake.root]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=repository, stdin=pipe, stdout=pipe, text=True)


def write_lease_of_another_machine(lake: Lake, until: datetime) -> None:
    content = {"host": "elsewhere", "pid": 1, "born": "1", "until": until.isoformat()}
    lake.write_bytes(json.dumps(content).encode(), "claims", "film", "000001.json")


def expiry(lake: Lake) -> str:
    content: dict[str, str] = json.loads(lake.read_bytes("claims", "film", "000001.json"))
    return content["until"]


def test_one_of_many_threads_acquires_the_lease(lake: Lake) -> None:
    with ThreadPoolExecutor(8) as pool:
        acquired = [lease for lease in pool.map(lambda _: acquire_lease(lake, "film"), range(24)) if lease]
    assert len(acquired) == 1


def test_one_of_several_processes_acquires_the_lease(lake: Lake, repository: Path) -> None:
    workers = [run(lake, ACQUIRE_AND_PRINT, repository) for _ in range(4)]
    answers = [worker.stdout.readline().strip() for worker in workers if worker.stdout]
    for worker in workers:
        worker.communicate("")
    assert sorted(answers) == ["acquired"] + ["leased by another"] * 3


def test_the_store_refuses_to_create_a_lease_file_that_exists(lake: Lake) -> None:
    assert acquire_lease(lake, "film")
    with pytest.raises(FileExistsError):
        lake.filesystem.pipe_file(lake.uri("claims", "film", "000001.json"), b"{}", mode="create")


def test_a_released_item_can_be_leased_again(lake: Lake) -> None:
    with leased(lake, "film") as lease:
        assert lease is not None
        assert acquire_lease(lake, "film") is None
    assert lake.list("claims") == []
    assert acquire_lease(lake, "film") is not None


def test_the_lease_of_a_killed_process_of_this_machine_is_taken_over_by_one(lake: Lake, repository: Path) -> None:
    assert run(lake, ACQUIRE_AND_DIE, repository).wait() == 9
    assert lake.list("claims")
    with ThreadPoolExecutor(8) as pool:
        acquired = [lease for lease in pool.map(lambda _: acquire_lease(lake, "film"), range(16)) if lease]
    assert len(acquired) == 1


def test_the_lease_of_another_machine_is_valid_until_it_expires(lake: Lake) -> None:
    until = datetime.now(UTC) + LEASE_DURATION
    write_lease_of_another_machine(lake, until)
    assert acquire_lease(lake, "film") is None
    assert acquire_lease(lake, "film", now=until + timedelta(seconds=1)) is not None


def test_a_worker_whose_lease_expired_does_not_release_that_of_its_successor(lake: Lake) -> None:
    slow = acquire_lease(lake, "film")
    successor = acquire_lease(lake, "film", now=datetime.now(UTC) + LEASE_DURATION + timedelta(seconds=1))
    assert slow is not None
    slow.release()
    assert successor is not None
    assert acquire_lease(lake, "film") is None


def test_renewing_a_lease_extends_it(lake: Lake) -> None:
    lease = acquire_lease(lake, "film")
    assert lease is not None
    before = expiry(lake)
    lease.renew()
    assert expiry(lake) > before
