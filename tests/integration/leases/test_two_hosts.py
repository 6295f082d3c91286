"""Processes that share no PID, UTS, network or mount namespace, as on two hosts, at one lake in a folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from storage.coordination.leases import SECONDS_VARIABLE, LeaseKeeper, leased
from storage.lake.lake import Lake
from storage.tables import tables

pytestmark = pytest.mark.integration

SECONDS = 2.0
SAME_NAME = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--net", "--uts")
HOLD = """
import sys, time
from storage.coordination.leases import leased
from storage.lake.lake import Lake
lake = Lake(sys.argv[1], cache_folder=sys.argv[2])
with leased(lake, "film") as lease:
    print("holds" if lease else "refused", flush=True)
    sys.stdin.readline()
    lake.write_bytes(b"mine", "result.txt")
"""
Host = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    monkeypatch.setenv("NEEDLEDROP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(SECONDS_VARIABLE, str(SECONDS))
    return tables.open_tables(str(tmp_path / "lake"))


@pytest.fixture
def host(lake: Lake, repository: Path, tmp_path: Path) -> Iterator[Host]:
    """A function that starts a process on a host of its own; it has the name of this one unless it gets another."""
    if os.geteuid() != 0 or subprocess.run([*SAME_NAME, "true"], check=False, capture_output=True).returncode:
        pytest.skip("separate namespaces need root")
    started: list[subprocess.Popen[str]] = []

    def start(prepare: str = "true", namespaces: Sequence[str] = SAME_NAME) -> subprocess.Popen[str]:
        script = f"{prepare}; exec {sys.executable} -c '{HOLD}' {lake.root} {tmp_path / f'cache{len(started)}'}"
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            [*namespaces, "sh", "-c", script], cwd=repository, stdin=pipe, stdout=pipe, stderr=pipe, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def inner(process: subprocess.Popen[str]) -> int:
    """The number, here, of the process that runs inside the namespaces."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(children[0])


def wait_for_lease(lake: Lake) -> float:
    began = time.monotonic()
    with LeaseKeeper(lake) as leases:
        while leases.acquire("film") is None:
            time.sleep(0.05)
    return time.monotonic() - began


@pytest.mark.parametrize("prepare", ["true", "hostname elsewhere"])
def test_the_living_are_never_robbed_whatever_their_name(lake: Lake, host: Host, prepare: str) -> None:
    other = host(prepare)
    assert answer(other) == "holds"
    with LeaseKeeper(lake) as leases:
        until = time.monotonic() + 2.5 * SECONDS
        while time.monotonic() < until:
            assert leases.acquire("film") is None
            time.sleep(0.2)
    assert other.communicate("go\n")[1] == ""
    assert lake.read_bytes("result.txt") == b"mine"


def test_a_holder_here_is_not_robbed_by_another_host_of_the_same_name(lake: Lake, host: Host) -> None:
    with leased(lake, "film") as lease:
        assert lease is not None
        assert answer(host()) == "refused"
        lease.check()


def test_a_killed_process_of_another_host_blocks_for_its_duration_and_no_longer(lake: Lake, host: Host) -> None:
    other = host()
    assert answer(other) == "holds"
    os.kill(inner(other), signal.SIGKILL)
    other.wait()
    assert SECONDS <= wait_for_lease(lake) < 1.2 * SECONDS


def test_a_process_of_another_host_that_gets_sigterm_releases_at_once(lake: Lake, host: Host) -> None:
    other = host()
    assert answer(other) == "holds"
    os.kill(inner(other), signal.SIGTERM)
    other.wait()
    assert wait_for_lease(lake) < 0.5


def test_two_hosts_take_over_one_after_another(lake: Lake, host: Host) -> None:
    first = host()
    assert answer(first) == "holds"
    os.kill(inner(first), signal.SIGKILL)
    others = [host(), host()]
    assert sorted(answer(other) for other in others) == ["holds", "refused"]


def test_a_process_of_another_host_that_was_stopped_commits_nothing_over_its_successor(lake: Lake, host: Host) -> None:
    other = host()
    assert answer(other) == "holds"
    stopped = inner(other)
    os.kill(stopped, signal.SIGSTOP)
    with leased(lake, "film") as lease:
        assert lease is not None
        lake.write_bytes(b"the successor's", "result.txt")
        os.kill(stopped, signal.SIGCONT)
        assert "LakeError: The lease on film was lost" in other.communicate("go\n")[1]
        assert lake.read_bytes("result.txt") == b"the successor's"
