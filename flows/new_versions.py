"""What follows a new version of the data set: an event, and the deployment that trains it.

An automation of the server (automations.yaml) answers the event with a run of `train-and-evaluate/on-new-version`, in
whichever work pool that deployment has. Events may be lost, for example while a server restarts, so a refresh with
`train = deployment` also starts that deployment for every version that has no completed run.
"""

from __future__ import annotations

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import TERMINAL_STATES, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.events import emit_event
from prefect.exceptions import ObjectNotFound

from storage.datasets import versions as datasets
from storage.errors import InputError
from storage.lake.lake import Lake
from storage.metrics.database import connect_metrics

EVENT = "needledrop.version.created"
DEPLOYMENT = "train-and-evaluate/on-new-version"


def announce_version(lake: Lake, version: str, *, is_trained: bool = True) -> None:
    """Emit the event of a new version; its resource names lake and version, for automations to pass on.

    `is_trained` says whether the version is to be trained: not after a refresh with `train: never`.
    """
    resource = {
        "prefect.resource.id": f"needledrop.version.{lake.root}.{version}",
        "prefect.resource.name": f"{version} of {lake.root}",
        "needledrop.lake": lake.root,
        "needledrop.version": version,
        "needledrop.training": "wanted" if is_trained else "not wanted",
    }
    emit_event(EVENT, resource)


def check_training_deployment() -> None:
    """Raise `InputError` unless this Prefect server has the deployment that trains new versions."""
    with get_client(sync_client=True) as client:
        _training_deployment(client)


def start_missing_trainings(lake: Lake, announced: str | None) -> list[str]:
    """Start the deployment for each version without a completed run; return these versions.

    The version that is about to be announced, and those that a run of the deployment is at or waits for, are left out.
    """
    with get_client(sync_client=True) as client:
        deployment = _training_deployment(client)
        under_way = _versions_under_way(client, deployment, lake)
        missing = [v for v in _untrained(lake) if v != announced and v not in under_way]
        for version in missing:
            parameters = {"lake": lake.root, "dataset": version}
            client.create_flow_run_from_deployment(deployment.id, parameters=parameters)
    return missing


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
    return {str(run.parameters.get("dataset")) for run in runs if run.parameters.get("lake") == lake.root}
