"""The automations of automations.yaml, created on a server or brought up to date."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from prefect.events.schemas.automations import AutomationCore

from needledrop.service.notifications import find_notification_block

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

FILE = Path(__file__).with_name("automations.yaml")


def apply_automations(client: SyncPrefectClient) -> tuple[str, ...]:
    """Create the automations that the server lacks and update the others; return the names of all that are in place.

    Those that notify are left out where no address was ever given. One that an operator switched off stays off.
    """
    block = find_notification_block(client)
    applied = []
    for definition in yaml.safe_load(FILE.read_text(encoding="utf-8"))["automations"]:
        notifies = any(action["type"] == "send-notification" for action in definition["actions"])
        if notifies and block is None:
            continue
        actions = [_with_ids(client, action, block) for action in definition["actions"]]
        _apply(client, AutomationCore.model_validate({**definition, "actions": actions}))
        applied.append(definition["name"])
    return tuple(applied)


def _with_ids(client: SyncPrefectClient, action: dict[str, Any], block: Any) -> dict[str, Any]:
    """Return an action with this server's ids in place of names."""
    if "deployment" in action:
        deployment = client.read_deployment_by_name(action["deployment"])
        return {**_without(action, "deployment"), "source": "selected", "deployment_id": deployment.id}
    if "block" in action:
        return {**_without(action, "block"), "block_document_id": block}
    return action


def _without(action: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in action.items() if key != name}


def _apply(client: SyncPrefectClient, automation: AutomationCore) -> None:
    existing = client.read_automations_by_name(automation.name)
    if existing:
        automation.enabled = existing[0].enabled
        client.update_automation(existing[0].id, automation)
    else:
        client.create_automation(automation)
