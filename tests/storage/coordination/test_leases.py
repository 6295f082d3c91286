"""At most one worker holds the lease on an item, the dead block for a limited time, and the living are never robbed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from storage.coordination import leases as leases_module
from storage.coordination.holders_and_heartbeats import Heartbeat, Holder, Standing, during_flow_run, this_process
from storage.coordination.leases import SECONDS_VARIABLE, LeaseKeeper, create_lease_file, leased, read_numbers
from storage.coordination.list_and_free_leases import leased_items, list_leases, release_by_hand, sweep_leases
from storage.errors import LakeError
from storage.lake.atomic_writes_and_fences import TEMPORARY_PREFIX
from storage.lake.lake import VERSION_FILE, Lake
from storage.tables import tables

ACQUIRE_AND_DIE = """
import os, sys
from storage.coordination.leases import LeaseKeeper
from storage.lake.lake import Lake
assert LeaseKeeper(Lake(sys.argv[1])).acquire("f-1")
os._exit(9)
"""

DIE_WHILE_ACQUIRING = """
import os, sys
from storage.coordination.leases import LeaseKeeper
from storage.lake.lake import Lake
os.link = lambda source, target: os._exit(9)
LeaseKeeper(Lake(sys.argv[1])).acquire("f-1")
"""

HOLD_AND_COMMIT = """
import sys, time
from storage.coordination.leases import leased
from storage.lake.lake import Lake
lake = Lake(sys.argv[1])
with leased(lake, "f-1"):
    print("holds", flush=True)
    sys.stdin.readline()
    lake.write_bytes(b"mine", "result.txt")
