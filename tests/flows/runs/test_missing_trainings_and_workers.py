"""What follows a version: nothing yet, an event, and runs of the deployment that trains it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentUpdate, WorkPoolCreate
from prefect.client.schemas.objects import State
from prefect.events.filters import EventFilter, EventNameFilter
from prefect.states import Late
from typer.testing import CliRunner

from flows.curate_dataset import curate_dataset
from flows.refresh import refresh
from flows.runs.missing_trainings_and_workers import DEPLOYMENT, Started, start_missing_trainings, waiting_for_workers
from flows.runs.version_and_pause_events import VERSION_EVENT
from flows.train_and_evaluate import train_and_evaluate
from needledrop.cli.inspect.doctor import check_workers
from needledrop.cli.main import app
from storage.coordination.leases import leased
from storage.datasets import versions as datasets
from storage.errors import InputError, LakeError
from storage.metrics.record_measurements import Run, record_run
from storage.records.flow_runs import record_flow_run
from storage.tables import tables
from storage.tables.schemas import FLOW_RUNS

if TYPE_CHECKING:
    from storage.lake.lake import Lake
    from tests.lakes import SmallLake


@pytest.fixture
def training_deployment(prefect_server: None) -> Any:
    """Register the deployment that trains new versions on the test server; nothing polls for its runs."""
    parameters = {"lake": "lake", "systems": ["All"], "preset": "small"}
    return train_and_evaluate.to_deployment(DEPLOYMENT.split("/")[1], parameters=parameters).apply()


@pytest.fixture
def pool_without_worker(training_deployment: Any) -> Iterator[str]:
    """Put the deployment that trains into a new work pool in which nobody works; return the pool's name."""
    pool = f"gpu-{uuid4().hex[:6]}"
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
        moved = DeploymentUpdate(work_pool_name=pool, work_queue_name="default")
        client.update_deployment(training_deployment, moved)
        yield pool
        client.delete_work_pool(pool)


@pytest.fixture
def untrained(small_lake: SmallLake, prefect_server: None) -> Lake:
    """A lake with a version that no run has trained on."""
    lake = small_lake.committed()
    curate_dataset(lake=lake.root, charts=False)
    return lake


def _end_of(flow: Any, **parameters: Any) -> State[Any]:
    state: State[Any] = flow(**parameters, return_state=True)
    return state


def _announced(lake: Lake) -> list[str]:
    """Return the versions of a lake that events announce, waiting for the first to arrive."""
    for _ in range(100):
        with get_client(sync_client=True) as client:
            page = client.read_events(EventFilter(event=EventNameFilter(name=[VERSION_EVENT])), limit=50)
        found = [e.resource["needledrop.version"] for e in page.events if e.resource["needledrop.lake"] == lake.root]
        if found:
            break
        time.sleep(0.1)
    return found


def _started(lake: Lake) -> list[str]:
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs()
    return [str(run.parameters["dataset"]) for run in runs if run.deployment_id and run.parameters["lake"] == lake.root]


def test_a_lake_without_films_completes_as_nothing_yet(small_lake: SmallLake, prefect_server: None) -> None:
    state = _end_of(refresh, lake=small_lake.lake.root)
    assert (state.is_completed(), state.name) == (True, "NothingYet")
    for part in ("no film before 2022 to train on", "no recording of any film", "No source of music is given"):
        assert part in str(state.message)


def test_nothing_yet_names_only_what_is_missing(small_lake: SmallLake, prefect_server: None) -> None:
    small_lake.films = {name: film for name, film in small_lake.films.items() if film["year"] >= 2022}
    small_lake.tracks = {key: row for key, row in small_lake.tracks.items() if key[0] in small_lake.films}
    state = _end_of(curate_dataset, lake=small_lake.committed().root, charts=False)
    assert state.name == "NothingYet"
    assert str(state.message).startswith("No version can be made yet: no film before 2022 to train on. The train split")


def test_a_lake_that_has_a_version_and_loses_it_fails(small_lake: SmallLake, prefect_server: None) -> None:
    lake = small_lake.committed()
    curate_dataset(lake=lake.root, charts=False)
    with pytest.raises(InputError, match="The train split is empty"):
        curate_dataset(lake=lake.root, charts=False, train_until=1950, test_from=1960)


def test_a_new_version_is_announced_once(small_lake: SmallLake, prefect_server: None) -> None:
    lake = small_lake.committed()
    version = refresh(lake=lake.root, charts=False, train="never")["dataset"]["version"]
    curate_dataset(lake=lake.root, charts=False)
    assert _announced(lake) == [version]


def test_a_version_whose_event_was_lost_is_trained_after_the_next_refresh(
    small_lake: SmallLake, training_deployment: Any
) -> None:
    lake = small_lake.committed()
    first = refresh(lake=lake.root, charts=False, train="deployment")
    assert first["started"]["trainings"] == [], "the event starts the training of a new version"
    second = refresh(lake=lake.root, charts=False, train="deployment")
    assert second["started"]["trainings"] == _started(lake) == [first["dataset"]["version"]]
    third = refresh(lake=lake.root, charts=False, train="deployment")
    assert third["started"]["trainings"] == [], "its run waits for a worker"


