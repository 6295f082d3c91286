"""The flow `curate-dataset`: a version of the data set from what the lake holds, and what changed with it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.parameters import CurateDatasetParameters, takes
from flows.runs.run_leases import names_its_leases
from flows.runs.start_and_end import recorded, run_name, without_lake
from flows.runs.version_and_pause_events import announce_version
from storage.datasets.diff import compare
from storage.tables.tables import open_existing
from tasks.curation.curate import Curation
from tasks.curation.settings import CurationSettings
from tasks.curation.tasks import NothingYet, make_version, publish_changes

NAME = "curate-dataset"
COUNTS = ("films", "tracks", "segments", "hours", "tags")


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
