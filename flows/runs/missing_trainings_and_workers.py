"""Start the deployment that trains new versions, for those whose event was lost; find work pools without a worker.

An automation of the server (automations.yaml) answers the event of a new version with a run of
`train-and-evaluate/on-new-version`, in whichever work pool that deployment has. Events may be lost, for example while
a server restarts, so a refresh with `train = deployment` also starts that deployment for every version that has no
completed run; but not for one whose training has failed several times with the same settings and code, and it says
when no worker would take the run: the scheduled runs of a work pool wait until one is online there.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateName,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import TERMINAL_STATES, FlowRun, StateType, WorkerStatus
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL

from storage.code_version import installed_version
from storage.datasets import versions as datasets
from storage.errors import InputError
from storage.lake.lake import Lake
from storage.metrics.database import connect_metrics
from storage.records.flow_runs import CRASHED
from storage.tables import tables
from storage.tables.schemas import FLOW_RUNS
from tasks.prefect_client import NO_ANSWER, impatient_client

DEPLOYMENT = "train-and-evaluate/on-new-version"
MAX_ATTEMPTS = 3
"""Failed trainings of one version, with the same settings and the same Needledrop, after which none is started."""
_OF_A_RUN = ("lake", "dataset")


@dataclass(frozen=True)
class Started:
    """The versions whose training was started, and sentences about those that will not be trained as things are."""

    trainings: list[str]
    warnings: list[str]


def check_training_deployment() -> None:
    """Raise `InputError` unless this Prefect server has the deployment that trains new versions."""
    with get_client(sync_client=True) as client:
        _training_deployment(client)


def start_missing_trainings(lake: Lake, announced: str | None) -> Started:
    """Start the deployment for each version without a completed run, unless it always fails.

    The version that is about to be announced, and those that a run of the deployment is at or waits for, are left out.
    """
    with get_client(sync_client=True) as client:
        deployment = _training_deployment(client)
        under_way = _versions_under_way(client, deployment, lake)
        missing = [v for v in _untrained(lake) if v != announced and v not in under_way]
        failures = _failures(lake, deployment.parameters)
        given_up = [version for version in missing if len(failures.get(version, ())) >= MAX_ATTEMPTS]
        trainings = [version for version in missing if version not in given_up]
        for version in trainings:
            parameters = {"lake": lake.root, "dataset": version}
            client.create_flow_run_from_deployment(deployment.id, parameters=parameters)
        waits = announced or trainings or under_way
        warnings = _without_worker(client, deployment.work_pool_name) if waits else []
    return Started(trainings, [*(_giving_up(version, failures[version]) for version in given_up), *warnings])


def _without_worker(client: SyncPrefectClient, pool: str | None) -> list[str]:
    if pool is None or has_worker(client, pool):
        return []
    remedy = how_to_start_workers(pool)
    return [f"The work pool {pool}, in which versions are trained, has no worker online, so training waits{remedy}"]


def _failures(lake: Lake, settings: dict[str, Any]) -> dict[str, list[str]]:
    """Return the errors of each version's newest trainings, back to the last that did not fail.

    Counted are those of this version of Needledrop with the settings that the deployment has now.
    """
    rows = tables.latest(lake, FLOW_RUNS).to_pylist()
    errors: dict[str, list[str]] = {}
    for row in sorted(rows, key=lambda row: row["recorded_at"]):
        parameters = json.loads(row["parameters"])
        is_same = all(parameters.get(name) == value for name, value in settings.items() if name not in _OF_A_RUN)
        if (
            row["flow"] != DEPLOYMENT.split("/", maxsplit=1)[0]
            or not is_same
            or row["code_version"] != installed_version()
        ):
            continue
        of_version = errors.setdefault(parameters["dataset"], [])
        if row["state"] in ("failed", CRASHED):
            of_version.append(json.loads(row["summary"]).get("error", ""))
        elif row["state"] == "completed":
            of_version.clear()
    return errors


def _giving_up(version: str, errors: list[str]) -> str:
    return (
        f"Training of {version} failed {len(errors)} times with these settings (the last time: {errors[-1]}); it is "
        "not started again until the data set, the settings of the deployment or Needledrop change, or you run "
        f"`needledrop train --dataset {version}`"
    )


def _training_deployment(client: SyncPrefectClient) -> DeploymentResponse:
    try:
        return client.read_deployment_by_name(DEPLOYMENT)
    except ObjectNotFound as error:
        raise InputError(
            f"This Prefect server has no deployment {DEPLOYMENT}; create it with `needledrop bootstrap`, "
            "or choose when_new, always or never for train"
        ) from error


def _untrained(lake: Lake) -> list[str]:
    with connect_metrics(lake) as connection:
        rows = connection.execute("SELECT DISTINCT dataset_version FROM runs WHERE state = 'completed'").fetchall()
    trained = {version for (version,) in rows}
    return [version for version in datasets.names(lake) if version not in trained]


def _versions_under_way(client: SyncPrefectClient, deployment: DeploymentResponse, lake: Lake) -> set[str]:
    unfinished = [state for state in StateType if state not in TERMINAL_STATES]
    runs = client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id])),
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=unfinished))),
    )
    return {
        str(run.parameters.get("dataset"))
        for run in runs
        if run.parameters.get("lake") == lake.root and not _is_left_in_another_pool(run, deployment)
    }


def _is_left_in_another_pool(run: FlowRun, deployment: DeploymentResponse) -> bool:
    """Return whether a run waits in a pool that the deployment had earlier: perhaps nobody works there any more."""
    return run.state_type is StateType.SCHEDULED and run.work_pool_name != deployment.work_pool_name


def runs_without_worker(client: SyncPrefectClient) -> list[str]:
    """Return a sentence for each work pool of which scheduled runs are late and no worker is online."""
    is_late = FlowRunFilterState(name=FlowRunFilterStateName(any_=["Late"]))
    late = client.read_flow_runs(flow_run_filter=FlowRunFilter(state=is_late))
    pools = Counter(run.work_pool_name for run in late if run.work_pool_name)
    return [
        f"{count} run{'s wait' if count > 1 else ' waits'} for a worker of the pool {pool}, which has none online"
        f"{how_to_start_workers(pool)}"
        for pool, count in sorted(pools.items())
        if not has_worker(client, pool)
    ]


def waiting_for_workers() -> list[str]:
    """Return the sentences of `runs_without_worker` for the server of `PREFECT_API_URL`; none where none answers."""
    if not PREFECT_API_URL.value():
        return []
    try:
        with impatient_client() as client:
            return runs_without_worker(client)
    except NO_ANSWER:
        return []


def has_worker(client: SyncPrefectClient, pool: str) -> bool:
    """Return whether a worker of a pool has sent the server a sign of life within the last minute or two."""
    return any(worker.status is WorkerStatus.ONLINE for worker in client.read_workers_for_work_pool(pool))


def how_to_start_workers(pool: str) -> str:
    """Return what to do about a pool without workers, to follow a sentence."""
    elsewhere = "; or run `needledrop bootstrap`, which puts training into another pool" if pool != "local" else ""
    return f"; start one with `needledrop worker --pool {pool}`{elsewhere}"