def test_a_version_with_a_completed_run_is_not_trained_again(small_lake: SmallLake, training_deployment: Any) -> None:
    lake = small_lake.committed()
    curate_dataset(lake=lake.root, charts=False)
    version = str(datasets.current(lake))
    record_run(lake, Run("All-0", "All", "small", 0, version, state="completed", model_folder="models/All-0"))
    assert start_missing_trainings(lake, None) == Started([], [])


def _record_trainings(lake: Lake, *states: str, preset: str = "small") -> None:
    parameters = {"lake": "lake", "systems": ["All"], "preset": preset, "dataset": str(datasets.current(lake))}
    for number, state in enumerate(states):
        summary = {"error": "No memory is left"}
        record_flow_run(lake, f"{state}-{number}", DEPLOYMENT.split("/")[0], state, parameters, summary)


@pytest.mark.parametrize("states", [("failed",) * 3, ("failed", "crashed", "cancelled", "crashed")])
def test_a_training_that_failed_three_times_is_not_started_and_the_nightly_says_why(
    untrained: Lake, training_deployment: Any, states: tuple[str, ...]
) -> None:
    _record_trainings(untrained, *states)
    state = _end_of(refresh, lake=untrained.root, charts=False, train="deployment")
    assert state.is_completed() and _started(untrained) == []
    assert f"Training of {datasets.current(untrained)} failed 3 times" in str(state.message)
    assert "(the last time: No memory is left)" in str(state.message)


@pytest.mark.parametrize(
    ("states", "preset"),
    [(("failed",) * 2, "small"), (("failed", "failed", "completed", "failed"), "small"), (("failed",) * 3, "paper")],
    ids=["twice", "with a success between", "with other settings"],
)
def test_a_training_that_failed_less_often_is_started_again(
    untrained: Lake, training_deployment: Any, states: tuple[str, ...], preset: str
) -> None:
    _record_trainings(untrained, *states, preset=preset)
    assert start_missing_trainings(untrained, None) == Started([str(datasets.current(untrained))], [])


def test_a_training_that_failed_with_another_version_of_needledrop_is_started_again(
    untrained: Lake, training_deployment: Any
) -> None:
    _record_trainings(untrained, "failed", "failed", "failed")
    rows = [{**row, "code_version": "0.0.1"} for row in tables.latest(untrained, FLOW_RUNS).to_pylist()]
    tables.append(untrained, FLOW_RUNS, rows, "older")
    assert len(start_missing_trainings(untrained, None).trainings) == 1


def test_a_pool_without_a_worker_is_named_by_the_nightly_until_one_is_online(
    untrained: Lake, pool_without_worker: str
) -> None:
    state = _end_of(refresh, lake=untrained.root, charts=False, train="deployment")
    assert state.is_completed()
    assert f"The work pool {pool_without_worker}" in str(state.message)
    assert f"`needledrop worker --pool {pool_without_worker}`" in str(state.message)
    with get_client(sync_client=True) as client:
        client.send_worker_heartbeat(pool_without_worker, "a-worker", heartbeat_interval_seconds=30)
    assert start_missing_trainings(untrained, None) == Started([], []), "its run is under way"


def test_a_run_that_waits_in_a_pool_that_the_deployment_left_is_started_in_the_present_one(
    untrained: Lake, pool_without_worker: str, training_deployment: Any
) -> None:
    assert len(start_missing_trainings(untrained, None).trainings) == 1
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name=f"{pool_without_worker}-2", type="process"))
        moved = DeploymentUpdate(work_pool_name=f"{pool_without_worker}-2", work_queue_name="default")
        client.update_deployment(training_deployment, moved)
    assert len(start_missing_trainings(untrained, None).trainings) == 1


def test_status_and_doctor_name_the_pool_of_late_runs_that_has_no_worker(
    untrained: Lake, pool_without_worker: str, training_deployment: Any
) -> None:
    with get_client(sync_client=True) as client:
        late = Late(scheduled_time=datetime.now(UTC) - timedelta(hours=1))
        client.create_flow_run_from_deployment(training_deployment, state=late)
        expected = f"1 run waits for a worker of the pool {pool_without_worker}, which has none online"
        printed = CliRunner().invoke(app, ["status", "--lake", untrained.root]).output
        assert expected in " ".join(printed.split())
        assert [check.state for check in check_workers() if expected in check.sentence] == ["warn"]
        client.send_worker_heartbeat(pool_without_worker, "a-worker", heartbeat_interval_seconds=30)
    assert not [sentence for sentence in waiting_for_workers() if pool_without_worker in sentence]


def test_a_server_without_the_training_deployment_is_bad_input(small_lake: SmallLake, prefect_server: None) -> None:
    with get_client(sync_client=True) as client:
        for deployment in client.read_deployments():
            client.delete_deployment(deployment.id)
    with pytest.raises(InputError, match="needledrop bootstrap"):
        refresh(lake=small_lake.lake.root, train="deployment")


def test_a_nightly_during_a_backfill_is_skipped_and_a_command_is_refused(
    small_lake: SmallLake, prefect_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with leased(small_lake.lake, "refresh"):
        with pytest.raises(LakeError, match="wait until it ends"):
            refresh(lake=small_lake.lake.root)
        monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "of-the-nightly")
        state = _end_of(refresh, lake=small_lake.lake.root)
    assert (state.is_completed(), state.name) == (True, "Skipped")
    assert "Another refresh of" in str(state.message)
