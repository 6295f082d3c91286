"""The automations of automations.yaml, created on a server or brought up to date, and the block of whom they notify.

Whom to notify is an Apprise address, which is a secret. Its block is of Prefect's type `SlackWebhook`, which passes any
address on to Apprise. A type of our own would have to be installed where the server runs, since that is what sends
notifications.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from prefect.blocks.notifications import SlackWebhook
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectNotFound

from storage.errors import InputError

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient
    from pydantic import SecretStr

FILE = Path(__file__).with_name("automations.yaml")
BLOCK = "needledrop-notifications"


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
    """Create an automation, or update it if it differs: an update forgets which runs it was watching."""
    existing = client.read_automations_by_name(automation.name)
    if not existing:
        client.create_automation(automation)
        return
    automation.enabled = existing[0].enabled
    if definition_of(existing[0]) != definition_of(automation):
        client.update_automation(existing[0].id, automation)


def definition_of(automation: AutomationCore) -> dict[str, Any]:
    """Return what defines an automation, without the ids that the server gave it; as JSON, its sets have any order."""
    return automation.model_dump(include=set(AutomationCore.model_fields))


def check_address(url: SecretStr) -> None:
    """Raise `InputError` unless Apprise knows this kind of address; no message shows it, as it holds a secret."""
    from apprise import Apprise

    with _apprise_silent():
        is_known = Apprise().add(url.get_secret_value())
    if not is_known:
        raise InputError(
            "Apprise does not know the address to notify, which is not shown here; "
            "give one like mailto://user:password@example.org or slack://TOKEN (see Apprise's list of services)"
        )


def save_notification_block(url: SecretStr) -> None:
    """Store the address in its block, in place of an earlier one."""
    with _apprise_silent():
        SlackWebhook(url=url).save(BLOCK, overwrite=True)


def find_notification_block(client: SyncPrefectClient) -> UUID | None:
    """Return the id of the block, or None if no address was given to this server."""
    slug = SlackWebhook.get_block_type_slug()
    try:
        return client.read_block_document_by_name(BLOCK, slug, include_secrets=False).id
    except ObjectNotFound:
        return None


@contextmanager
def _apprise_silent() -> Iterator[None]:
    """Keep Apprise from logging an address that it cannot read."""
    logger = logging.getLogger("apprise")
    was_disabled, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = was_disabled
