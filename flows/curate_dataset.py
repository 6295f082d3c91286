"""The flow `curate-dataset`: a version of the data set from what the lake holds, and what changed with it."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.new_versions import announce_version
from flows.parameters import CurateDatasetParameters, takes
from storage.datasets.diff import compare
from storage.tables.tables import open_tables
from tasks.curation.settings import CurationSettings
from tasks.curation.tasks import NothingYet, make_version, publish_changes

COUNTS = ("films", "tracks", "segments", "hours", "tags")


@flow(name="curate-dataset", flow_run_name="curate-dataset-of-{lake}")
@takes(CurateDatasetParameters)
def curate_dataset(parameters: CurateDatasetParameters) -> dict[str, Any] | State[dict[str, Any]]:
    """Make a version of the data set if its content differs from every existing version.

    While a lake has no version and lacks something for its first one, a run completes as `NothingYet` and says what.
    """
    lake = open_tables(parameters.lake)
    settings = CurationSettings(**parameters.part(CurationSettings))
    curation = make_version(lake, settings, str(flow_run.id), charts=parameters.charts)
    if isinstance(curation, NothingYet):
        return Completed(name="NothingYet", message=curation.message, data={"nothing_yet": curation.message})
    if curation.is_new and not flow_run.parent_flow_run_id:  # a refresh announces it after its own training
        announce_version(lake, curation.version)
    if curation.previous:
        publish_changes(curation, compare(lake, curation.previous, curation.version))
    counts = {name: curation.manifest["counts"][name] for name in COUNTS}
    return {"version": curation.version, "new": curation.is_new, **counts}
