"""Claims on an object store: of many workers one holds an item, and a dead one's item is free when its lease ends."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage.coordination import leases as claims
from storage.coordination.leases import LEASE, claim, held
from storage.lake.lake import Lake

pytestmark = pytest.mark.integration

CLAIM_AND_DIE = """
import os, sys
from storage.coordination.leases import claim
from storage.lake.lake import Lake
assert claim(Lake(sys.argv[1]), "film")
os._exit(9)
"""
CLAIM_AND_SAY = """
import sys
from storage.coordination.leases import claim
from storage.lake.lake import Lake
mine = claim(Lake(sys.argv[1]), "film")
print("held" if mine else "free for another", flush=True)
sys.stdin.read()
"""


def run(lake: Lake, script: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, lake.root]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=Path(__file__).parents[3], stdin=pipe, stdout=pipe, text=True)


def written_by_another_machine(lake: Lake, until: datetime) -> None:
    content = {"host": "elsewhere", "pid": 1, "born": "1", "until": until.isoformat()}
    lake.write_bytes(json.dumps(content).encode(), "claims", "film", "000001.json")


def test_one_of_many_threads_gets_it(lake):
    with ThreadPoolExecutor(8) as pool:
        got = [one for one in pool.map(lambda _: claim(lake, "film"), range(24)) if one]
    assert len(got) == 1


def test_one_of_several_processes_gets_it(lake):
    workers = [run(lake, CLAIM_AND_SAY) for _ in range(4)]
    said = [worker.stdout.readline().strip() for worker in workers]
    for worker in workers:
        worker.communicate("")
    assert sorted(said) == ["free for another"] * 3 + ["held"]


def test_two_that_create_the_same_number_do_not_both_hold_it(lake, monkeypatch):
    assert claim(lake, "film")
    monkeypatch.setattr(claims, "_numbers", lambda *_: [])
    assert claim(lake, "film") is None


def test_what_was_released_can_be_claimed_again(lake):
    with held(lake, "film") as mine:
        assert mine is not None
        assert claim(lake, "film") is None
    assert lake.list("claims") == []
    assert claim(lake, "film") is not None


def test_the_claim_of_a_killed_process_of_this_machine_is_taken_over_by_one(lake):
    assert run(lake, CLAIM_AND_DIE).wait() == 9
    assert lake.list("claims")
    with ThreadPoolExecutor(8) as pool:
        got = [one for one in pool.map(lambda _: claim(lake, "film"), range(16)) if one]
    assert len(got) == 1


def test_the_claim_of_another_machine_counts_until_its_lease_ends(lake):
    until = datetime.now(UTC) + LEASE
    written_by_another_machine(lake, until)
    assert claim(lake, "film") is None
    assert claim(lake, "film", now=until + timedelta(seconds=1)) is not None


def test_who_lost_a_claim_after_its_lease_does_not_release_that_of_the_next(lake):
    slow = claim(lake, "film")
    next_one = claim(lake, "film", now=datetime.now(UTC) + LEASE + timedelta(seconds=1))
    slow.release()
    assert next_one is not None
    assert claim(lake, "film") is None


def test_a_renewed_claim_lasts_longer(lake):
    mine = claim(lake, "film")
    before = json.loads(lake.read_bytes("claims", "film", "000001.json"))
    mine.renew()
    assert json.loads(lake.read_bytes("claims", "film", "000001.json"))["until"] > before["until"]
