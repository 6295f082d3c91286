"""What several rooms share: one Prefect server, and one walk of the whole road over a small corpus."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """A server with a database of its own; nothing touches the person's."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    with (
        prefect_test_harness(server_startup_timeout=180),
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
    ):
        yield


@dataclass(frozen=True)
class Walk:
    """A finished walk: what `refresh` was called with, and what it returned."""

    parameters: dict[str, Any]
    summary: dict[str, Any]


@pytest.fixture(scope="session")
def walk(prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> Walk:
    """The whole road over a third of the demo's films."""
    from flows.refresh import refresh
    from needledrop.demo.corpus import write_corpus

    corpus = write_corpus(tmp_path_factory.mktemp("corpus"), films_per_year=4)
    parameters = {
        "lake": str(tmp_path_factory.mktemp("walked") / "lake"),
        "export": str(corpus.export),
        "images": str(corpus.images),
        "music": [str(corpus.music)],
        "i_have_the_right_to_collect": True,
        "epochs": 2,
    }
    return Walk(parameters, refresh(**parameters))


@pytest.fixture(scope="session")
def walked_lake(walk: Walk) -> str:
    """The root of the lake that the walk filled."""
    return str(walk.parameters["lake"])


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder of the checkout."""
    return Path(__file__).parents[1]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a file system of one mebibyte; the fixture is a function of its mount options."""
    mounted: list[Path] = []

    def mount(options: str) -> Path:
        folder = tmp_path / "disk"
        folder.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
            pytest.skip("mounting a small file system needs root")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)
