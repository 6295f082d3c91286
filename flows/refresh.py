"""The flow `refresh`: the whole pipeline, from films and soundtracks to a data-set version, a model and its metrics.

Each stage reads what is committed, works out what is missing and does only that, so a first run, a
scheduled refresh, a run after a crash and a run after a fix are the same run.

A refresh says what it changed and did not do, next to the run before, for operators and SQL: the numbers are in the
lake (the view `refreshes` has one row per run, `run_counts` one per number) and in two artifacts of the flow run: a
summary in Markdown and a table of differences.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.client.schemas.objects import State
from prefect.runtime import deployment, flow_run
from prefect.states import Completed

from flows.collect_films import collect_films
from flows.collect_soundtracks import collect_soundtracks
from flows.curate_dataset import curate_dataset
from flows.parameters import (
    CollectFilmsParameters,
    CollectSoundtracksParameters,
    CurateDatasetParameters,
    RefreshParameters,
    TrainAndEvaluateParameters,
    check,
    takes,
)
from flows.runs.missing_trainings_and_workers import check_training_deployment, start_missing_trainings
from flows.runs.retries import RETRIES, retried
from flows.runs.start_and_end import names_its_leases, noted_on, recorded, run_name
from flows.runs.version_and_pause_events import announce_version
from storage.coordination.leases import describe_holder, leased
from storage.datasets import versions as datasets
from storage.datasets.versions import compare, counted
from storage.errors import LakeError
from storage.lake.lake import Lake
from storage.records.outcomes import not_done_since
from storage.tables.tables import open_tables
from storage.views.run_changes import changes_since, run_counts
from tasks.progress import artifact_key
from tasks.run_report import as_markdown

NAME = "refresh"


@flow(name=NAME, flow_run_name=run_name, timeout_seconds=7 * 24 * 3600)
@takes(RefreshParameters)
@names_its_leases
def refresh(parameters: RefreshParameters) -> dict[str, Any] | State[dict[str, Any]]:
    """Collect what is new, make a data-set version if its content differs, and train as `train` says."""
    check(parameters)
    if parameters.train == "deployment":
        check_training_deployment()
    # Nobody watches a run of a deployment; whoever types a wrong address of a store learns it at once.
    lake = retried(lambda: open_tables(parameters.lake), retries=RETRIES if deployment.id else 0)
    with leased(lake, NAME, on_wait=get_run_logger().warning) as lease:
        if lease is None:
            return _meet_another(lake)
        with recorded_refresh(lake, str(flow_run.id), asdict(parameters)) as summary:
            retried(lambda: _run_stages(lake, parameters, summary))
    nothing_yet, paused = summary.get("nothing_yet"), summary.get("paused")
    # What is in the lake is curated and measured even when a source asked for a pause; the state still says so.
    if paused:
        return Completed(name="Paused", message=". ".join(filter(None, (paused, nothing_yet))), data=summary)
    if nothing_yet:
        return Completed(name="NothingYet", message=nothing_yet, data=summary)
    warnings = summary.get("started", {}).get("warnings")
    return Completed(message=". ".join(warnings), data=summary) if warnings else summary


def _run_stages(lake: Lake, parameters: RefreshParameters, summary: dict[str, Any]) -> None:
    """Run the stages that the parameters name, one after another; each waits for the one before, as the graph shows."""
    before: list[Any] = []
    if parameters.export or parameters.years or parameters.recent_years:
        summary["films"] = collect_films(**parameters.part(CollectFilmsParameters))
        before = [summary["films"]]
    if parameters.music or parameters.urls or parameters.youtube:
        options = parameters.part(CollectSoundtracksParameters)
        summary["soundtracks"] = collect_soundtracks(**options, wait_for=before)
        before = [summary["soundtracks"]]
    _curate_and_train(lake, parameters, summary, before)


def _curate_and_train(lake: Lake, parameters: RefreshParameters, summary: dict[str, Any], before: list[Any]) -> None:
    """Make a version, train as `train` says, and announce a new version; or add to the summary what is missing."""
    previous = datasets.current(lake)
    curated = curate_dataset(**parameters.part(CurateDatasetParameters), wait_for=before)
    if "nothing_yet" in curated:
        summary["nothing_yet"] = _what_to_do(parameters, curated["nothing_yet"])
        return
    version, is_new = curated["version"], curated["new"]
    summary["dataset"] = {**curated, "before": previous if is_new else None}
    if is_new and previous:
        summary["version_changes"] = _version_changes(lake, previous, version)
    if parameters.train == "deployment":
        summary["started"] = asdict(start_missing_trainings(lake, version if is_new else None))
        for warning in summary["started"]["warnings"]:
            get_run_logger().warning("%s", warning)
    elif parameters.train != "never":
        options = {**parameters.part(TrainAndEvaluateParameters), "again": parameters.train == "always"}
        # It loads torch and transformers, ten seconds of a core that a refresh without training need not spend.
        from flows.train_and_evaluate import train_and_evaluate

        summary["training"] = train_and_evaluate(**options, dataset=version, wait_for=[curated])
    if is_new:  # after the training of this run, so that whoever answers finds it done
        announce_version(lake, version, is_trained=parameters.train != "never")


def _what_to_do(parameters: RefreshParameters, message: str) -> str:
    """Return what is missing for a first version, and which deployment brings it where this run is of one."""
    has_music = parameters.music or parameters.urls or parameters.youtube
    source = "" if has_music else " No source of music is given (music, urls or youtube)."
    way = " Run refresh/backfill once, with those years and a source of music." if deployment.id else ""
    return f"{message.rstrip('.')}.{source}{way}"


def _meet_another(lake: Lake) -> State[dict[str, Any]]:
    """Return how a run of a deployment ends while another refresh of the lake runs: a nightly during a backfill.

    Raises `LakeError` where someone typed a command, and waits for its result.
    """
    message = f"Another refresh of {lake.root} is running ({describe_holder(lake, NAME)})"
    if not deployment.id:
        raise LakeError(f"{message}; wait until it ends, then start this one again")
    return Completed(name="Skipped", message=f"{message}; for other parameters, start this again when it ends", data={})


def _version_changes(lake: Lake, before: str, version: str) -> dict[str, int]:
    """Return KIND_CHANGE -> how many films, tracks and tags came, went or changed with a new version."""
    return {f"{kind}_{change}": count for (kind, change), count in counted(compare(lake, before, version)).items()}


@contextmanager
def recorded_refresh(lake: Lake, run_id: str, parameters: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a summary to fill with the results of the stages; record it and publish its artifacts at the end.

    What goes wrong while an error is recorded is noted on that error and does not replace it.
    """
    summary: dict[str, Any] = {}
    try:
        with recorded(lake, NAME, run_id, parameters) as summary, _changes_counted(lake, summary):
            yield summary
    except BaseException as error:
        with noted_on(error):
            if summary:  # otherwise it could not even begin: its record cannot be written, or an earlier one not read
                _publish(lake, run_id, summary)
        raise
    _publish(lake, run_id, summary)