"""


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    monkeypatch.setenv("NEEDLEDROP_CACHE", str(tmp_path / "cache"))
    return tables.open_tables(str(tmp_path / "lake"))


@pytest.fixture
def hold(
    lake: Lake, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """A process that holds f-1 with a lease of a second, and commits a result after a line of input."""
    monkeypatch.setenv(SECONDS_VARIABLE, "1")
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        command, pipe = [sys.executable, "-c", HOLD_AND_COMMIT, lake.root], subprocess.PIPE
        process = subprocess.Popen(command, cwd=repository, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "holds\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def run_and_die(lake: Lake, script: str, repository: Path) -> None:
    process = subprocess.run([sys.executable, "-c", script, lake.root], cwd=repository, check=False)
    assert process.returncode == 9


def holder_elsewhere(seconds: float, flow_run_id: str = "") -> Holder:
    """A process of another machine that has the name of this one."""
    return replace(this_process(flow_run_id, seconds), boot_id="another")


@contextmanager
def held_elsewhere(lake: Lake, item: str, seconds: float = 0.5) -> Iterator[None]:
    """Hold an item from another machine, with a heartbeat."""
    holder = holder_elsewhere(seconds)
    heartbeat = Heartbeat(lake, holder)
    heartbeat.start()
    create_lease_file(lake, item, 1, holder)
    yield
    heartbeat.stop()


def die_elsewhere(lake: Lake, item: str, seconds: float = 0.5, flow_run_id: str = "") -> None:
    """Leave what a process of another machine leaves that is killed with a lease."""
    holder = holder_elsewhere(seconds, flow_run_id)
    lake.write_json({"counter": 1, **vars(holder)}, "leases", "holders", f"{holder.token}.json")
    create_lease_file(lake, item, 1, holder)


def counters(lake: Lake) -> list[int]:
    return [json.loads(lake.read_bytes(name))["counter"] for name in lake.list("leases", "holders")]


def test_one_of_many_threads_acquires_the_lease(lake: Lake) -> None:
    keepers = [LeaseKeeper(lake) for _ in range(32)]
    with ThreadPoolExecutor(16) as pool:
        acquired = [lease for lease in pool.map(lambda keeper: keeper.acquire("f-1"), keepers) if lease]
    assert len(acquired) == 1
    for keeper in keepers:
        keeper.close()


def test_a_released_item_can_be_leased_again_under_a_higher_number(lake: Lake) -> None:
    numbers = []
    for _ in range(3):
        with leased(lake, "f-1") as lease, leased(lake, "f-1") as second:
            assert lease is not None
            assert second is None
            numbers.append(lease.number)
    assert numbers == sorted(set(numbers))


def test_a_free_item_leaves_no_file(lake: Lake) -> None:
    with LeaseKeeper(lake) as leases:
        for number in range(20):
            leases.acquire(f"f-{number}")
        leases.release([f"f-{number}" for number in range(10)])
        leases.acquire("f-1")
    assert lake.list("leases", "items") == lake.list("leases", "holders") == []
    assert len(lake.list("leases")) <= 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"seconds": "300"},
        {"seconds": None},
        {"seconds": float("inf")},
        {"pid": "1"},
        {"token": "../../token"},
        {"acquired_at": 5},
    ],
)
def test_a_file_that_no_version_writes_holds_nothing(lake: Lake, wrong: dict[str, object]) -> None:
    holder = holder_elsewhere(300)
    lake.write_json({"counter": 1, **vars(holder)}, "leases", "holders", f"{holder.token}.json")
    lake.write_json({**vars(holder), **wrong}, "leases", "items", "f-1.000000001.json")
    assert [lease.standing for lease in list_leases(lake)] == [Standing.DEAD]
    with leased(lake, "f-1", on_wait=None) as lease:
        assert lease is not None


def test_a_foreign_file_among_the_leases_blocks_nothing(lake: Lake) -> None:
    Path(lake.root, "leases", "holders").mkdir(parents=True)
    for name in ("note.json", "holders/a note.json"):
        Path(lake.root, "leases", name).write_text("{}")
    sweep_leases(lake)
    with leased(lake, "f-1", on_wait=None) as lease:
        assert lease is not None


def test_the_age_of_a_lease_is_unknown_where_its_file_gives_no_zone(lake: Lake) -> None:
    create_lease_file(lake, "f-1", 1, replace(holder_elsewhere(300), acquired_at="2026-01-01T00:00:00"))
    assert [lease.seconds for lease in list_leases(lake)] == [None]


def test_one_heartbeat_renews_every_lease_of_a_process(lake: Lake) -> None:
    with LeaseKeeper(lake, seconds=0.5) as leases:
        for number in range(64):
            assert leases.acquire(f"f-{number}")
        [before] = counters(lake)
        time.sleep(0.4)
        [after] = counters(lake)
    assert before < after <= before + 8


def test_the_lease_of_a_killed_process_is_taken_over_at_once(lake: Lake, repository: Path) -> None:
    run_and_die(lake, ACQUIRE_AND_DIE, repository)
    keepers = [LeaseKeeper(lake) for _ in range(16)]
    with ThreadPoolExecutor(8) as pool:
        acquired = [lease for lease in pool.map(lambda keeper: keeper.acquire("f-1"), keepers) if lease]
    assert [lease.number for lease in acquired] == [2]
    for keeper in keepers:
        keeper.close()


def test_opening_the_lake_removes_what_a_process_killed_while_acquiring_left(lake: Lake, repository: Path) -> None:
    run_and_die(lake, DIE_WHILE_ACQUIRING, repository)
    assert list(Path(lake.root).rglob(".tmp-*"))
    tables.open_tables(lake.root)
    assert not list(Path(lake.root).rglob(".tmp-*"))
    with leased(lake, "f-1") as lease:
        assert lease is not None


def test_a_process_that_is_a_zombie_holds_nothing(lake: Lake, repository: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ACQUIRE_AND_DIE, lake.root], cwd=repository)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    with leased(lake, "f-1") as lease:
        assert lease is not None
    assert process.wait() == 9


def test_a_living_process_of_another_machine_is_never_robbed(lake: Lake) -> None:
    with held_elsewhere(lake, "f-1"), LeaseKeeper(lake) as leases:
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            assert leases.acquire("f-1") is None
            time.sleep(0.05)


def test_a_silent_process_of_another_machine_is_taken_over_when_it_was_watched_for_long_enough(lake: Lake) -> None:
    die_elsewhere(lake, "f-1")
    began = time.monotonic()
    with LeaseKeeper(lake) as leases:
        while leases.acquire("f-1") is None:
            time.sleep(0.02)
    assert 0.5 <= time.monotonic() - began < 1.5


def test_a_clock_that_is_wrong_changes_nothing(lake: Lake) -> None:
    holder = replace(holder_elsewhere(0.5), acquired_at="2001-01-01T00:00:00+00:00")
    heartbeat = Heartbeat(lake, holder)
    heartbeat.start()
    create_lease_file(lake, "f-1", 1, holder)
    for name in Path(lake.root, "leases").rglob("*.json"):
        os.utime(name, (0, 0))
    with leased(lake, "f-1") as lease:
        assert lease is None
    heartbeat.stop()


def test_waiting_ends_at_the_first_renewal(lake: Lake) -> None:
    said: list[str] = []
    with held_elsewhere(lake, "f-1", seconds=5), LeaseKeeper(lake) as leases:
        began = time.monotonic()
        assert leases.acquire("f-1", on_wait=said.append) is None
        assert time.monotonic() - began < 2.5
    assert f"Waiting for process {os.getpid()} on" in said[0]


def test_what_was_seen_of_a_holder_is_remembered_for_the_next_command(lake: Lake) -> None:
    die_elsewhere(lake, "f-1")
    with LeaseKeeper(lake) as first:
        assert first.acquire("f-1") is None
    time.sleep(0.6)
    with LeaseKeeper(lake) as second:
        assert second.acquire("f-1") is not None


def test_a_holder_whose_flow_run_is_over_does_not_block(lake: Lake) -> None:
    die_elsewhere(lake, "f-1", seconds=300, flow_run_id="over")
    die_elsewhere(lake, "f-2", seconds=300, flow_run_id="running")
    die_elsewhere(lake, "f-3", seconds=300, flow_run_id="unknown")
    answers = {"over": True, "running": False}
    with during_flow_run("mine", answers.get), LeaseKeeper(lake) as leases:
        assert [leases.acquire(item) is not None for item in ("f-1", "f-2", "f-3")] == [True, False, False]


def test_an_earlier_attempt_of_the_same_flow_run_does_not_block(lake: Lake) -> None:
    die_elsewhere(lake, "f-1", seconds=300, flow_run_id="mine")
    with during_flow_run("mine", lambda _id: False), LeaseKeeper(lake) as leases:
        assert leases.acquire("f-1") is not None


def test_of_nested_flow_runs_a_lease_names_the_outermost(lake: Lake) -> None:
    with during_flow_run("outer", lambda _id: None), during_flow_run("inner", lambda _id: None), leased(lake, "f-1"):
        [held] = list_leases(lake)
    assert isinstance(held.holder, Holder)
    assert held.holder.flow_run_id == "outer"


def test_a_process_that_was_stopped_finds_its_lease_lost_and_commits_nothing(
    lake: Lake, hold: Callable[[], subprocess.Popen[str]]
) -> None:
    stopped = hold()
    stopped.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, stopped.pid, os.WSTOPPED)
    with leased(lake, "f-1") as lease:
        assert lease is not None
        lake.write_bytes(b"the successor's", "result.txt")
        stopped.send_signal(signal.SIGCONT)
        _output, errors = stopped.communicate("go\n", timeout=60)
        assert lake.read_bytes("result.txt") == b"the successor's"
        assert stopped.returncode == 1
        assert "LakeError: The lease on f-1 was lost" in errors
        lease.check()


def test_sigterm_releases_the_leases(lake: Lake, hold: Callable[[], subprocess.Popen[str]]) -> None:
    process = hold()
    process.terminate()
    assert process.wait(timeout=20) == 128 + signal.SIGTERM
    assert lake.list("leases", "items") == lake.list("leases", "holders") == []


def test_a_lease_released_by_hand_is_lost(lake: Lake) -> None:
    with pytest.raises(LakeError, match="was lost"), leased(lake, "f-1"):
        release_by_hand(lake, "f-1")
        lake.write_bytes(b"x", "result.txt")
    assert not lake.exists("result.txt")
    assert list_leases(lake) == []


def test_a_lease_that_is_lost_while_a_commit_is_prepared_refuses_it(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = LocalFileSystem.cat_file

    def cat_file(self: Any, path: str, **options: Any) -> Any:
        if path.endswith(VERSION_FILE):
            monkeypatch.undo()
            release_by_hand(lake, "f-1")
        return read(self, path, **options)

    with pytest.raises(LakeError, match="was lost"), leased(lake, "f-1"):
        monkeypatch.setattr(LocalFileSystem, "cat_file", cat_file)
        lake.write_bytes(b"x", "result.txt")
    assert not lake.exists("result.txt")


def test_of_two_writers_of_a_new_file_one_commits(lake: Lake) -> None:
    with pytest.raises(LakeError, match="Another process has committed"), lake.staged("a", replace=False) as late:
        late.write_text("late")
        with lake.staged("a", replace=False) as early:
            early.write_text("early")
    assert lake.read_bytes("a") == b"early"


def test_a_worker_that_lost_its_lease_does_not_release_that_of_its_successor(lake: Lake) -> None:
    slow = LeaseKeeper(lake)
    assert slow.acquire("f-1")
    release_by_hand(lake, "f-1")
    with leased(lake, "f-1") as successor:
        slow.close()
        assert successor is not None
        successor.check()


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


def test_a_full_disk_does_not_replace_the_error_that_ends_the_work(small_disk: Callable[[str], Path]) -> None:
    folder = small_disk("size=1m")
    lake = tables.open_tables(str(folder / "lake"))
    with pytest.raises(KeyboardInterrupt) as raised, leased(lake, "refresh"):
        with pytest.raises(OSError, match="No space"):
            (folder / "filler").write_bytes(bytes(2_000_000))
        raise KeyboardInterrupt
    assert "No space left" in raised.value.__notes__[0]
    assert leased_items(lake, ["refresh"]) == set()


def test_a_renewal_that_fails_is_retried(lake: Lake) -> None:
    holders = Path(lake.root, "leases", "holders")
    with LeaseKeeper(lake, seconds=1.0) as leases:
        assert leases.acquire("refresh")
        [before] = counters(lake)
        holders.rename(Path(lake.root, "elsewhere"))
        holders.write_text("a file where a folder belongs")
        time.sleep(0.5)
        holders.unlink()
        Path(lake.root, "elsewhere").rename(holders)
        time.sleep(0.5)
        assert counters(lake)[0] > before + 2


def test_an_error_that_nobody_expects_does_not_end_the_renewals(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put = MemoryFileSystem.put_file
    errors = [RuntimeError("can't start new thread")]

    def put_file(self: Any, *paths: str, **options: Any) -> None:
        if "/holders/" in paths[1] and self.exists(paths[1]) and errors:
            raise errors.pop()
        put(self, *paths, **options)

    monkeypatch.setattr(MemoryFileSystem, "put_file", put_file)
    lake = Lake("memory://lake-of-renewals")
    with LeaseKeeper(lake, seconds=0.5) as leases:
        assert leases.acquire("f-1")
        deadline = time.monotonic() + 20
        while errors or counters(lake)[0] < 3:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert "A lease was not renewed" in caplog.text


def test_a_fork_that_ends_releases_no_lease_of_its_parent(lake: Lake) -> None:
    with LeaseKeeper(lake) as leases:
        assert leases.acquire("f-1")
        child = os.fork()
        if not child:
            leases.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        leases.check()


def test_a_keeper_releases_items_one_by_one_and_the_rest_at_its_end(lake: Lake) -> None:
    with LeaseKeeper(lake) as leases:
        assert leases.acquire("f-1")
        assert leases.acquire("f-2")
        leases.release(["f-1", "f-3"])
        assert leased_items(lake, ["f-1", "f-2"]) == {"f-2"}
    assert list_leases(lake) == []
    assert threading.active_count() == 1 or "lease-heartbeat" not in {one.name for one in threading.enumerate()}


class Interrupt(BaseException):
    """What a signal raises, wherever the work happens to be."""


@contextmanager
def interrupted_at(line: int) -> Iterator[list[int]]:
    """Raise `Interrupt` once, before the given line of storage that this thread comes to; yields the count of lines."""
    lines, storage = [0], str(Path(leases_module.__file__).parents[1])

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        code = frame.f_code
        if not code.co_filename.startswith(storage) or code.co_name in ("__enter__", "__exit__"):
            return None  # Python itself has no answer to a signal just as a block begins or ends
        if event == "line":
            lines[0] += 1
            if lines[0] == line:
                raise Interrupt
        return trace

    sys.settrace(trace)
    try:
        yield lines
    finally:
        sys.settrace(None)


@pytest.mark.parametrize("released", [[], ["f-1"]])
def test_a_signal_at_any_line_leaves_no_lease(lake: Lake, released: list[str]) -> None:
    with interrupted_at(0) as lines, LeaseKeeper(lake) as leases:
        assert leases.acquire("f-1")
        leases.release(released)
    assert lines[0] > 300
    for line in range(1, lines[0]):
        with suppress(Interrupt), interrupted_at(line), LeaseKeeper(lake) as leases:
            assert leases.acquire("f-1")
            leases.release(released)
        assert lake.list("leases", "items") == lake.list("leases", "holders") == [], f"interrupted at line {line}"
        shutil.rmtree(Path(lake.root, "leases"), ignore_errors=True)  # with temporary files: each round is as the first


def test_a_signal_at_any_line_leaves_the_lease_of_another_worker(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def be_quicker(_lake: Lake, item: str, number: int, holder: Holder) -> bool:
        create_lease_file(lake, item, number, replace(holder, token="another"))
        return create_lease_file(lake, item, number, holder)

    monkeypatch.setattr(leases_module, "create_lease_file", be_quicker)
    for line in range(1, 200):
        with suppress(Interrupt), LeaseKeeper(lake) as leases, interrupted_at(line):
            assert leases.acquire("f-1") is None
        for path in lake.list("leases", "items"):
            assert json.loads(lake.read_bytes(path))["token"] == "another"
            lake.remove(path)


def test_sweeping_removes_what_the_dead_left_and_nothing_of_the_living(lake: Lake, repository: Path) -> None:
    run_and_die(lake, ACQUIRE_AND_DIE, repository)
    with leased(lake, "f-2"):
        sweep_leases(lake)
        assert [(held.item, held.standing) for held in list_leases(lake)] == [("f-2", Standing.ALIVE)]
        assert len(lake.list("leases", "holders")) == 1
    assert read_numbers(lake).released >= 1


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("leases/items/note.json", b"{}"),
        ("leases/items/a b.000000001.json", b"{}"),
        ("leases/items/f-1.7.json", b"{}"),
        ("leases/items/folder/f-1.000000007.json", b"{}"),
        ("leases/released/newest.json", b"{}"),
        ("claims/a b/000001.json", b"{}"),
        ("claims/f-1.json", b"[" * 100_000),
    ],
)
def test_a_file_that_is_no_lease_is_named_and_stops_nothing(
    lake: Lake, path: str, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    file = Path(lake.root, path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    for _ in range(4):
        with leased(lake, "f-1") as lease:
            assert lease is not None
    sweep_leases(lake)
    assert list_leases(lake) == []
    assert file.exists() and any(path in record.message for record in caplog.records)


@pytest.mark.parametrize("content", [b"", b"no JSON", b"[" * 100_000, b'{"token": 1}', b"\xff"])
def test_a_lease_that_no_version_wrote_is_nobodys(lake: Lake, content: bytes) -> None:
    lake.write_bytes(content, "leases", "items", "f-1.000000003.json")
    [held] = list_leases(lake)
    assert (held.holder, held.standing) == (None, Standing.DEAD)
    with leased(lake, "f-1") as lease:
        assert lease is not None and lease.number == 4
