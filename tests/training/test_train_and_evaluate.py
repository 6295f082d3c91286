"""The flow over systems and seeds: finished runs are skipped, and a failed run does not stop the others."""

import gc
import logging
from collections.abc import Callable

import pytest
import torch

from flows.train_and_evaluate import train_and_evaluate
from storage.coordination.leases import leased
from storage.errors import InputError, LakeError, NeedledropError
from storage.lake.lake import Lake
from storage.metrics.database import connect_metrics
from storage.metrics.run_files import run_lease
from storage.tables import tables
from storage.tables.schemas import FLOW_RUNS
from training.model.retrieval_model import Retriever
from training.presets import chosen_settings
from training.systems import SYSTEMS
from training.training_runs import plan_jobs


def test_every_system_and_seed_is_trained_once_and_repeated_only_on_request(
    prefect_server: None, lake: Lake, write_version: Callable[..., str]
) -> None:
    parameters = {"lake": lake.root, "dataset": write_version(films=3), "systems": ["Ta"], "seeds": 2, "epochs": 1}
    first, second = train_and_evaluate(**parameters), train_and_evaluate(**parameters)
    assert (first["trained"], second["trained"], second["already_done"]) == (2, 0, 2)
    repeated = train_and_evaluate(**{**parameters, "seeds": 1, "again": True})
    assert repeated["runs"] == [first["runs"][0] + "-2"]
    with connect_metrics(lake) as connection:
        assert connection.execute(
            "SELECT count(*) FROM runs WHERE state = 'completed' AND source = 'trained'"
        ).fetchall() == [(3,)]


def test_a_missing_comparison_is_made_by_the_next_run(
    prefect_server: None, lake: Lake, write_version: Callable[..., str]
) -> None:
    parameters = {"lake": lake.root, "dataset": write_version(films=3), "systems": ["Ta"], "epochs": 1}
    train_and_evaluate(**parameters)
    with connect_metrics(lake, read_only=False) as connection:
        connection.execute("DELETE FROM intervals")
    assert train_and_evaluate(**parameters)["trained"] == 0
    with connect_metrics(lake) as connection:
        assert connection.execute("SELECT count(*) > 0 FROM intervals WHERE system = 'Ta'").fetchall() == [(True,)]


def test_a_run_that_another_process_is_training_is_left_to_it_and_the_next_one_is_trained(
    prefect_server: None, lake: Lake, write_version: Callable[..., str]
) -> None:
    parameters = {"lake": lake.root, "dataset": write_version(films=3), "systems": ["Ta"], "seeds": 2, "epochs": 1}
    first, _ = plan_jobs(str(parameters["dataset"]), [SYSTEMS["Ta"]], chosen_settings("small", epochs=1), range(2))
    with leased(lake, run_lease(first.run_id)):
        state = train_and_evaluate(**parameters, return_state=True)
    done = state.result()
    assert (state.name, done["trained"], done["failed"]) == ("Completed", 1, 0)
    assert state.message == f"Another process is training {first.run_id}"
    assert train_and_evaluate(**parameters)["trained"] == 1


def test_a_deployment_whose_work_another_process_does_is_skipped_and_a_command_is_refused(
    prefect_server: None, lake: Lake, write_version: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    version = write_version(films=3)
    [job] = plan_jobs(version, [SYSTEMS["Ta"]], chosen_settings("small", epochs=1), range(1))
    with leased(lake, run_lease(job.run_id)):
        with pytest.raises(LakeError, match="wait until it ends"):
            train_and_evaluate(lake=lake.root, dataset=version, systems=["Ta"], epochs=1)
        monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "of-the-automation")
        state = train_and_evaluate(lake=lake.root, dataset=version, systems=["Ta"], epochs=1, return_state=True)
    assert (state.is_completed(), state.name) == (True, "Skipped")
    newest = max(tables.latest(lake, FLOW_RUNS).to_pylist(), key=lambda row: row["recorded_at"])
    assert newest["state"] == "skipped"


def test_a_failed_system_does_not_stop_the_others(
    prefect_server: None, lake: Lake, write_version: Callable[..., str]
) -> None:
    version = write_version(films=3, change=lambda row: row.update(thumbnail=b"no image"))
    done = train_and_evaluate(lake=lake.root, dataset=version, systems=["Im", "Ta"], epochs=1)
    assert (done["trained"], done["failed"], len(done["runs"])) == (1, 1, 1)
    with pytest.raises(NeedledropError, match="1 of 2 runs failed"):  # a sentence, also where the other is done
        train_and_evaluate(lake=lake.root, dataset=version, systems=["Im", "Ta"], epochs=1)
    with connect_metrics(lake) as connection:
        states = connection.execute(
            "SELECT system, state FROM runs WHERE source = 'trained' ORDER BY system"
        ).fetchall()
    assert states == [("Im", "failed"), ("Ta", "completed")]


def _models_in_memory() -> int:
    gc.collect()
    return sum(type(each) is Retriever for each in gc.get_objects())


def test_a_failed_system_leaves_no_model_in_memory(
    prefect_server: None, lake: Lake, write_version: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    version = write_version(films=3, change=lambda row: row.update(thumbnail=b"no image"))
    before, in_memory = _models_in_memory(), list[int]()

    def count_models(module: torch.nn.Module, _args: object) -> None:
        if type(module) is Retriever:
            in_memory.append(_models_in_memory() - before)

    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)  # pytest would keep the logged traceback
    with torch.nn.modules.module.register_module_forward_pre_hook(count_models):
        train_and_evaluate(lake=lake.root, dataset=version, systems=["Im", "Ta"], epochs=1)
    assert set(in_memory) == {1}  # while Ta trains, Im's model is gone


def test_the_first_error_is_raised_where_every_system_fails(
    prefect_server: None, lake: Lake, write_version: Callable[..., str]
) -> None:
    version = write_version(films=3, change=lambda row: row.update(thumbnail=b"no image"))
    with pytest.raises(InputError, match="is not an image"):
        train_and_evaluate(lake=lake.root, dataset=version, systems=["Im", "ImTa"], epochs=1)