@contextmanager
def _changes_counted(lake: Lake, summary: dict[str, Any]) -> Iterator[None]:
    """Add to the summary what the lake gained and lost in the block, and whether a source paused."""
    began = datetime.now(UTC)
    try:
        yield
    except BaseException as error:
        summary["error"] = str(error) or type(error).__name__
        with noted_on(error):
            _count_changes(lake, summary, began)
        raise
    _count_changes(lake, summary, began)
    pauses = [summary[stage]["paused"] for stage in ("films", "soundtracks") if summary.get(stage, {}).get("paused")]
    if pauses:
        summary["paused"] = ". ".join(pauses)


def _count_changes(lake: Lake, summary: dict[str, Any], began: datetime) -> None:
    summary["changes"] = changes_since(lake, began)
    summary["not_done"] = not_done_since(lake, began)


def _publish(lake: Lake, run_id: str, summary: Mapping[str, Any]) -> None:
    title, counts = f"Refresh of {lake.root}", run_counts(lake, run_id)
    text = as_markdown(lake.root, summary, counts)
    create_markdown_artifact(key=artifact_key(lake, "refresh-summary"), markdown=text, description=title)
    key, description = artifact_key(lake, "refresh-difference"), f"{title}, next to the run before"
    create_table_artifact(key=key, table=counts, description=description)
