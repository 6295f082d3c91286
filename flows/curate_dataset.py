"""The flow `curate-dataset`: a version of the data set from what the lake holds, and what changed with it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.parameters import CurateDatasetParameters, takes
from flows.runs.start_and_end import names_its_leases, recorded, run_name, without_lake
from flows.runs.version_and_pause_events import announce_version
from storage.datasets import versions as datasets
from storage.datasets.versions import Change, compare, counted
from storage.lake.lake import Lake
from storage.tables.tables import open_existing
from tasks.curation.curate import Curation, curate
from tasks.curation.exclusions_and_splits import CurationSettings, NoVersionError, what_is_missing
from tasks.progress import artifact_key

NAME = "curate-dataset"
CHANGES_SHOWN = 200
"""Rows of the artifact that lists changes: Prefect's database stores every one of them."""
COUNTS = ("films", "tracks", "segments", "hours", "tags")


@dataclass(frozen=True)
class NothingYet:
    """No version of a lake can be made so far: what it lacks, as a message."""

    message: str


@flow(name=NAME, flow_run_name=run_name, timeout_seconds=24 * 3600)
@takes(CurateDatasetParameters)
@names_its_leases
def curate_dataset(parameters: CurateDatasetParameters) -> dict[str, Any] | State[dict[str, Any]]:
    """Make a version of the data set if its content differs from every existing version.

    While the lake has no version and lacks something for its first one, a run completes as `NothingYet` and says
    what; so does a run of a deployment while there is no lake at all.
    """
    if ending := without_lake(parameters.lake):
        return ending
    lake, run_id = open_existing(parameters.lake), str(flow_run.id)
    settings = CurationSettings(**parameters.part(CurationSettings))
    with recorded(lake, NAME, run_id, asdict(parameters)) as summary:
        curation = make_version(lake, settings, run_id, charts=parameters.charts)
        summary.update(_summary(curation))
    if isinstance(curation, NothingYet):
        return Completed(name="NothingYet", message=curation.message, data=summary)
    if curation.is_new and not flow_run.parent_flow_run_id:  # a refresh announces it after its own training
        announce_version(lake, curation.version)
    if curation.previous:
        publish_changes(lake, curation, compare(lake, curation.previous, curation.version))
    return summary


def _summary(curation: Curation | NothingYet) -> dict[str, Any]:
    if isinstance(curation, NothingYet):
        return {"nothing_yet": curation.message}
    counts = {name: curation.manifest["counts"][name] for name in COUNTS}
    return {"version": curation.version, "new": curation.is_new, **counts}


@task(task_run_name="make a version", cache_policy=NO_CACHE, persist_result=False)
def make_version(lake: Lake, settings: CurationSettings, run_id: str, *, charts: bool) -> Curation | NothingYet:
    """Curate in a single task: DuckDB uses all cores by itself. A lake that has no version yet may lack something."""
    try:
        return curate(lake, settings, run_id, charts=charts)
    except NoVersionError as error:
        if datasets.current(lake):
            raise  # films or recordings were lost, or the rules changed: someone has to look
        missing = ", ".join(what_is_missing(lake, settings))
        return NothingYet(f"No version can be made yet: {missing}. {error}" if missing else str(error))


def publish_changes(lake: Lake, curation: Curation, changes: list[Change]) -> None:
    """Create the artifacts that show a new version's changes: the first ones as a table, and their counts."""
    between = f"{curation.previous} to {curation.version}"
    create_table_artifact(
        key=artifact_key(lake, "dataset-changes"),
        table=[vars(change) for change in changes[:CHANGES_SHOWN]],
        description=f"The first {CHANGES_SHOWN} of {len(changes)} changes from {between}",
    )
    rows = "\n".join(f"| {kind} | {change} | {count} |" for (kind, change), count in counted(changes).items())
    create_markdown_artifact(
        key=artifact_key(lake, "dataset-change-counts"),
        markdown=f"# {between}\n\n| kind | change | count |\n| --- | --- | --- |\n{rows}\n\n"
        f"List all of them: `needledrop datasets compare {curation.previous} {curation.version} --all`\n",
        description=f"How many films, tracks and tags came, went and changed from {between}",
    )
