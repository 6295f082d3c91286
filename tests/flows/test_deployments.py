"""Every deployment of prefect.yaml can be loaded, called with its parameters, and scheduled."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema

DEPLOYMENTS: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parents[2] / "prefect.yaml").read_text())[
    "deployments"
]
NAMES = [f"{d['entrypoint'].rsplit(':')[-1]}/{d['name']}" for d in DEPLOYMENTS]


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=NAMES)
def test_a_deployment_loads_with_parameters_that_its_flow_accepts(deployment: dict[str, Any]) -> None:
    flow = load_flow_from_entrypoint(deployment["entrypoint"])
    flow.validate_parameters(deployment["parameters"])
    assert all(field.get("description") for field in parameter_schema(flow).properties.values())


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=NAMES)
def test_a_deployment_never_overlaps_itself(deployment: dict[str, Any]) -> None:
    assert deployment["concurrency_limit"] == {"limit": 1, "collision_strategy": "CANCEL_NEW"}


def test_the_five_flows_keep_their_names() -> None:
    names = {load_flow_from_entrypoint(d["entrypoint"]).name for d in DEPLOYMENTS}
    assert names == {"collect-films", "collect-soundtracks", "curate-dataset", "train-and-evaluate", "refresh"}


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


def test_the_compose_file_is_valid() -> None:
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        "docker-compose.yml",
    ]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
