"""Emit the events that automations of the server answer: a new version of the data set, a source that pauses."""

from __future__ import annotations

from prefect.events import emit_event

from storage.coordination.breakers import NEEDS_UPGRADE
from storage.errors import SourcePaused
from storage.lake.lake import Lake
from tasks.progress import run_logger

VERSION_EVENT = "needledrop.version.created"
PAUSED_EVENT = "needledrop.source.paused"


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
    emit_event(VERSION_EVENT, resource)


def announce_pause(lake: Lake, pause: SourcePaused) -> None:
    """Emit an event for the pause of a source; log as an error one that only an upgrade ends."""
    if pause.reason in NEEDS_UPGRADE:
        run_logger().error("%s; see 'What an alert means' in docs/operations.md", pause)
    resource = {
        "prefect.resource.id": f"needledrop.source.{pause.source}",
        "prefect.resource.name": f"{pause.source} of {lake.root}",
        "needledrop.lake": lake.root,
        "needledrop.reason": pause.reason,
    }
    emit_event(PAUSED_EVENT, resource)
