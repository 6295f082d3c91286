"""The images and services of docker-compose.yml, brought up once for all tests; `make test-containers` runs them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.containers.stack import Stack

POSTGRES_IMAGE = "postgres:16-alpine"
TEST_POSTGRES = "needledrop-test-postgres:latest"
"""The same with a /run that everybody may write: a stand-in made of Debian's packages writes there as its user."""


@pytest.fixture(scope="session")
def images(repository: Path) -> None:
    """Build the images, unless they are up to date, or skip the tests."""
    if os.environ.get("NEEDLEDROP_TEST_CONTAINERS") != "1":
        pytest.skip("containers take minutes: make test-containers runs these tests")
    if not shutil.which("docker") or subprocess.run(["docker", "info"], check=False, capture_output=True).returncode:
        pytest.skip("no Docker engine answers")
    subprocess.run(["make", "images"], cwd=repository, check=True)
    postgres = f"FROM {POSTGRES_IMAGE}\nRUN chmod 1777 /run\n"
    subprocess.run(["docker", "build", "-t", TEST_POSTGRES, "-"], input=postgres, text=True, check=True)


@pytest.fixture(scope="session")
def stack(images: None, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The services with a small corpus as the user's data; everything of them is removed afterwards."""
    from needledrop.demo.corpus_and_library import write_corpus

    corpus = tmp_path_factory.mktemp("data") / "corpus"
    write_corpus(corpus, films_per_year=4)
    _let_everybody_read(corpus)
    settings = {"NEEDLEDROP_CONTACT": "tests@example.org", "NEEDLEDROP_DATA": str(corpus)}
    settings |= {"NEEDLEDROP_PORT": str(_free_port()), "POSTGRES_PASSWORD": "p@ss/w:rd%"}
    settings |= {"POSTGRES_IMAGE": TEST_POSTGRES}
    stack = Stack(_compose_command(), repository, {**os.environ, **settings})
    stack.compose("down", "--volumes", "--remove-orphans")
    try:
        stack.up()
        yield stack
    finally:
        (tmp_path_factory.getbasetemp() / "compose.log").write_text(stack.compose("logs", check=False))
        stack.compose("down", "--volumes", "--remove-orphans")


def _compose_command() -> tuple[str, ...]:
    """Return the plug-in of Docker where there is one, else the older program."""
    if subprocess.run(["docker", "compose", "version"], check=False, capture_output=True).returncode == 0:
        return ("docker", "compose")
    if not shutil.which("docker-compose"):
        pytest.skip("docker compose is not installed")
    return ("docker-compose",)


def _free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def _let_everybody_read(folder: Path) -> None:
    """A temporary folder of pytest is its user's alone, and the worker is another."""
    for path in (folder, *folder.parents[:3], *folder.rglob("*")):
        path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
