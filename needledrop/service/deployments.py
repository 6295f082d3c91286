"""The deployments of prefect.yaml, registered by Prefect's own `prefect deploy`.

Two things are filled in, since they differ per server: the work pool of training, and a lake for all deployments.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL

from flows import parameters
from storage.errors import NeedledropError
from tasks import options

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

FILE = Path(__file__).with_name("prefect.yaml")
LOCAL_POOL = "local"
GPU_POOL = "gpu"
TRAINING_TAG = "training"
"""Deployments with this tag run in the pool `gpu` where a server has one."""


def training_pool(pools: Collection[str]) -> str:
    """Return the work pool for deployments that train, of those that a server has."""
    return GPU_POOL if GPU_POOL in pools else LOCAL_POOL


def register_deployments(client: SyncPrefectClient, pool_of_training: str, lake: str | None = None) -> tuple[str, ...]:
    """Create every deployment, and update those of which our definition changed; return the names of all.

    What an operator edits on the server's pages (parameters, schedules) stays until then.
    Raises `NeedledropError` with Prefect's own words where it refuses.
    """
    home = os.environ.get("NEEDLEDROP_HOME", str(Path.cwd()))
    content = filled_in(pool_of_training, lake, home)
    names = tuple(map(_full_name, content["deployments"]))
    changed = [d for d in content["deployments"] if _registered_version(client, _full_name(d)) != d["version"]]
    if changed:
        _deploy({**content, "deployments": changed}, home)
    return names


def filled_in(pool_of_training: str, lake: str | None, home: str) -> dict[str, Any]:
    """Return the content of prefect.yaml with the pool of the deployments that train, and with this lake if any.

    The version of each deployment is a digest of all that defines it, also of the parameters that its form shows.
    """
    content: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    forms = "".join(Path(str(module.__file__)).read_text(encoding="utf-8") for module in (options, parameters))
    for deployment in content["deployments"]:
        if TRAINING_TAG in deployment["tags"]:
            deployment["work_pool"] = {**deployment["work_pool"], "name": pool_of_training}
        if lake:
            deployment["parameters"] = {**deployment["parameters"], "lake": lake}
        defined_by = json.dumps([deployment, content["pull"], home, forms], sort_keys=True)
        deployment["version"] = hashlib.sha256(defined_by.encode()).hexdigest()[:12]
    return content


def _deploy(content: dict[str, Any], home: str) -> None:
    server = {"PREFECT_API_URL": str(PREFECT_API_URL.value()), "NEEDLEDROP_HOME": home}
    with tempfile.TemporaryDirectory(prefix="needledrop-") as folder:
        file = Path(folder, FILE.name)
        file.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
        command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(file)]
        environment = {**os.environ, **server}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise NeedledropError(f"Prefect refused the deployments of {FILE}:\n{(done.stdout + done.stderr).strip()}")


def _registered_version(client: SyncPrefectClient, name: str) -> str | None:
    try:
        return client.read_deployment_by_name(name).version
    except ObjectNotFound:
        return None


def _full_name(deployment: dict[str, Any]) -> str:
    """Return FLOW/NAME of a deployment; a flow has the name of its function, with hyphens."""
    flow = str(deployment["entrypoint"].rsplit(".", 1)[1].replace("_", "-"))
    return f"{flow}/{deployment['name']}"
