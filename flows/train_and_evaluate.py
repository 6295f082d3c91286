"""The flow for Table 1: every system with every seed, trained and evaluated on one version of the data set.

Finished runs are skipped, interrupted runs are resumed, and a run that fails is recorded without stopping the others.
The tasks are in this file and not under `tasks/`, as they need both Prefect and `training`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import Any
from uuid import uuid4

from prefect import State, flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.runtime import deployment, flow_run
from prefect.states import Completed

from flows.parameters import TrainAndEvaluateParameters, takes
from flows.runs.start_and_end import names_its_leases, recorded, run_name
from storage.errors import InputError, NeedledropError
from storage.lake.lake import Lake
from storage.libraries.decisions_and_shortlists import record_result
from storage.metrics.database import connect_metrics
from storage.tables.duckdb_connection import fetch_rows
from storage.tables.tables import open_existing
from tasks.options_and_defaults import TuningOptions
from tasks.progress import ReportProgress, artifact_key, run_logger, shown_progress
from training.data.splits import newest_version
from training.evaluation.intervals_and_comparisons import lacks_confidence, record_confidence
from training.evaluation.model_card import write_model_cards
from training.evaluation.record_baselines import record_baselines
from training.loop.checkpoint import Job, drop_tensors
from training.loop.devices_and_torchrun import Machine, open_machine
from training.presets import chosen_settings
from training.retrieval.decision_results import decided_tracks, measure_decisions
from training.systems import chosen_systems
from training.training_runs import (
    TrainedElsewhere,
    free_memory_of,
    is_done,
    load_data,
    next_repetition,
    plan_jobs,
    run_experiment,
)

NAME = "train-and-evaluate"
LEADERBOARD_COLUMNS = "system, preset, source, policy, seeds, tracks, r_at_1, r_at_10, r_at_10_low, r_at_10_high, medr"


@flow(name=NAME, flow_run_name=run_name, timeout_seconds=14 * 24 * 3600)
@takes(TrainAndEvaluateParameters)
@names_its_leases
def train_and_evaluate(parameters: TrainAndEvaluateParameters) -> Any:
    """Train systems on a data-set version, evaluate each on the held-out years, and record runs, epochs and ranks."""
    lake = open_existing(parameters.lake)
    version = parameters.dataset or newest_version(lake)
    with open_machine() as machine, _record_of(lake, parameters, version, machine) as summary:
        _train_missing(lake, parameters, version, machine, summary)
    if "error" in summary:
        raise NeedledropError(summary["error"])
    if "skipped" in summary:
        return Completed(name="Skipped", message=summary["skipped"], data=summary)
    return Completed(message=summary["message"], data=summary) if "message" in summary else summary


def _record_of(
    lake: Lake, parameters: TrainAndEvaluateParameters, version: str, machine: Machine
) -> AbstractContextManager[dict[str, Any]]:
    """Return the record of this run; under torchrun only the first rank has one."""
    if not machine.is_first:
        return nullcontext({})
    run_id = str(flow_run.id or uuid4())
    return recorded(lake, NAME, run_id, {**asdict(parameters), "dataset": version})


def _train_missing(
    lake: Lake, parameters: TrainAndEvaluateParameters, version: str, machine: Machine, summary: dict[str, Any]
) -> None:
    """Run the jobs that are not finished, compare all systems and fill the summary.

    Its keys `error`, `skipped` and `message` say what was not trained. Raises the first error if every job failed.
    """
    systems = chosen_systems(list(parameters.systems))
    options = {"epochs": parameters.epochs, **parameters.part(TuningOptions)}
    settings = chosen_settings(parameters.preset, systems, **options)
    held_out = decided_tracks(lake, version) if parameters.hold_out_decisions else ()
    jobs = plan_jobs(version, systems, settings, range(parameters.seeds), held_out)
    if parameters.again:
        jobs = [next_repetition(lake, job) for job in jobs]
    unfinished = [job for job in jobs if not is_done(lake, job.run_id)]
    if machine.is_first:
        for job in jobs:
            drop_tensors(lake, job.run_id)
    with shown_progress(lake if machine.is_first else None) as progress:
        errors = _run_jobs(lake, unfinished, parameters.compiled, machine, progress)
    if machine.is_first and (len(errors) < len(unfinished) or lacks_confidence(lake, version)):
        _compare(lake, version, machine)
    elsewhere = [run_id for run_id, error in errors.items() if isinstance(error, TrainedElsewhere)]
    failed = [run_id for run_id in errors if run_id not in elsewhere]
    summary |= {
        "version": version,
        "trained": len(unfinished) - len(errors),
        "already_done": len(jobs) - len(unfinished),
        "failed": len(failed),
        "runs": [job.run_id for job in jobs if job.run_id not in errors],
    }
    if (parameters.decisions or parameters.hold_out_decisions) and machine.is_first:
        summary["decisions"] = [_measure_on_decisions(lake, run_id, machine) for run_id in summary["runs"]]
    if failed and len(errors) == len(jobs):
        raise errors[failed[0]]
    if failed:
        key = "message" if summary["trained"] else "error"
        summary[key] = f"{len(failed)} of {len(jobs)} runs failed ({', '.join(failed)}); the others are evaluated"
    elif elsewhere:
        _meet_another(errors[elsewhere[0]], elsewhere, summary)


def _meet_another(error: BaseException, elsewhere: list[str], summary: dict[str, Any]) -> None:
    """Say in the summary which runs another process trains, as when two deployments start at one moment.

    Raises the error where someone typed a command, and waits for its result, and this run trained nothing.
    """
    if not summary["trained"] and not deployment.id:
        raise error
    sentence = f"Another process is training {', '.join(elsewhere)}"
    summary["message" if summary["trained"] else "skipped"] = sentence


def _measure_on_decisions(lake: Lake, trained_run: str, machine: Machine) -> dict[str, Any]:
    """Measure a run on users' decisions, record the result and return its row; with `error` where it hears no mels."""
    try:
        row = measure_decisions(lake, trained_run, machine).row()
    except InputError as error:
        return {"model_run": trained_run, "error": str(error)}
    record_result(lake, row, str(flow_run.id or "command"))
    return row


