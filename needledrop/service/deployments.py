"""Give a Prefect server all that Needledrop needs: work pools, limits, deployments, automations. Safe to repeat.

The deployments of prefect.yaml are registered by Prefect's own `prefect deploy`. Two things are filled in, since they
differ per server: the work pool of training, and a lake for all deployments.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL

from flows import parameters
from flows.runs.missing_trainings_and_workers import has_worker
from needledrop.service.automations import apply_automations, check_address, save_notification_block
from storage.errors import InputError, NeedledropError
from tasks import options_and_defaults as options
from tasks.prefect_client import server_named_in_errors
from tasks.source_concurrency_limits import SOURCES, create_limit

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from pydantic import SecretStr

FILE = Path(__file__).with_name("prefect.yaml")
LOCAL_POOL = "local"
GPU_POOL = "gpu"
TRAINING_TAG = "training"
"""Deployments with this tag run in the pool `gpu` where a server has one with a worker."""


@dataclass(frozen=True)
class ServerSetUp:
    """What is in place on a server, by name."""

    limits: tuple[str, ...]
    deployments: tuple[str, ...]
    automations: tuple[str, ...]
    training_pool: str

    def __str__(self) -> str:
        """Return it as two sentences."""
        return (
            f"Work pool {LOCAL_POOL}, limits {', '.join(self.limits)}, {len(self.deployments)} deployments and "
            f"automations {', '.join(self.automations)} are in place. Training runs in the pool {self.training_pool}."
        )


def set_up_server(
    *, lake: str | None = None, notify: SecretStr | None = None, gpu: bool = False, serves_all: bool = False
) -> ServerSetUp:
    """Create or update everything on the server that PREFECT_API_URL names; return what is in place.

    `lake` replaces the lake of all deployments, and `gpu` creates the pool for training too and uses it, whether a
    worker is there yet or not. `serves_all` says that every pool is about to get a worker. `notify` is the Apprise
    address to notify; without it an earlier one stays.
    Raises `InputError` where no server is named or none answers, or for an address that Apprise does not know.
    """
    if notify is not None:
        check_address(notify)
    with _named_server() as client:
        for pool in (LOCAL_POOL, GPU_POOL) if gpu else (LOCAL_POOL,):
            _create_pool(client, pool)
        for source in SOURCES:
            create_limit(source)
        of_training = GPU_POOL if gpu else training_pool(client, serves_all=serves_all)
        deployments = register_deployments(client, of_training, lake)
        if notify is not None:
            save_notification_block(notify)
        automations = apply_automations(client)
    return ServerSetUp(SOURCES, deployments, automations, of_training)


@contextmanager
def _named_server() -> Iterator[SyncPrefectClient]:
    """Yield a client of the server of PREFECT_API_URL.

    Raises `InputError` where none is named, none answers, or the log-in is refused.
    """
    if not PREFECT_API_URL.value():  # Prefect would start a server of its own, which has no work
        raise InputError("No Prefect server is named; start one and set PREFECT_API_URL=http://127.0.0.1:4200/api")
    with server_named_in_errors(), get_client(sync_client=True) as client:
        yield client


def check_pool(name: str) -> None:
    """Raise `InputError` unless the server has this work pool: Prefect's worker would make one that gets no runs."""
    with _named_server() as client:
        pools = sorted(pool.name for pool in client.read_work_pools())
    if name not in pools:
        made_by = {
            LOCAL_POOL: "; `needledrop bootstrap` creates it",
            GPU_POOL: "; `needledrop bootstrap --gpu` creates it",
        }
        raise InputError(
            f"There is no work pool {name}; there are: {', '.join(pools) or 'none'}{made_by.get(name, '')}"
        )


def _create_pool(client: SyncPrefectClient, name: str) -> None:
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists

    try:
        client.create_work_pool(WorkPoolCreate(name=name, type="process"))
    except ObjectAlreadyExists:
        return


def training_pool(client: SyncPrefectClient, *, serves_all: bool = False) -> str:
    """Return the work pool for deployments that train: that of the GPU only where somebody works in it."""
    if GPU_POOL not in {pool.name for pool in client.read_work_pools()}:
        return LOCAL_POOL
    return GPU_POOL if serves_all or has_worker(client, GPU_POOL) else LOCAL_POOL


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
