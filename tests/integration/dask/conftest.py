"""A Dask scheduler and workers that share nothing but the network: own folders, own caches, a lake on an S3 server."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import soundfile

from storage.lake.lake import Lake
from storage.tables import tables
from storage.tables.schemas import FILMS
from tests.integration.s3.conftest import bucket  # noqa: F401  # a fixture

FILMS_IN_THE_LAKE = 8


@dataclass
class Cluster:
    """A scheduler, and the processes of its workers."""

    address: str
    folder: Path
    environment: Mapping[str, str]
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def add_worker(self, before: Sequence[str] = (), **environment: str) -> subprocess.Popen[bytes]:
        """Start a worker with its own folder and cache; `before` is a command that runs it."""
        home = self.folder / f"machine-{len(self.workers)}"
        home.mkdir()
        options = ["--no-nanny", "--no-dashboard", "--nthreads", "1", "--local-directory", str(home / "spill")]
        self.workers.append(
            subprocess.Popen(
                [*before, sys.executable, "-m", "dask", "worker", self.address, *options],
                cwd=home,
                env={**self.environment, "NEEDLEDROP_CACHE": str(home / "cache"), **environment},
            )
        )
        return self.workers[-1]


@pytest.fixture
def cluster(bucket: str, prefect_server: None, tmp_path: Path, repository: Path) -> Iterator[Cluster]:  # noqa: F811
    pytest.importorskip("prefect_dask", reason="the Dask runner needs needledrop[dask]")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    command = ["-m", "dask", "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard", "--no-show"]
    scheduler = subprocess.Popen([sys.executable, *command], env=environment, cwd=tmp_path)
    made = Cluster(f"tcp://127.0.0.1:{port}", tmp_path, environment)
    yield made
    for process in (*made.workers, scheduler):
        process.kill()
        process.wait()


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """A folder with one recording per film, and a list that pairs them."""
    folder = tmp_path / "music"
    folder.mkdir()
    lines = ["path,film"]
    for number in range(FILMS_IN_THE_LAKE):
        wave = 0.3 * np.sin(np.arange(12 * 8_000) * (0.05 + number / 100))
        soundfile.write(str(folder / f"{number}.wav"), wave, 8_000)
        lines.append(f"{folder / f'{number}.wav'},enwiki-{number}")
    (tmp_path / "music.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def open_lake(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Lake]:  # noqa: F811
    """Return a function that makes a lake with films and without music: at s3://…/NAME, or at a path."""
    monkeypatch.setenv("NEEDLEDROP_CACHE", str(tmp_path / "cache"))

    def make(name: str) -> Lake:
        lake = tables.open_tables(name if name.startswith("/") else f"{bucket}/{name}")
        films = [
            {"film_id": f"enwiki-{n}", "page_id": n, "title": f"Film {n}", "year": 2016, "state": "present"}
            for n in range(FILMS_IN_THE_LAKE)
        ]
        tables.append(lake, FILMS, films, "run")
        return lake

    return make
