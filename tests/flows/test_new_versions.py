"""What follows a version: nothing yet, an event, and runs of the deployment that trains it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.events.filters import EventFilter, EventNameFilter

from flows.curate_dataset import curate_dataset
from flows.new_versions import DEPLOYMENT, EVENT, start_missing_trainings
from flows.refresh import refresh
from flows.train_and_evaluate import train_and_evaluate
from storage.coordination.leases import leased
from storage.datasets import versions as datasets
from storage.errors import InputError, LakeError
from storage.metrics.records import Run, record_run

if TYPE_CHECKING:
    from storage.lake.lake import Lake
    from tests.lakes import SmallLake


@pytest.fixture
def training_deployment(prefect_server: None) -> Any:
    """Register the deployment that trains new versions on the test server; nothing polls for its runs."""
    return train_and_evaluate.to_deployment(DEPLOYMENT.split("/")[1]).apply()


def _end_of(flow: Any, **parameters: Any) -> State[Any]:
    state: State[Any] = flow(**parameters, return_state=True)
    return state


def _announced(lake: Lake) -> list[str]:
    """Return the versions of a lake that events announce, waiting for the first to arrive."""
    for _ in range(100):
        with get_client(sync_client=True) as client:
            page = client.read_events(EventFilter(event=EventNameFilter(name=[EVENT])), limit=50)
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
    assert start_missing_trainings(lake, None) == []


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
