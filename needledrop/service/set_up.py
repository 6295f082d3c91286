"""Give a Prefect server all that Needledrop needs: work pool, limits, deployments, automations. Safe to repeat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL

from needledrop.service.automations import apply_automations
from needledrop.service.deployments import GPU_POOL, LOCAL_POOL, register_deployments, training_pool
from needledrop.service.notifications import check_address, save_notification_block
from storage.errors import InputError
from tasks.prefect_errors import CONNECT_ERRORS
from tasks.source_slots import SOURCES, create_limit

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from pydantic import SecretStr


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


def set_up_server(*, lake: str | None = None, notify: SecretStr | None = None, gpu: bool = False) -> ServerSetUp:
    """Create or update everything on the server that PREFECT_API_URL names; return what is in place.

    `lake` replaces the lake of all deployments, and `gpu` creates the pool for training too. `notify` is the Apprise
    address to notify; without it an earlier one stays.
    Raises `InputError` where no server is named or none answers, or for an address that Apprise does not know.
    """
    if notify is not None:
        check_address(notify)
    url = PREFECT_API_URL.value()
    if not url:
        raise InputError("No Prefect server is named; start one and set PREFECT_API_URL=http://127.0.0.1:4200/api")
    try:
        with get_client(sync_client=True) as client:
            for pool in (LOCAL_POOL, GPU_POOL) if gpu else (LOCAL_POOL,):
                _create_pool(client, pool)
            for source in SOURCES:
                create_limit(source)
            of_training = training_pool({pool.name for pool in client.read_work_pools()})
            deployments = register_deployments(client, of_training, lake)
            if notify is not None:
                save_notification_block(notify)
            automations = apply_automations(client)
    except CONNECT_ERRORS as error:
        raise InputError(f"No Prefect server answers at {url}; start it, or wait until it is up") from error
    return ServerSetUp(SOURCES, deployments, automations, of_training)


def _create_pool(client: SyncPrefectClient, name: str) -> None:
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists

    try:
        client.create_work_pool(WorkPoolCreate(name=name, type="process"))
    except ObjectAlreadyExists:
        return
