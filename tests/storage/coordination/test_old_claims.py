"""Claims of older versions, which name host, process and expiry, are honoured until they are over."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage.coordination.leases import leased
from storage.coordination.list_and_free_leases import list_leases, release_by_hand, sweep_leases
from storage.lake.lake import Lake
from storage.processes_and_signals import FIRST_PID_NAMESPACE, process_start
from storage.tables import tables

IN_45_MINUTES = timedelta(minutes=45)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return tables.open_tables(str(tmp_path / "lake"))


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A living process."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def claim(lake: Lake, pid: int, born: str | None, lasts: timedelta = IN_45_MINUTES, host: str = "") -> None:
    """Write a claim as versions up to 0.1.0 did."""
    until = datetime.now(UTC) + lasts
    content = {"host": host or socket.gethostname(), "pid": pid, "born": born, "until": until.isoformat()}
    lake.write_bytes(json.dumps(content).encode(), "claims", "f-1", "000001.json")


def is_free(lake: Lake) -> bool:
    with leased(lake, "f-1") as lease:
        return lease is not None


def test_a_living_process_is_not_robbed(lake: Lake, sleeper: subprocess.Popen[bytes]) -> None:
    claim(lake, sleeper.pid, process_start(sleeper.pid))
    assert not is_free(lake)


def test_a_living_process_of_a_container_with_the_name_of_its_host_is_not_robbed(
    lake: Lake, sleeper: subprocess.Popen[bytes]
) -> None:
    claim(lake, 7, process_start(sleeper.pid))  # its number in the container
    assert not is_free(lake)


def test_a_claim_of_another_machine_blocks_until_it_expires(lake: Lake) -> None:
    claim(lake, 1, "1", host="elsewhere")
    assert not is_free(lake)
    claim(lake, 1, "1", host="elsewhere", lasts=timedelta(seconds=-1))
    assert is_free(lake)


@pytest.mark.skipif(
    str(Path("/proc/self/ns/pid").readlink()) != FIRST_PID_NAMESPACE,
    reason="only the first PID namespace of a machine sees every process",
)
def test_a_process_that_is_known_to_be_dead_does_not_block(lake: Lake) -> None:
    claim(lake, 1, "1")
    assert is_free(lake)


def test_claims_are_listed_and_released_by_hand_and_those_of_the_dead_are_swept(lake: Lake) -> None:
    claim(lake, 1, "1", host="elsewhere")
    sweep_leases(lake)
    assert [str(held.holder) for held in list_leases(lake)] == ["process 1 on elsewhere, of an older version"]
    release_by_hand(lake, "f-1")
    assert list_leases(lake) == []
    claim(lake, 1, "1", host="elsewhere", lasts=timedelta(seconds=-1))
    sweep_leases(lake)
    assert list_leases(lake) == []
