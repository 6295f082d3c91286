"""`needledrop serve` from a wheel: one command to a completed run in an empty folder; nothing is left after Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from needledrop.demo.corpus_and_library import Corpus
from tests.integration.service.conftest import (
    PREFECT,
    Server,
    descendants,
    environment_of,
    free_port,
    wait_until,
)

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]


@dataclass
class Service:
    """`needledrop serve` in a folder: the command, the server that it started, its process since the last start."""

    command: Path
    server: Server
    process: subprocess.Popen[bytes]

    @property
    def printed(self) -> str:
        return (self.server.folder / "serve.log").read_text()


@pytest.fixture(scope="module")
def service(installed_command: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service of a new lake in an empty folder, as it is installed from a wheel."""
    folder, port = tmp_path_factory.mktemp("serve"), free_port()
    environment = environment_of(folder, repository, port)
    del environment["PYTHONPATH"]  # which names the checkout
    server = Server(port, folder, environment)
    started = Service(installed_command, server, start(installed_command, server))
    try:
        yield started
    finally:
        started.process.terminate()
        started.process.wait(120)


def start(installed_command: Path, server: Server) -> subprocess.Popen[bytes]:
    """Start the service of a server, and wait until it says so."""
    command = [installed_command, "serve", "--lake", "lake", "--port", str(server.port)]
    printed = server.folder / "serve.log"
    with printed.open("wb") as log:
        process = subprocess.Popen(command, env=server.environment, cwd=server.folder, stdout=log, stderr=log)
    try:
        wait_until(lambda: "is served at" in printed.read_text() or process.poll() is not None, "the start")
        assert process.poll() is None, printed.read_text()
    except BaseException:
        process.kill()
        raise
    return process


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_run_of_the_nightly_completes(service: Service, demo_corpus: Callable[[int], Corpus]) -> None:
    server, corpus = service.server, demo_corpus(2)
    given = {"recent_years": "null", "export": str(corpus.export), "images": str(corpus.images)}
    options = [f"{name}={value}" for name, value in {**given, "music": f'["{corpus.music}"]'}.items()]
    command = [*PREFECT, "deployment", "run", "refresh/nightly", "-p", "train=never"]
    started = server.run(*command, *(part for option in options for part in ("-p", option)))
    assert started.returncode == 0, started.stdout + started.stderr
    run = server.wait_for_run("refresh/nightly", "Completed")
    assert run["parameters"]["lake"] == str(server.folder / "lake")
    assert len(list(server.folder.glob("lake/datasets/*/manifest.json"))) == 1


def test_a_second_service_on_the_port_is_one_sentence(service: Service) -> None:
    server = service.server
    second = server.run(str(service.command), "serve", "--lake", "other", "--port", str(server.port))
    assert second.returncode == 2
    assert f"A Prefect server is already running at {server.address}" in second.stderr
    assert "--port" in second.stderr
    assert "Traceback" not in second.stderr


def test_a_service_that_was_killed_leaves_no_process_and_keeps_no_run_waiting(service: Service) -> None:
    server = service.server
    server.start("curate-dataset/weekly")
    wait_until(lambda: _states(server) & {"Pending", "Submitting", "Running"}, "the start of the run")
    children = descendants(service.process.pid)
    for pid in (service.process.pid, *_servers(children)):  # so that nobody reports how the run ended
        os.kill(pid, signal.SIGKILL)
    service.process.wait()
    wait_until(lambda: not [pid for pid in children if _is_alive(pid)], "the end of workers and flow", 90)
    service.process = start(service.command, server)
    assert "died with the last service" in service.printed
    server.start("curate-dataset/weekly")
    wait_until(lambda: _states(server) == {"Crashed", "Completed"}, "the next run", seconds=150)


def test_ctrl_c_ends_runs_and_every_process(service: Service) -> None:
    server, process = service.server, service.process
    server.start("train-and-evaluate/manual", seeds=50)
    server.wait_for_run("train-and-evaluate/manual", "Running")
    children = descendants(process.pid)
    assert len(children) >= 3, "server, worker and flow"
    process.send_signal(signal.SIGINT)
    assert process.wait(120) == 0
    time.sleep(1)
    assert not [pid for pid in children if _is_alive(pid)]
    assert "is served at" in service.printed
    assert not list(server.folder.glob("lake/leases/items/*")), "every lease is released"


def _servers(processes: set[int]) -> list[int]:
    """Return those of some processes that are a Prefect server."""
    listed = subprocess.run(["ps", "-eo", "pid=,args="], capture_output=True, text=True, check=True).stdout
    commands = {int(pid): words for pid, words in (line.split(maxsplit=1) for line in listed.splitlines())}
    return [pid for pid in processes if re.search(r"server start|server\.api", commands.get(pid, ""))]


def _states(server: Server) -> set[str]:
    return {run["state_name"] for run in server.runs_of("curate-dataset/weekly") if not run["auto_scheduled"]}
