"""A service that lacks something ends with one sentence that names the variable or path to change."""

from __future__ import annotations

import subprocess

import pytest

from tests.integration.containers.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("images")]

CONTACT = ["-e", "NEEDLEDROP_CONTACT=me@example.org"]
DATABASE = ["-e", "PREFECT_SERVER_DATABASE_DRIVER=postgresql+asyncpg", "-e", "PREFECT_SERVER_DATABASE_HOST=127.0.0.1"]
DATABASE += ["-e", "PREFECT_SERVER_DATABASE_USER=prefect", "-e", "PREFECT_SERVER_DATABASE_NAME=prefect"]
WORKER = {
    "no contact": (["-e", "NEEDLEDROP_CONTACT="], 2, "NEEDLEDROP_CONTACT is empty"),
    "no data": ([*CONTACT, "-e", "NEEDLEDROP_DATA=/no/such"], 2, "NEEDLEDROP_DATA names /no/such"),
    "full disk": ([*CONTACT, "--tmpfs", "/app/lake:size=16k,uid=1000"], 3, "No space left to write /app/lake"),
    "read-only": ([*CONTACT, "--tmpfs", "/app/lake:ro"], 3, "/app/lake cannot be written"),
    "another owner": ([*CONTACT, "--tmpfs", "/app/lake:mode=755"], 3, "NEEDLEDROP_LAKE_VOLUME"),
    "read-only cache": ([*CONTACT, "--tmpfs", "/var/cache/needledrop:ro"], 3, "NEEDLEDROP_CACHE"),
}


def _run(image: str, options: list[str]) -> tuple[int, str]:
    """Run an image and return its exit status and what it said."""
    command = ["docker", "run", "--rm", *options, f"{image}:latest"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stderr.strip()


@pytest.mark.parametrize(("options", "status", "sentence"), WORKER.values(), ids=list(WORKER))
def test_a_worker_names_what_to_change(options: list[str], status: int, sentence: str) -> None:
    ended, said = _run("needledrop-worker", options)
    assert (ended, len(said.splitlines())) == (status, 1), said
    assert sentence in said


def test_a_server_names_the_postgres_that_is_not_up() -> None:
    ended, said = _run("needledrop-server", DATABASE)
    assert (ended, len(said.splitlines())) == (2, 1), said
    assert "Postgres at 127.0.0.1:5432 cannot be used" in said
    assert "PREFECT_SERVER_DATABASE_HOST" in said


def test_a_server_names_the_password_that_does_not_fit(stack: Stack) -> None:
    network = ["--network", "needledrop-test_default", "-e", "PREFECT_SERVER_DATABASE_PASSWORD=another"]
    options = [word.replace("127.0.0.1", "postgres") for word in DATABASE]
    ended, said = _run("needledrop-server", [*options, *network])
    assert (ended, len(said.splitlines())) == (2, 1), said
    assert "set POSTGRES_PASSWORD to the one it was made with" in said


def test_a_second_server_names_the_port_that_is_taken(stack: Stack) -> None:
    container = stack.compose("ps", "-q", "server").strip()
    ended, said = _run("needledrop-server", ["--network", f"container:{container}"])
    assert (ended, len(said.splitlines())) == (2, 1), said
    assert "Port 4200 cannot be used" in said
