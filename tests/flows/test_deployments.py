"""Every deployment of prefect.yaml can be loaded, called with its parameters, and scheduled."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema

ROOT = Path(__file__).parents[2]
DEPLOYMENTS: list[dict[str, Any]] = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
NAMES = [f"{d['entrypoint'].rsplit('.')[-1].replace('_', '-')}/{d['name']}" for d in DEPLOYMENTS]


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=NAMES)
def test_a_deployment_loads_with_parameters_that_its_flow_accepts(deployment: dict[str, Any]) -> None:
    flow = load_flow_from_entrypoint(deployment["entrypoint"])
    flow.validate_parameters(deployment["parameters"])
    assert flow.name == deployment["entrypoint"].rsplit(".")[-1].replace("_", "-")
    assert all(field.get("description") for field in parameter_schema(flow).properties.values())


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=NAMES)
def test_a_deployment_never_overlaps_itself_and_loses_no_run(deployment: dict[str, Any]) -> None:
    assert (deployment["concurrency_limit"]["limit"], deployment["concurrency_limit"]["collision_strategy"]) == (
        1,
        "ENQUEUE",
    )


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=NAMES)
def test_a_run_outlives_five_minutes_without_a_server(deployment: dict[str, Any]) -> None:
    retries = int(deployment["work_pool"]["job_variables"]["env"]["PREFECT_CLIENT_MAX_RETRIES"])
    assert sum(2**attempt for attempt in range(1, retries + 1)) >= 300 * 1.25  # Prefect varies each wait by a fifth


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=NAMES)
def test_a_run_that_hangs_is_ended_one_day(deployment: dict[str, Any]) -> None:
    assert (load_flow_from_entrypoint(deployment["entrypoint"]).timeout_seconds or 0) >= 24 * 3600


def _in_readme(deployment: dict[str, Any]) -> tuple[str, str]:
    """Return a deployment's schedule and parameters as README.md writes them."""
    how = "by event" if deployment["name"] == "on-new-version" else "by hand"
    for schedule in deployment.get("schedules", []):
        how = f"`{schedule['cron']}`, {'on' if schedule['active'] else 'off'}"
    parameters = {**deployment["parameters"]}
    if "years" in parameters:
        assert parameters["years"] == list(range(parameters["years"][0], parameters["years"][-1] + 1))
        parameters["years"] = f"{parameters['years'][0]}-{parameters['years'][-1]}"
    texts = (f"{k}: {', '.join(v) if isinstance(v, list) else v}" for k, v in parameters.items())
    return how, f"`{', '.join(texts)}`"


def test_the_readme_lists_the_deployments_as_they_are() -> None:
    rows = re.findall(r"^\| `([\w-]+/[\w-]+)` \| (.+?) \| (.+?) \|", (ROOT / "README.md").read_text(), re.M)
    listed = {name: (schedule, parameters) for name, schedule, parameters in rows}
    assert listed == {name: _in_readme(deployment) for name, deployment in zip(NAMES, DEPLOYMENTS, strict=True)}


def test_the_nightly_needs_no_edit_at_new_year() -> None:
    nightly = next(d for d in DEPLOYMENTS if d["name"] == "nightly")["parameters"]
    assert nightly["recent_years"] == 2
    assert "years" not in nightly


def test_the_flows_keep_their_names() -> None:
    names = {load_flow_from_entrypoint(d["entrypoint"]).name for d in DEPLOYMENTS}
    pipeline = {"collect-films", "collect-soundtracks", "curate-dataset", "train-and-evaluate", "refresh"}
    assert names == pipeline | {"index-library"}


def test_flow_files_have_no_name_of_a_top_level_folder() -> None:
    root = Path(__file__).parents[2]
    folders = {path.name for path in root.iterdir() if path.is_dir()}
    assert not folders & {path.stem for path in (root / "flows").glob("*.py")}


@pytest.mark.parametrize("package", ["storage", "training"])
def test_storage_and_training_import_no_prefect(package: str) -> None:
    program = (
        f"import importlib, pkgutil, sys, {package}\n"
        f"for module in pkgutil.walk_packages({package}.__path__, '{package}.'): importlib.import_module(module.name)\n"
        "assert not {'prefect', 'flows', 'tasks'} & set(sys.modules), sorted(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


COMPOSE_FILES = ["docker-compose.yml", "docker-compose.gpu.yml"]


@pytest.mark.parametrize("name", COMPOSE_FILES)
def test_a_compose_file_is_valid(name: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", name]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", COMPOSE_FILES)
def test_both_generations_of_compose_take_a_file(name: str) -> None:
    content = yaml.safe_load((Path(__file__).parents[2] / name).read_text())
    assert "name" not in content  # docker-compose 1.29 refuses it


def test_every_worker_of_the_compose_files_finds_lake_music_and_libraries_in_the_same_place() -> None:
    root = Path(__file__).parents[2]
    files = [yaml.safe_load((root / file).read_text())["services"] for file in COMPOSE_FILES]
    workers = [services[name] for services, name in zip(files, ("worker", "gpu-worker"), strict=True)]
    shared = ("NEEDLEDROP_DATA", "NEEDLEDROP_MACHINE")
    of_worker, of_gpu = ([*one["volumes"], *map(one["environment"].get, shared)] for one in workers)
    assert of_gpu == of_worker


def test_every_variable_of_the_compose_files_is_in_the_example_of_settings() -> None:
    root = Path(__file__).parents[2]
    used = {name for file in COMPOSE_FILES for name in re.findall(r"\$\{(\w+)", (root / file).read_text())}
    named = set(re.findall(r"^(\w+)=", (root / ".env.example").read_text(), re.M))
    assert named == used | {"COMPOSE_PROJECT_NAME"}
