"""The services of docker-compose.yml under test: docker-compose, the API of the server, and the worker's lake."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

PROJECT = "needledrop-test"
SERVICE_SECONDS = 300
RUN_SECONDS = 600


@dataclass(frozen=True)
class Stack:
    """The services of one project, and the API of its server."""

    command: tuple[str, ...]
    folder: Path
    environment: dict[str, str]

    def compose(self, *arguments: str, check: bool = True) -> str:
        """Run docker-compose; return what it printed on stdout, or raise `AssertionError` with what went wrong."""
        command = [*self.command, "-p", PROJECT, *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def up(self, *options: str) -> None:
        """Start the services and wait until the worker is healthy, the last of all."""
        self.compose("up", "-d", "--no-build", *options)
        wait_until(lambda: self.health("worker") == "healthy", SERVICE_SECONDS)

    def health(self, service: str) -> str:
        """Return what Docker thinks of a service."""
        container = self.compose("ps", "-q", service).strip()
        return _docker("inspect", "-f", "{{.State.Health.Status}}", container)

    def address(self, path: str) -> str:
        """Return the address at which a browser on this machine finds the server."""
        return f"http://127.0.0.1:{self.environment['NEEDLEDROP_PORT']}/{path}"

    def api(self, path: str, **body: Any) -> Any:
        """Return the server's answer to a request with this body; a GET without one."""
        answer = requests.request("POST" if body else "GET", self.address(f"api/{path}"), json=body or None, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def start_nightly(self) -> str:
        """Start `refresh/nightly` on the corpus and return the id of the run."""
        parameters = {"lake": "lake", "years": None, "recent_years": None, "train": "never"}
        parameters |= {"export": "/data/films.xml.bz2", "images": "/data/images", "music": ["/data/music"]}
        deployment = self.api("deployments/name/refresh/nightly")["id"]
        run = self.api(f"deployments/{deployment}/create_flow_run", parameters=parameters, state={"type": "SCHEDULED"})
        return str(run["id"])

    def end_of(self, run: str) -> dict[str, Any]:
        """Wait until a run has ended and return its state."""
        ended = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
        wait_until(lambda: self.api(f"flow_runs/{run}")["state"]["type"] in ended, RUN_SECONDS)
        state: dict[str, Any] = self.api(f"flow_runs/{run}")["state"]
        return state

    def shards(self) -> dict[str, str]:
        """Return the shards of the lake: path -> inode and time of its last change."""
        listed = self.compose(
            "exec", "-T", "worker", "find", "lake/mels", "-name", "*.parquet", "-printf", r"%p %i-%T@\n", check=False
        )
        return dict(line.split() for line in listed.splitlines() if "/.tmp-" not in line)


def wait_until(is_so: Callable[[], bool], seconds: float) -> None:
    """Ask again and again; raises `AssertionError` when it is not so in time."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"waited {seconds} s in vain"
        time.sleep(1)


def _docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False).stdout.strip()
