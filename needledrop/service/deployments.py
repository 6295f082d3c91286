"""The deployments of prefect.yaml, registered by Prefect's own `prefect deploy`.

Two things are filled in, since they differ per server: the work pool of training, and a lake for all deployments.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml
from prefect.settings import PREFECT_API_URL

from storage.errors import NeedledropError

FILE = Path(__file__).with_name("prefect.yaml")
LOCAL_POOL = "local"
GPU_POOL = "gpu"
TRAINING_TAG = "training"
"""Deployments with this tag run in the pool `gpu` where a server has one."""


def training_pool(pools: Collection[str]) -> str:
    """Return the work pool for deployments that train, of those that a server has."""
    return GPU_POOL if GPU_POOL in pools else LOCAL_POOL


def register_deployments(pool_of_training: str, lake: str | None = None) -> tuple[str, ...]:
    """Create or update every deployment; return their names as FLOW/NAME.

    Raises `NeedledropError` with Prefect's own words where it refuses.
    """
    content = filled_in(pool_of_training, lake)
    server = {"PREFECT_API_URL": str(PREFECT_API_URL.value())}
    environment = {"NEEDLEDROP_HOME": str(Path.cwd()), **os.environ, **server}
    with tempfile.TemporaryDirectory(prefix="needledrop-") as folder:
        file = Path(folder, FILE.name)
        file.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
        command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(file)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise NeedledropError(f"Prefect refused the deployments of {FILE}:\n{(done.stdout + done.stderr).strip()}")
    return tuple(f"{_flow_name(deployment)}/{deployment['name']}" for deployment in content["deployments"])


def filled_in(pool_of_training: str, lake: str | None) -> dict[str, Any]:
    """Return the content of prefect.yaml with the pool of the deployments that train, and with this lake if any."""
    content: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    for deployment in content["deployments"]:
        if TRAINING_TAG in deployment["tags"]:
            deployment["work_pool"] = {**deployment["work_pool"], "name": pool_of_training}
        if lake:
            deployment["parameters"] = {**deployment["parameters"], "lake": lake}
    return content


def _flow_name(deployment: dict[str, Any]) -> str:
    """Return the name of a deployment's flow: that of its function, with hyphens."""
    return str(deployment["entrypoint"].rsplit(".", 1)[1].replace("_", "-"))
