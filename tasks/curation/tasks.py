"""The Prefect task that makes a version of the data set, and the artifacts that show what changed with it."""

from __future__ import annotations

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

from storage.datasets.diff import Change, counted
from storage.lake.lake import Lake
from tasks.curation.curate import Curation, curate
from tasks.curation.settings import CurationSettings

CHANGES_SHOWN = 200
"""Rows of the artifact that lists changes: Prefect's database stores every one of them."""


@task(cache_policy=NO_CACHE, persist_result=False)
def make_version(lake: Lake, settings: CurationSettings, run_id: str, *, charts: bool) -> Curation:
    """Curate in a single task: DuckDB uses all cores by itself."""
    return curate(lake, settings, run_id, charts=charts)


def publish_changes(curation: Curation, changes: list[Change]) -> None:
    """Create the artifacts that show a new version's changes: the first ones as a table, and their counts."""
    between = f"{curation.previous} to {curation.version}"
    create_table_artifact(
        key="dataset-changes",
        table=[vars(change) for change in changes[:CHANGES_SHOWN]],
        description=f"The first {CHANGES_SHOWN} of {len(changes)} changes from {between}",
    )
    rows = "\n".join(f"| {kind} | {change} | {count} |" for (kind, change), count in counted(changes).items())
    create_markdown_artifact(
        key="dataset-change-counts",
        markdown=f"# {between}\n\n| kind | change | count |\n| --- | --- | --- |\n{rows}\n\n"
        f"List all of them: `needledrop datasets compare {curation.previous} {curation.version} --all`\n",
        description=f"How many films, tracks and tags came, went and changed from {between}",
    )