def _run_jobs(
    lake: Lake, jobs: list[Job], compiled: bool, machine: Machine, progress: ReportProgress
) -> dict[str, BaseException]:
    """Run the jobs one after another, as each uses the complete machine; returns the errors by run id.

    Under torchrun every rank runs this, and the first error ends all ranks: the others would wait for it forever.
    """
    errors: dict[str, BaseException] = {}
    for job in jobs:
        if machine.ranks > 1:  # a task run per rank would be one too many
            _train_and_measure(lake, job, compiled, machine, progress)
            continue
        task_of_run = train_and_measure.with_options(task_run_name=job.run_id)
        state: State[Any] = task_of_run(lake, job, compiled, machine, progress, return_state=True)
        result = state.result(raise_on_failure=False)
        if isinstance(result, TrainedElsewhere):
            errors[job.run_id] = result
            run_logger().warning("%s", result)
        elif not state.is_completed():
            error = result if isinstance(result, BaseException) else RuntimeError(str(state.message))
            free_memory_of(error)
            errors[job.run_id] = error
            run_logger().error("%s failed: %s", job.run_id, error)
    return errors


def _compare(lake: Lake, version: str, machine: Machine) -> None:
    """Run the task `compare_systems`; under torchrun there is no flow run for it, so as a plain function."""
    if machine.ranks > 1:
        compare_systems.fn(lake, version)
    else:
        compare_systems(lake, version)
        _publish_leaderboard(lake, version)


def _publish_leaderboard(lake: Lake, version: str) -> None:
    """Show the leaderboard of a version as an artifact of the flow run."""
    with connect_metrics(lake) as connection:
        query = f"SELECT {LEADERBOARD_COLUMNS} FROM leaderboard WHERE dataset_version = ?"
        rows = fetch_rows(connection, query, version)
    table = [{name: round(cell, 2) if isinstance(cell, float) else cell for name, cell in row.items()} for row in rows]
    description = f"Retrieval on the held-out films of {version} ({lake.root})"
    create_table_artifact(key=artifact_key(lake, "leaderboard"), table=table, description=description)


@task(cache_policy=NO_CACHE, persist_result=False)
def train_and_measure(
    lake: Lake, job: Job, compiled: bool, machine: Machine, progress: ReportProgress
) -> TrainedElsewhere | None:
    """Train one system with one seed and rank the test split. Never retried, as the next flow run resumes it.

    A run that another process is training did not fail: that error is returned.
    """
    try:
        _train_and_measure(lake, job, compiled, machine, progress)
    except TrainedElsewhere as error:
        return error
    return None


def _train_and_measure(lake: Lake, job: Job, compiled: bool, machine: Machine, progress: ReportProgress) -> None:
    on_progress = progress if machine.is_first else None
    data = load_data(lake, job.dataset, job.settings.audio.encoder, job.held_out)
    run_experiment(lake, data, job, machine, compiled=compiled, on_progress=on_progress)


@task(task_run_name="compare the systems on {version}", cache_policy=NO_CACHE, persist_result=False)
def compare_systems(lake: Lake, version: str) -> None:
    """Add baselines, intervals and differences to the leaderboard of a version, and write the cards of its runs."""
    record_baselines(lake, version)
    record_confidence(lake, version)
    write_model_cards(lake, version)
