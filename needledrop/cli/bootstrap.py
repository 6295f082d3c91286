"""`needledrop bootstrap`: create what the deployments expect on a Prefect server.

A work pool, a global concurrency limit per source, and an automation that marks runs whose process died as
crashed (after `kill -9` a run would otherwise stay RUNNING forever).
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from storage.errors import InputError

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

POOL = "local"
LIMITS = {"wikipedia": 1, "youtube": 1}
"""Runs that may use a source at once: both sources ask for one client at a time."""
CRASHED_AFTER = timedelta(seconds=90)
"""Three missed heartbeats of 30 s, which docker-compose.yml and README.md set for the worker."""
AUTOMATION = "crash-zombies"


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("bootstrap")(bootstrap_command)


def bootstrap_command() -> None:
    """Create the work pool, the concurrency limits and the automation on a Prefect server. Safe to repeat.

    [bold]Example[/]: PREFECT_API_URL=http://127.0.0.1:4200/api needledrop bootstrap
    """
    os.environ.setdefault("DO_NOT_TRACK", "1")
    Console().print(set_up_server())


def set_up_server() -> str:
    """Create what is missing on the server that PREFECT_API_URL names; return a sentence about what exists now.

    Raises `InputError` where no server is named or none answers.
    """
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL

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
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists

    try:
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
    except ObjectAlreadyExists:
        return


def _create_limit(client: SyncPrefectClient, name: str, slots: int) -> None:
    from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate

    if name not in {limit.name for limit in client.read_global_concurrency_limits(limit=200, offset=0)}:
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=slots))


def _create_automation() -> None:
    from prefect.automations import Automation
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import EventTrigger, Posture
    from prefect.events.schemas.events import ResourceSpecification

    # Prefect types these calls as coroutines; outside an event loop they return when they are done.
    try:
        _ = Automation.read(name=AUTOMATION)
    except ValueError:  # raised by Prefect where there is none of this name
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
