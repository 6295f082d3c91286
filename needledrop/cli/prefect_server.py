"""What the deployments expect to find on a Prefect server, made where it is missing.

A work pool, the global concurrency limits that cap runs side by side, and an automation that marks runs
whose process died (after `kill -9` a run would otherwise stay RUNNING for ever).
"""

from __future__ import annotations

from datetime import timedelta

import httpx
from prefect.automations import Automation
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, WorkPoolCreate
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectAlreadyExists
from prefect.settings import PREFECT_API_URL

from storage.errors import InputError

POOL = "local"
LIMITS = {"wikipedia": 1, "youtube": 1}
"""Runs that may talk to a source at once: both ask for one caller after another, not side by side."""
CRASHED_AFTER = timedelta(seconds=90)
"""Three missed heartbeats of 30 s, which docker-compose.yml and README.md set on the worker."""
AUTOMATION = "crash-zombies"


def set_up_server() -> str:
    """Make what is missing on the server that PREFECT_API_URL names; returns a sentence of what stands there.

    Raises `InputError` where no server is named or none answers.
    """
    if not PREFECT_API_URL.value():
        raise InputError("No Prefect server is named; start one and set PREFECT_API_URL=http://127.0.0.1:4200/api")
    try:
        with get_client(sync_client=True) as client:
            _create_pool(client)
            for name, slots in LIMITS.items():
                _create_limit(client, name, slots)
        _create_automation()
    except httpx.ConnectError as error:
        message = f"No Prefect server answers at {PREFECT_API_URL.value()}; start it, or wait until it is up"
        raise InputError(message) from error
    return f"Work pool {POOL}, limits {', '.join(LIMITS)} and automation {AUTOMATION} are in place"


def _create_pool(client: SyncPrefectClient) -> None:
    try:
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
    except ObjectAlreadyExists:
        return


def _create_limit(client: SyncPrefectClient, name: str, slots: int) -> None:
    if name not in {limit.name for limit in client.read_global_concurrency_limits(limit=200, offset=0)}:
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=slots))


def _create_automation() -> None:
    # Prefect types these calls as coroutines; outside an event loop they return when they are done.
    try:
        _ = Automation.read(name=AUTOMATION)
    except ValueError:  # Prefect's way to say that there is none of this name
        ended = ("Completed", "Failed", "Cancelled", "Crashed")
        trigger = EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.heartbeat", *(f"prefect.flow-run.{state}" for state in ended)},
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=CRASHED_AFTER,
        )
        message = "The process stopped sending heartbeats"
        action = ChangeFlowRunState(name="Crashed", state=StateType.CRASHED, message=message, force=False)
        _ = Automation(name=AUTOMATION, trigger=trigger, actions=[action]).create()
