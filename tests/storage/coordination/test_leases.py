"""Several workers never work on one item at once, and a dead worker's item is free again."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from storage.coordination import leases as claims
from storage.coordination.leases import LEASE, claim, forget_claims, held
from storage.errors import LakeError
from storage.lake.atomic import TEMPORARY_PREFIX
from storage.lake.lake import Lake
from storage.tables import tables

CLAIM_AND_DIE = """
import os, sys
from storage.coordination.leases import claim
from storage.lake.lake import Lake
assert claim(Lake(sys.argv[1]), "f-1")
os._exit(9)
"""


DIE_WHILE_CLAIMING = """
import os, sys
from storage.coordination.leases import claim
from storage.lake.lake import Lake
os.link = lambda source, target: os._exit(9)
claim(Lake(sys.argv[1]), "f-1")
"""


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return tables.open_tables(str(tmp_path / "lake"))


def test_one_of_many_gets_it(lake: Lake) -> None:
    with ThreadPoolExecutor(16) as pool:
        got = [one for one in pool.map(lambda _n: claim(lake, "f-1"), range(64)) if one]
    assert len(got) == 1


def test_what_was_released_can_be_claimed_again(lake: Lake) -> None:
    held = claim(lake, "f-1")
    assert held is not None
    assert claim(lake, "f-1") is None
    held.release()
    assert claim(lake, "f-1") is not None


def test_the_claim_of_a_killed_process_is_taken_over_at_once(lake: Lake) -> None:
    subprocess.run([sys.executable, "-c", CLAIM_AND_DIE, lake.root], cwd=Path(__file__).parents[3], check=False)
    assert lake.list("claims")
    with ThreadPoolExecutor(8) as pool:
        got = [one for one in pool.map(lambda _n: claim(lake, "f-1"), range(16)) if one]
    assert len(got) == 1


def test_a_process_killed_while_claiming_leaves_nothing_once_the_lake_is_opened(lake: Lake) -> None:
    subprocess.run([sys.executable, "-c", DIE_WHILE_CLAIMING, lake.root], cwd=Path(__file__).parents[3], check=False)
    assert list(Path(lake.root).rglob(".tmp-*"))
    tables.open_tables(lake.root)
    assert not list(Path(lake.root).rglob(".tmp-*"))
    assert claim(lake, "f-1") is not None


def test_the_claim_of_another_machine_counts_until_its_lease_ends(lake: Lake) -> None:
    until = datetime.now(UTC) + LEASE
    foreign = {"host": "elsewhere", "pid": 1, "born": "1", "until": until.isoformat()}
    lake.write_bytes(json.dumps(foreign).encode(), "claims", "f-1", "000001.json")
    assert claim(lake, "f-1") is None
    assert claim(lake, "f-1", now=until + timedelta(seconds=1)) is not None


def test_a_renewed_claim_lasts_longer(lake: Lake) -> None:
    held = claim(lake, "f-1")
    assert held is not None
    before = json.loads(lake.read_bytes("claims", "f-1", "000001.json"))
    held.renew()
    assert json.loads(lake.read_bytes("claims", "f-1", "000001.json"))["until"] > before["until"]


def test_a_lake_that_cannot_be_written_is_said_by_a_claim(small_disk: Any) -> None:
    folder = small_disk("size=1m")
    lake = tables.open_tables(str(folder / "lake"))
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    with pytest.raises(LakeError, match="make the lake writable"), held(lake, "refresh"):
        pass


def test_a_full_disk_is_said_by_a_claim_and_nothing_half_stays(small_disk: Any) -> None:
    folder = small_disk("size=1m")
    lake = tables.open_tables(str(folder / "lake"))
    with pytest.raises(OSError, match="No space"):
        (folder / "filler").write_bytes(bytes(2_000_000))
    with pytest.raises(LakeError, match="No space left"), held(lake, "refresh"):
        pass
    assert not list(folder.rglob(f"{TEMPORARY_PREFIX}*"))
    (folder / "filler").unlink()
    with held(lake, "refresh") as mine:
        assert mine is not None


def test_what_is_held_is_renewed_for_as_long_as_the_block_runs(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "LEASE", timedelta(seconds=0.6))
    with held(lake, "refresh") as mine:
        assert mine is not None
        time.sleep(1.5)
        assert claim(lake, "refresh") is None
    assert lake.list("claims") == []


def test_a_renewal_that_fails_is_tried_again(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "LEASE", timedelta(seconds=0.9))
    with held(lake, "refresh") as mine:
        Path(lake.root, "claims").rename(Path(lake.root, "elsewhere"))
        Path(lake.root, "claims").write_text("a file where a folder belongs")
        time.sleep(0.5)
        Path(lake.root, "claims").unlink()
        Path(lake.root, "elsewhere").rename(Path(lake.root, "claims"))
        time.sleep(0.9)
        assert mine is not None
        assert claim(lake, "refresh") is None


def test_only_dead_claims_on_what_is_done_are_forgotten(lake: Lake) -> None:
    subprocess.run([sys.executable, "-c", CLAIM_AND_DIE, lake.root], cwd=Path(__file__).parents[3], check=False)
    assert claim(lake, "f-2") is not None
    forget_claims(lake, {"f-1", "f-2"})
    assert [name.split("/")[1] for name in lake.list("claims")] == ["f-2"]


def test_a_clock_that_steps_back_keeps_no_dead_claim(lake: Lake) -> None:
    subprocess.run([sys.executable, "-c", CLAIM_AND_DIE, lake.root], cwd=Path(__file__).parents[3], check=False)
    assert claim(lake, "f-1", now=datetime.now(UTC) - timedelta(days=1)) is not None


def test_a_clock_that_steps_back_takes_no_living_claim(lake: Lake) -> None:
    assert claim(lake, "f-1") is not None
    assert claim(lake, "f-1", now=datetime.now(UTC) - timedelta(days=1)) is None
