"""The services come up, answer, do a night's work once, and keep it when they are recreated or taken down."""

from __future__ import annotations

import time

import pytest
import requests

from tests.integration.containers.stack import Stack, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]


def test_the_page_of_the_server_answers(stack: Stack) -> None:
    answer = requests.get(stack.address(""), headers={"Accept": "text/html"}, timeout=30)
    assert answer.status_code == 200
    assert "<title>Prefect" in answer.text


@pytest.mark.parametrize("service", ["server", "worker"])
def test_the_command_works_in_every_service_without_root(stack: Stack, service: str) -> None:
    assert stack.compose("exec", "-T", service, "needledrop", "--version").startswith("needledrop ")
    assert stack.compose("exec", "-T", service, "id", "-u").strip() == "1000"


def test_only_the_worker_has_torch(stack: Stack) -> None:
    find = ["python", "-c", "import importlib.util as u; print(u.find_spec('torch') is not None)"]
    found = {service: stack.compose("exec", "-T", service, *find).strip() for service in ("server", "worker")}
    assert found == {"server": "False", "worker": "True"}


def test_the_image_holds_nothing_of_a_developer(stack: Stack) -> None:
    names = stack.compose("exec", "-T", "worker", "ls", "-A", "/app").split()
    assert [name for name in names if name.startswith(".") or name in {"tests", "benchmarks", "docs"}] == []


def test_the_data_is_there_and_cannot_be_changed(stack: Stack) -> None:
    assert "films.xml.bz2" in stack.compose("exec", "-T", "worker", "ls", "/data")
    mounts = stack.compose("exec", "-T", "worker", "grep", " /data ", "/proc/mounts")
    assert mounts.split()[3].startswith("ro")


def test_a_recreated_worker_lets_its_run_end_and_the_next_one_repeats_nothing(stack: Stack) -> None:
    interrupted = stack.start_nightly()
    wait_until(lambda: len(stack.shards()) >= 3, 300)
    started = time.monotonic()
    stack.compose("up", "-d", "--no-build", "--no-deps", "--force-recreate", "worker")
    assert time.monotonic() - started < 60
    assert stack.end_of(interrupted)["type"] != "COMPLETED"
    before = stack.shards()
    wait_until(lambda: stack.health("worker") == "healthy", 300)
    state = stack.end_of(stack.start_nightly())
    assert state["type"] == "COMPLETED", state["message"]
    after = stack.shards()
    assert len(after) > len(before) >= 3
    assert {path: after[path] for path in before} == before


def test_lake_and_runs_are_there_after_everything_was_down(stack: Stack) -> None:
    runs, shards = stack.api("flow_runs/count", flow_runs={}), stack.shards()
    stack.compose("down")
    stack.up()
    assert stack.api("flow_runs/count", flow_runs={}) >= runs > 0
    assert stack.end_of(stack.start_nightly())["type"] == "COMPLETED"
    assert stack.shards() == shards


def test_the_server_is_unhealthy_without_its_database(stack: Stack) -> None:
    stack.compose("stop", "postgres")
    check = ["exec", "-T", "server", "python", "-m", "needledrop.service.startup_and_health_checks", "health", "server"]
    wait_until(lambda: "api/ready does not answer" in stack.compose(*check, check=False), 60)
    stack.compose("start", "postgres")
    wait_until(lambda: stack.compose(*check, check=False) == "", 120)


def test_the_file_of_the_gpu_is_read_with_the_other(stack: Stack) -> None:
    files = ["-f", "docker-compose.yml", "-f", "docker-compose.gpu.yml"]
    assert "gpu-worker" in stack.compose(*files, "config", "--services").split()
