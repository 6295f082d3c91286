"""`needledrop serve`: one command from an empty folder to a completed run, and nothing left after Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.service.conftest import (
    NEEDLEDROP,
    PREFECT,
    Server,
    descendants,
    environment_of,
    free_port,
    wait_until,
)

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def serving(
    tmp_path_factory: pytest.TempPathFactory, repository: Path
) -> Iterator[tuple[Server, subprocess.Popen[bytes]]]:
    """`needledrop serve` of a new lake in an empty folder, and the server that it started."""
    folder, port = tmp_path_factory.mktemp("serve"), free_port()
    environment = environment_of(folder, repository, port)
    command = [*NEEDLEDROP, "serve", "--lake", "lake", "--port", str(port)]
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
        try:
            wait_until(lambda: "is served at" in (folder / "serve.log").read_text(), "the start of the service")
            yield Server(port, folder, environment), process
        finally:
            process.kill()
            process.wait()


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_run_of_the_nightly_completes(serving: tuple[Server, subprocess.Popen[bytes]]) -> None:
    from needledrop.demo.corpus import write_corpus

    server, _process = serving
    corpus = write_corpus(server.folder / "corpus", films_per_year=2)
    given = {"recent_years": "null", "export": str(corpus.export), "images": str(corpus.images)}
    options = [f"{name}={value}" for name, value in {**given, "music": f'["{corpus.music}"]'}.items()]
    command = [*PREFECT, "deployment", "run", "refresh/nightly", "-p", "train=never"]
    started = server.run(*command, *(part for option in options for part in ("-p", option)))
    assert started.returncode == 0, started.stdout + started.stderr
    run = server.wait_for_run("refresh/nightly", "Completed")
    assert run["parameters"]["lake"] == str(server.folder / "lake")
    assert len(list(server.folder.glob("lake/datasets/*/manifest.json"))) == 1


def test_a_second_service_on_the_port_is_one_sentence(serving: tuple[Server, subprocess.Popen[bytes]]) -> None:
    server, _process = serving
    second = server.run(*NEEDLEDROP, "serve", "--lake", "other", "--port", str(server.port))
    assert second.returncode == 2
    assert f"A Prefect server is already running at {server.address}" in second.stderr
    assert "--port" in second.stderr
    assert "Traceback" not in second.stderr


def test_ctrl_c_ends_runs_and_every_process(serving: tuple[Server, subprocess.Popen[bytes]]) -> None:
    server, process = serving
    server.run(*PREFECT, "deployment", "run", "train-and-evaluate/manual", "-p", "seeds=50")
    server.wait_for_run("train-and-evaluate/manual", "Running")
    children = descendants(process.pid)
    assert len(children) >= 3, "server, worker and flow"
    process.send_signal(signal.SIGINT)
    assert process.wait(120) == 0
    time.sleep(1)
    assert not [pid for pid in children if _is_alive(pid)]
    assert "is served at" in (server.folder / "serve.log").read_text()
    assert not list(server.folder.glob("lake/leases/items/*")), "every lease is released"
