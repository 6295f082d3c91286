"""A Prefect server with its scheduler, and a worker: as an operator starts them, each a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from needledrop.service.serve import address_of, answers

PREFECT = [sys.executable, "-m", "prefect"]
NEEDLEDROP = [sys.executable, "-m", "needledrop"]
signal.signal(signal.SIGINT, signal.default_int_handler)
# Prefect's worker turns SIGTERM into SIGINT, which these tests would hand down ignored where a script started them in
# the background.


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 480) -> Any:
    """Return the first true result of `condition`; fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:.0f} s"
        time.sleep(0.5)
    return result


@dataclass
class Server:
    """A server of its own: its address, and the environment and folder of commands that use it."""

    port: int
    folder: Path
    environment: dict[str, str]

    @property
    def address(self) -> str:
        return address_of(self.port)

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the folder, with this server as its own."""
        environment = {**self.environment, **variables}
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=400, check=False
        )

    def ask(self, path: str, **body: Any) -> Any:
        """Return the answer of the server's API to a POST."""
        return self._call("POST", path, body).json()

    def edit(self, deployment: str, **changes: Any) -> None:
        """Change a deployment, as its page does."""
        self._call("PATCH", f"deployments/{self._id_of(deployment)}", changes)

    def start(self, deployment: str, **parameters: Any) -> None:
        """Start a run of a deployment, as its page and `prefect deployment run` do."""
        self._call("POST", f"deployments/{self._id_of(deployment)}/create_flow_run", {"parameters": parameters})

    @contextmanager
    def scheduled(self, deployment: str, seconds: float) -> Iterator[None]:
        """Run a deployment every so many seconds in the block."""
        path = f"deployments/{self._id_of(deployment)}/schedules"
        [made] = self._call("POST", path, [{"active": True, "schedule": {"interval": seconds}}]).json()
        yield
        self._call("DELETE", f"{path}/{made['id']}")

    def _id_of(self, deployment: str) -> str:
        return str(self._call("GET", f"deployments/name/{deployment}").json()["id"])

    def call_dead_after(self, seconds: float) -> None:
        """Have the automation for dead runs wait for less than a server may be away."""
        [found] = [one for one in self.ask("automations/filter") if one["name"] == "crash-zombies"]
        names = ("name", "description", "enabled", "trigger", "actions", "actions_on_trigger", "actions_on_resolve")
        changed = {name: found[name] for name in names}
        self._call("PUT", f"automations/{found['id']}", {**changed, "trigger": {**found["trigger"], "within": seconds}})

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        """Call the server's API, again while it answers 503: a busy SQLite database refuses some calls."""
        import httpx

        for _ in range(20):
            answer = httpx.request(method, f"{self.address}/api/{path}", json=body, timeout=30)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            time.sleep(0.5)
        return answer.raise_for_status()

    def runs_of(self, deployment: str) -> list[dict[str, Any]]:
        """Return the flow runs of a deployment, the newest first."""
        flow, name = deployment.split("/")
        filters = {"flows": {"name": {"any_": [flow]}}, "deployments": {"name": {"any_": [name]}}}
        runs: list[dict[str, Any]] = self.ask("flow_runs/filter", **filters, sort="START_TIME_DESC")
        return runs

    def wait_for_run(self, deployment: str, state: str) -> dict[str, Any]:
        """Return the first run of a deployment that reached the state of this name."""
        named: dict[str, Any] = wait_until(
            lambda: next((run for run in self.runs_of(deployment) if run["state_name"] == state), None),
            f"{deployment} {state}",
        )
        return named


def environment_of(folder: Path, repository: Path, port: int) -> dict[str, str]:
    """The variables of commands that use the server at a port, with nothing of the user's own Prefect."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "NEEDLEDROP_"))}
    ours = {
        "PYTHONPATH": str(repository),
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_API_URL": f"{address_of(port)}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "NEEDLEDROP_HOME": str(folder),
    }
    return {**kept, **ours}


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, repository: Path, new_prefect_home: Callable[[Path], Path]
) -> Iterator[Server]:
    """A server with everything that `needledrop bootstrap` creates."""
    folder, port = tmp_path_factory.mktemp("service"), free_port()
    new_prefect_home(folder / "prefect")
    environment = environment_of(folder, repository, port)
    command = [*PREFECT, "server", "start", "--port", str(port)]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
        try:
            wait_until(lambda: answers(address_of(port)), "the start of the server")
            started = Server(port, folder, environment)
            made = started.run(*NEEDLEDROP, "bootstrap")
            assert made.returncode == 0, made.stdout + made.stderr
            yield started
        finally:
            process.terminate()
            process.wait(30)


@contextmanager
def started_worker(server: Server) -> Iterator[subprocess.Popen[bytes]]:
    """Start a worker of the pool `local`, and end it after the block."""
    command = [*PREFECT, "worker", "start", "--pool", "local", "--type", "process"]
    with (server.folder / "worker.log").open("ab") as log:
        process = subprocess.Popen(command, env=server.environment, cwd=server.folder, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="module")
def worker(server: Server) -> Iterator[subprocess.Popen[bytes]]:
    """A worker of the pool `local`."""
    with started_worker(server) as process:
        yield process


def descendants(pid: int) -> set[int]:
    """Return the processes below a process."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = [tuple(map(int, line.split())) for line in listed.splitlines()]
    found = {pid}
    while new := {child for child, parent in parents if parent in found} - found:
        found |= new
    return found - {pid}


@dataclass
class Receiver:
    """A web server that keeps what is posted to it."""

    port: int
    received: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            kept.received.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Print nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as listening:
        kept = Receiver(listening.server_port)
        Thread(target=listening.serve_forever, daemon=True).start()
        yield kept
        listening.shutdown()
