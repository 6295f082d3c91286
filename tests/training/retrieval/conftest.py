"""A lake with a small trained run that reads plots, and its retriever."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from storage.lake.lake import Lake
from storage.tables.tables import open_tables
from training.loop.devices_and_torchrun import Machine
from training.presets import chosen_settings
from training.retrieval.choose_run import choose_run
from training.retrieval.search_engines import Retriever
from training.systems import ALL_PARTS, SYSTEMS
from training.training_runs import load_data, plan_jobs, run_experiment


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, write_into: Callable[..., str], machine: Machine) -> Lake:
    lake = open_tables(str(tmp_path_factory.mktemp("trained") / "lake"))
    data = load_data(lake, write_into(lake))
    for job in plan_jobs(data.version, [SYSTEMS["Plo"]], chosen_settings("small", epochs=1), [0]):
        run_experiment(lake, data, job, machine)
    return lake


@pytest.fixture(scope="module")
def retriever(trained: Lake, machine: Machine) -> Retriever:
    return Retriever(trained, choose_run(trained, ALL_PARTS), machine)
