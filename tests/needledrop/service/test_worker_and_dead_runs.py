"""A worker that is stopped lets its flow runs end first, and reports those that ended while the server was away."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Running

from flows.curate_dataset import curate_dataset
from needledrop.service import worker_and_dead_runs
from needledrop.service.worker_and_dead_runs import end_forgotten_runs, flow_runs
from storage.lake.lake import Lake
from storage.records.flow_runs import RUNNING, record_flow_run, shown_alive
from storage.tables.tables import open_tables


def test_only_the_processes_of_flow_runs_are_found() -> None:
    sleep = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"]
    marked = {**os.environ, "PREFECT__FLOW_RUN_ID": "00000000"}
    with (
        subprocess.Popen(sleep, env=marked, stdout=subprocess.PIPE) as run,
        subprocess.Popen(sleep, stdout=subprocess.PIPE) as helper,
    ):
        for process in (run, helper):
            assert process.stdout
            process.stdout.readline()  # it has started, with its own environment
        assert flow_runs(os.getpid()) == {run.pid}
        run.kill()
        run.wait()
        assert flow_runs(os.getpid()) == set()
        helper.kill()


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """The lake `lake` of a service whose relative paths are below another folder than the present one."""
    monkeypatch.setenv("NEEDLEDROP_HOME", str(tmp_path))
    return open_tables(str(tmp_path / "lake"))


@contextmanager
def _running(**parameters: Any) -> Iterator[str]:
    """Yield the id of a deployment's run that the server calls running."""
    deployment = curate_dataset.to_deployment("a-test").apply()  # type: ignore[union-attr]
    with get_client(sync_client=True) as client:
        run = client.create_flow_run_from_deployment(deployment, parameters=parameters, state=Running())
        yield str(run.id)
        client.delete_flow_run(run.id)


def _state(run_id: str) -> str | None:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(UUID(run_id)).state_name


@pytest.mark.parametrize("recorded", [RUNNING, "cancelled"])
def test_a_run_of_whose_end_only_its_lake_knows_is_called_crashed(
    recorded: str, lake: Lake, prefect_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _running(lake="lake") as run_id:
        record_flow_run(lake, run_id, "curate-dataset", recorded, {})
        assert end_forgotten_runs() == []  # it may be about to say so itself
        monkeypatch.setattr(worker_and_dead_runs, "FORGOTTEN_AFTER", timedelta())
        assert len(end_forgotten_runs()) == 1
        assert _state(run_id) == "Crashed"
    assert end_forgotten_runs() == []


def test_a_run_that_lives_or_is_not_of_this_lake_is_left_alone(
    lake: Lake, prefect_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_and_dead_runs, "FORGOTTEN_AFTER", timedelta())
    with _running(lake="lake") as living, _running(lake="lake") as unknown, _running(lake="elsewhere") as elsewhere:
        record_flow_run(lake, living, "curate-dataset", RUNNING, {})
        with shown_alive(lake, living):
            assert end_forgotten_runs() == []
        assert {_state(run) for run in (living, unknown, elsewhere)} == {"Running"}


@pytest.mark.parametrize("recorded", [RUNNING, "failed"])
def test_a_run_that_was_started_again_is_judged_by_its_new_start(
    recorded: str, lake: Lake, prefect_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_and_dead_runs, "FORGOTTEN_AFTER", timedelta(seconds=2))
    with _running(lake="lake") as run_id:
        record_flow_run(lake, run_id, "curate-dataset", recorded, {})
        time.sleep(2)
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(UUID(run_id), Running(), force=True)
        assert end_forgotten_runs() == []
        time.sleep(2)
        with shown_alive(lake, run_id):
            assert end_forgotten_runs() == []
        assert len(end_forgotten_runs()) == 1


def test_a_lake_that_cannot_be_read_here_does_not_keep_the_others_from_being_judged(
    lake: Lake, prefect_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_and_dead_runs, "FORGOTTEN_AFTER", timedelta())
    with _running(lake="gs://a-bucket/lake"), _running(lake="nonsense://lake"), _running(lake="lake") as run_id:
        record_flow_run(lake, run_id, "curate-dataset", RUNNING, {})
        assert len(end_forgotten_runs()) == 1


def test_without_a_server_nothing_is_judged(lake: Lake, prefect_server: None) -> None:
    with _running(lake="lake"), temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        assert end_forgotten_runs() == []
