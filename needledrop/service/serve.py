"""Serve until stopped: a Prefect server of its own and workers for every pool, for `needledrop serve`.

Children run in sessions of their own, so that Ctrl-C in the terminal reaches only this process, which ends them in
order: no new runs, running flows cancelled (their leases are released), workers, server; none outlives it. The
server's address is on this machine only, and its database in a folder that one service at a time may use.
"""

from __future__ import annotations

import ctypes
import fcntl
import functools
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from needledrop.service import startup_and_health_checks as checks
from needledrop.service.worker import SETTINGS
from storage.errors import InputError, NeedledropError
from storage.lake.lake import Lake
from storage.tables.tables import open_tables

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

HOST = "127.0.0.1"
"""This machine only: the server has no log-in."""
LOCK = "serve.lock"
START_SECONDS = 180.0
"""A new database is migrated first, which takes a minute on a small machine."""
DATABASE_BYTES = 50_000_000
"""The pages of a new server take 17 MB, its database 4 MB, and as much again while it is written."""
WORKER_RETRIES = "1"
"""A worker repeats a call once: its server is a process of the same service, and gone with it. Flow runs, whose
deployments say how often they do, are not bound by it."""
LOG_FORMATS = {
    "PREFECT_LOGGING_FORMATTERS_STANDARD_FORMAT": "%(asctime)s %(message)s",
    "PREFECT_LOGGING_FORMATTERS_STANDARD_FLOW_RUN_FMT": "%(asctime)s %(flow_run_name)s: %(message)s",
    "PREFECT_LOGGING_FORMATTERS_STANDARD_TASK_RUN_FMT": "%(asctime)s %(task_run_name)s: %(message)s",
}
POLL_SECONDS = 0.3
CANCEL_SECONDS = 45.0
"""For flows to end: Prefect gives a process 30 s after it asked."""
END_SECONDS = 15.0
"""For a child process to end after SIGTERM."""
PR_SET_PDEATHSIG = 1
"""Of <linux/prctl.h>."""


@dataclass(frozen=True)
class Service:
    """What is served and where: the lake, the port of the server, runs at once per pool, and Prefect's folder."""

    lake: Lake
    port: int
    limit: int
    home: Path

    @property
    def server_log(self) -> Path:
        """The file that takes what the server prints."""
        return self.home / "server.log"

    def environment(self) -> dict[str, str]:
        """Return the settings of this process, the server and the workers, where they differ from Prefect's."""
        return {
            "PREFECT_HOME": str(self.home),
            "PREFECT_API_URL": f"{address_of(self.port)}/api",
            "PREFECT_UI_STATIC_DIRECTORY": str(self.home / "ui"),  # the default is where packages are installed
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
            "DO_NOT_TRACK": "1",
            **SETTINGS,
            **{name: os.environ.get(name, value) for name, value in LOG_FORMATS.items()},
        }


def home_of(lake: Lake) -> Path:
    """Return the folder of Prefect's database: PREFECT_HOME, or one next to the lake (for a bucket, in the cache)."""
    if os.environ.get("PREFECT_HOME"):
        return Path(os.environ["PREFECT_HOME"]).expanduser().absolute()
    if not lake.is_local:
        return Path(lake.cache_folder).absolute() / "prefect"
    root = _folder(lake)
    return root.with_name(f"{root.name}-prefect")


def _folder(lake: Lake) -> Path:
    return Path(lake.root.removeprefix("file://"))


