"""Whom the service notifies: an Apprise address, which is a secret, in a block of the Prefect server.

The block is of Prefect's type `SlackWebhook`, which passes any address on to Apprise. A type of our own would have to
be installed where the server runs, since that is what sends notifications.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from prefect.blocks.notifications import SlackWebhook
from prefect.exceptions import ObjectNotFound

from storage.errors import InputError

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient
    from pydantic import SecretStr

BLOCK = "needledrop-notifications"


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
