"""Leases on an object store: one of many workers holds an item, and the lease of a dead worker is free again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from storage.coordination.leases import SECONDS_VARIABLE, LeaseKeeper, leased
from storage.coordination.list_and_free_leases import release_by_hand
from storage.errors import LakeError
from storage.lake.lake import Lake

pytestmark = pytest.mark.integration

SECONDS = 2.0
ELSEWHERE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--uts")
HOLD = """
import sys
from storage.coordination.leases import leased
from storage.lake.lake import Lake
lake = Lake(sys.argv[1], cache_folder=sys.argv[2])
with leased(lake, "film", on_wait=None) as lease:
    print("holds" if lease else "refused", flush=True)
    sys.stdin.readline()
    if lease:
        lake.write_bytes(b"mine", "result.txt")
"""
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(lake: Lake, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """A function that starts a process with its own cache, on another host if it gets namespaces."""
    monkeypatch.setenv(SECONDS_VARIABLE, str(SECONDS))
    started: list[subprocess.Popen[str]] = []

    def run(*namespaces: str) -> subprocess.Popen[str]:
        if namespaces and subprocess.run([*namespaces, "true"], check=False, capture_output=True).returncode:
            pytest.skip("separate namespaces need root")
        command = [*namespaces, sys.executable, "-c", HOLD, lake.root, str(tmp_path / f"cache{len(started)}")]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, cwd=repository, stdin=pipe, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


def answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def inner(process: subprocess.Popen[str]) -> int:
    """The number, here, of the process that runs inside the namespaces."""
    return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])


def test_one_of_many_threads_acquires_the_lease(lake: Lake) -> None:
    keepers = [LeaseKeeper(lake) for _ in range(12)]
    with ThreadPoolExecutor(6) as pool:
        acquired = [lease for lease in pool.map(lambda keeper: keeper.acquire("film"), keepers) if lease]
    assert len(acquired) == 1
    for keeper in keepers:
        keeper.close()


def test_one_of_several_processes_acquires_the_lease(start: Start) -> None:
    workers = [start() for _ in range(4)]
    assert sorted(answer(worker) for worker in workers) == ["holds"] + ["refused"] * 3


def test_a_released_item_can_be_leased_again_under_a_higher_number(lake: Lake) -> None:
    with leased(lake, "film") as first:
        assert first is not None
    with leased(lake, "film") as second:
        assert second is not None
    assert second.number > first.number
    assert lake.list("leases", "items") == lake.list("leases", "holders") == []


def test_the_lease_of_a_killed_process_of_this_machine_is_taken_over_at_once(lake: Lake, start: Start) -> None:
    worker = start()
    assert answer(worker) == "holds"
    worker.kill()
    worker.wait()
    with leased(lake, "film", on_wait=None) as lease:
        assert lease is not None


def test_a_living_process_of_another_host_is_not_robbed_and_a_dead_one_blocks_for_its_duration(
    lake: Lake, start: Start
) -> None:
    worker = start(*ELSEWHERE)
    assert answer(worker) == "holds"
    with LeaseKeeper(lake) as leases:
        until = time.monotonic() + 2 * SECONDS
        while time.monotonic() < until:
            assert leases.acquire("film") is None
        os.kill(inner(worker), signal.SIGKILL)
        worker.wait()
        died = time.monotonic()
        while leases.acquire("film") is None:
            time.sleep(0.05)
        assert 0.7 * SECONDS < time.monotonic() - died < 1.4 * SECONDS


def test_a_process_that_was_stopped_commits_nothing_over_its_successor(lake: Lake, start: Start) -> None:
    worker = start(*ELSEWHERE)
    assert answer(worker) == "holds"
    os.kill(inner(worker), signal.SIGSTOP)
    with leased(lake, "film") as lease:
        assert lease is not None
        lake.write_bytes(b"the successor's", "result.txt")
        os.kill(inner(worker), signal.SIGCONT)
        assert "LakeError: The lease on film was lost" in worker.communicate("go\n")[1]
        assert lake.read_bytes("result.txt") == b"the successor's"


def test_a_lease_released_by_hand_is_lost(lake: Lake) -> None:
    with pytest.raises(LakeError, match="was lost"), leased(lake, "film"):
        release_by_hand(lake, "film")
        lake.write_bytes(b"x", "result.txt")
    assert not lake.exists("result.txt")


def test_of_two_writers_of_a_new_object_one_commits(lake: Lake) -> None:
    with pytest.raises(LakeError, match="Another process has committed"), lake.staged("a", replace=False) as late:
        late.write_text("late")
        with lake.staged("a", replace=False) as early:
            early.write_text("early")
    assert lake.read_bytes("a") == b"early"
