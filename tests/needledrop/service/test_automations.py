"""The automations of automations.yaml, judged by Prefect's own server code, without a server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import yaml
from prefect.events.schemas.automations import Automation, AutomationCore
from prefect.server.events.actions import RunDeployment
from prefect.server.events.schemas.automations import EventTrigger
from prefect.server.events.schemas.events import ReceivedEvent, Resource

from flows.runs.missing_trainings_and_workers import DEPLOYMENT
from flows.runs.version_and_pause_events import VERSION_EVENT
from needledrop.service.automations import FILE, definition_of
from needledrop.service.deployments import filled_in
from needledrop.service.worker import SETTINGS

AUTOMATIONS: dict[str, dict[str, Any]] = {
    automation["name"]: automation for automation in yaml.safe_load(FILE.read_text())["automations"]
}


def trigger_of(name: str) -> EventTrigger:
    return EventTrigger.model_validate(AUTOMATIONS[name]["trigger"])


@pytest.mark.parametrize(
    "end", ["Completed", "Failed", "Crashed", "Cancelled", "TimedOut", "Paused", "NothingYet", "Skipped", "AnyName"]
)
def test_a_run_that_ended_under_any_name_is_not_called_dead(end: str) -> None:
    assert trigger_of("crash-zombies").expects(f"prefect.flow-run.{end}")


def test_a_run_is_dead_only_after_a_heartbeat() -> None:
    trigger = trigger_of("crash-zombies")
    assert trigger.starts_after("prefect.flow-run.heartbeat")
    assert not trigger.starts_after("prefect.flow-run.Completed")


def test_no_run_is_called_dead_by_a_server_that_was_away_for_five_minutes() -> None:
    heartbeat = timedelta(seconds=int(SETTINGS["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"]))
    assert trigger_of("crash-zombies").within >= timedelta(minutes=5) + 3 * heartbeat


@pytest.mark.parametrize("end", ["Failed", "TimedOut", "Crashed", "Paused"])
def test_failures_and_pauses_notify(end: str) -> None:
    assert trigger_of("notify-of-failures").expects(f"prefect.flow-run.{end}")


@pytest.mark.parametrize("end", ["Completed", "NothingYet", "Cancelled", "AwaitingRetry"])
def test_other_ends_do_not_notify(end: str) -> None:
    assert not trigger_of("notify-of-failures").expects(f"prefect.flow-run.{end}")


def test_a_new_version_starts_the_deployment_that_trains() -> None:
    [action] = AUTOMATIONS["train-new-versions"]["actions"]
    assert trigger_of("train-new-versions").expects(VERSION_EVENT)
    assert action["deployment"] == DEPLOYMENT
    assert RunDeployment(deployment_id=uuid4(), parameters=action["parameters"])
    flow, name = DEPLOYMENT.split("/")
    named = [d for d in filled_in("local", None, "/home")["deployments"] if d["name"] == name]
    assert [d["entrypoint"].rsplit(".")[-1].replace("_", "-") for d in named] == [flow]


@pytest.mark.parametrize(("training", "starts"), [("wanted", True), ("not wanted", False)])
def test_a_version_of_a_refresh_that_never_trains_starts_nothing(training: str, starts: bool) -> None:
    labels = {"prefect.resource.id": "needledrop.version.lake.v1", "needledrop.training": training}
    now = datetime.now(UTC)
    event = ReceivedEvent(event=VERSION_EVENT, resource=Resource(labels), id=uuid4(), occurred=now, received=now)
    assert trigger_of("train-new-versions").covers(event) == starts


@pytest.mark.parametrize("name", AUTOMATIONS)
def test_an_automation_that_a_server_returns_in_another_order_is_the_same(name: str) -> None:
    sent = AutomationCore.model_validate({**AUTOMATIONS[name], "actions": [{"type": "do-nothing"}]})
    row = sent.model_dump(mode="json")
    trigger = {**row["trigger"], "expect": row["trigger"]["expect"][::-1], "id": str(uuid4())}
    returned = Automation.model_validate({**row, "trigger": trigger, "id": str(uuid4())})
    assert definition_of(returned) == definition_of(sent)
    assert definition_of(returned) != definition_of(sent.model_copy(update={"description": "another"}))