def serve(service: Service, say: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or SIGTERM. `say` gets a line at each step.

    Raises `InputError` for a port or folder that is in use, `LakeError` for a lake that cannot be written, and
    `NeedledropError` when a process ends by itself.
    """
    check_port(service.port)
    open_tables(service.lake.root)  # makes it where there is none, and no earlier: what is refused leaves nothing
    if service.lake.is_local:
        checks.check_writable(_folder(service.lake), "make the lake writable or choose another --lake")
    with only_service_in(service.home), _sigterm_like_ctrl_c(), ExitStack() as children:
        os.environ.update(service.environment())  # before Prefect reads its settings
        try:
            _run(service, say, children)
        except KeyboardInterrupt:
            say("Ending: running flows are cancelled, the next start goes on from what is committed")
            end_runs(say)


def address_of(port: int) -> str:
    """Return the address of the server and its pages."""
    return f"http://{HOST}:{port}"


def answers(address: str) -> bool:
    """Return whether a Prefect server is up at an address."""
    try:
        with urllib.request.urlopen(f"{address}/api/health", timeout=3) as response:  # noqa: S310
            return bool(response.read(16) == b"true")
    except (OSError, urllib.error.URLError, ValueError):
        return False


def check_port(port: int) -> None:
    """Raise `InputError` for a port that another program has, or that this user may not open."""
    try:
        checks.check_port(port, "--port", HOST)
    except InputError as error:
        if answers(address_of(port)):
            raise InputError(
                f"A Prefect server is already running at {address_of(port)}; "
                "use it, end it, or choose another port with --port"
            ) from error
        raise


@contextmanager
def only_service_in(home: Path) -> Iterator[None]:
    """Make the folder and hold its lock.

    Raises `InputError` while another service uses the same database, and where the disk has no space for it: Prefect
    itself would end with a page of traceback.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        file = (home / LOCK).open("w")
        free = shutil.disk_usage(home).free
    except OSError as error:
        message = f"{home} cannot be written ({error.strerror}); set PREFECT_HOME to a folder that can"
        raise InputError(message) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(
                f"Another needledrop serve uses the database in {home}; end it, or set PREFECT_HOME to another folder"
            ) from error
        if free < DATABASE_BYTES:
            raise InputError(
                f"Only {free / 1e6:.0f} MB are free at {home}, and Prefect needs "
                f"{DATABASE_BYTES / 1e6:.0f} MB for its database; free some, or set PREFECT_HOME to a folder on "
                "another disk"
            )
        yield


def _run(service: Service, say: Callable[[str], None], children: ExitStack) -> None:
    address = address_of(service.port)
    say(f"Prefect's database is in {service.home}")
    say(f"Starting the server, which takes a minute the first time; its log is {service.server_log}")
    server = children.enter_context(_server(service))
    _wait_for(server, address, service.server_log)
    from flows.runs.dead_runs import end_dead_runs
    from needledrop.service.deployments import set_up_server

    say(str(set_up_server(lake=service.lake.root, serves_all=True)))
    processes = {"server": server}
    for name in end_dead_runs():
        say(f"{name} died with the last service; its next run goes on from what is committed")
    for pool in resume_pools():
        processes[f"worker of {pool}"] = children.enter_context(_worker(pool, service.limit))
    if lacks := checks.missing_contact():
        say(lacks)
    say(f"{service.lake.root} is served at {address}; Ctrl-C ends it")
    while True:
        for name, process in processes.items():
            if process.poll() is not None:
                raise NeedledropError(f"The {name} ended by itself; look into {service.server_log} and start again")
        time.sleep(POLL_SECONDS)


@contextmanager
def _server(service: Service) -> Iterator[subprocess.Popen[bytes]]:
    command = ["server", "start", "--host", "127.0.0.1", "--port", str(service.port)]
    with service.server_log.open("wb") as log, child_process(command, log.fileno()) as process:
        yield process


def _worker(pool: str, limit: int) -> AbstractContextManager[subprocess.Popen[bytes]]:
    command = ["worker", "start", "--pool", pool, "--type", "process", "--limit", str(limit)]
    return child_process(command, settings={"PREFECT_CLIENT_MAX_RETRIES": WORKER_RETRIES})


def _wait_for(server: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not answers(address):
        if server.poll() is not None or time.monotonic() > deadline:
            last = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
            raise NeedledropError(f"The Prefect server did not start; {log} ends with:\n{last}")
        time.sleep(POLL_SECONDS)


@contextmanager
def _sigterm_like_ctrl_c() -> Iterator[None]:
    """Have SIGTERM raise KeyboardInterrupt, as SIGINT does; a second signal ends the orderly end early."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def child_process(
    arguments: list[str], output: int | None = None, settings: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Start `prefect ARGUMENTS` as the leader of a session, and end all of that session afterwards.

    `output`: the file that takes what it prints, by default this process's. `settings`: variables of its environment.
    """
    command = [sys.executable, "-m", "prefect", *arguments]
    with_service = _end_with_the_service()
    process = subprocess.Popen(  # noqa: S603
        command,
        stdout=output,
        stderr=output,
        env={**os.environ, **(settings or {})},
        start_new_session=True,
        preexec_fn=with_service,  # noqa: PLW1509  no other thread here holds a lock
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            process.kill()
        _kill_group(process.pid)
        process.wait()


def _end_with_the_service() -> Callable[[], object] | None:
    """Return what a child does before it starts, so that it gets SIGTERM even where the service dies by kill -9.

    None where the system cannot do that: it is Linux that sends a signal at the death of a parent.
    """
    if sys.platform != "linux":
        return None
    call = ctypes.CDLL(None).prctl  # looked up before the fork, after which little may be done
    return functools.partial(call, PR_SET_PDEATHSIG, signal.SIGTERM)


def _kill_group(leader: int) -> None:
    """End what a child left behind in its process group."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return


def resume_pools() -> list[str]:
    """Resume the work pools that the last end paused; return the names of those that run processes."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        pools = [pool for pool in client.read_work_pools() if pool.type == "process"]
        for pool in pools:
            _set_paused(client, pool.name, is_paused=False)
    return [pool.name for pool in pools]


def _set_paused(client: SyncPrefectClient, pool: str, *, is_paused: bool) -> None:
    from prefect.client.schemas.actions import WorkPoolUpdate

    client.update_work_pool(pool, WorkPoolUpdate(is_paused=is_paused))


def end_runs(say: Callable[[str], None]) -> None:
    """Take no new runs, cancel those of deployments that are running, and wait until they have ended."""
    from prefect.client.orchestration import get_client

    from tasks.prefect_client import HTTP_ERRORS

    deadline = time.monotonic() + CANCEL_SECONDS
    try:
        with get_client(sync_client=True, httpx_settings={"timeout": 5}) as client:
            for pool in client.read_work_pools():
                _set_paused(client, pool.name, is_paused=True)
            while (running := _cancel_running(client)) and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
    except HTTP_ERRORS:
        return  # stopped before the server was up
    if running:
        say(f"{running} runs did not end within {CANCEL_SECONDS:.0f} s and are killed")


def _cancel_running(client: SyncPrefectClient) -> int:
    """Ask the runs of deployments to end, each once; return how many have not ended."""
    from prefect.states import Cancelling

    from flows.runs.dead_runs import unfinished_runs

    runs = unfinished_runs(client)
    for run in runs:
        if not run.state.is_cancelling():
            client.set_flow_run_state(run.id, Cancelling())
    return len(runs)
