"""Delete data-set versions that nothing needs: neither a training run nor the lake's current state."""

from __future__ import annotations

from storage.datasets import versions as datasets
from storage.errors import InputError
from storage.lake.lake import Lake
from storage.metrics.database import connect_metrics


def referenced(lake: Lake) -> dict[str, str]:
    """Return the versions that something needs, and why: the current one, and those that a run was trained on."""
    with connect_metrics(lake) as connection:
        rows = connection.execute("SELECT dataset_version, count(*) FROM runs GROUP BY ALL").fetchall()
    reasons = {version: f"{count} training runs" for version, count in rows}
    current = datasets.current(lake)
    return reasons | ({current: "it is the current version"} if current else {})


def delete(lake: Lake, version: str) -> None:
    """Delete a version; raises `InputError` when something refers to it or it does not exist.

    The manifest is removed first, so that a half-deleted version counts as none.
    """
    datasets.read_manifest(lake, version)
    reasons = referenced(lake)
    if version in reasons:
        raise InputError(f"{version} stays, because something needs it: {reasons[version]}")
    with datasets.exclusive_access(lake, version):
        lake.remove(datasets.FOLDER, version, datasets.MANIFEST)
        lake.remove(datasets.FOLDER, version)
