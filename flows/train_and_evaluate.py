"""The flow for Table 1: every system with every seed, trained and evaluated on one version of the data set.

Finished runs are skipped, interrupted runs are resumed, and a run that fails is recorded without stopping the others.
The tasks are in this file and not under `tasks/`, as they need both Prefect and `training`.
"""

from __future__ import annotations

import traceback
from typing import Any

from prefect import State, flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed, Failed

from flows.parameters import TrainAndEvaluateParameters, takes
from storage.lake.lake import Lake
from storage.tables.tables import open_tables
from tasks.options import TuningOptions
from tasks.progress import Bars, bars
from training.config import Job, chosen_settings, chosen_systems
from training.data.splits import newest_version
from training.evaluation.baselines import record_baselines
from training.evaluation.confidence import lacks_confidence, record_confidence
from training.experiments import is_done, load_data, next_repetition, plan_jobs, run_experiment
from training.loop.device import Machine, open_machine


@flow(name="train-and-evaluate", flow_run_name="train-and-evaluate-in-{lake}")
@takes(TrainAndEvaluateParameters)
def train_and_evaluate(parameters: TrainAndEvaluateParameters) -> Any:
    """Train systems on a data-set version, evaluate each on the held-out years, and record runs, epochs and ranks."""
    lake = open_tables(parameters.lake)
    version = parameters.dataset or newest_version(lake)
    settings = chosen_settings(parameters.preset, epochs=parameters.epochs, **parameters.part(TuningOptions))
    jobs = plan_jobs(version, chosen_systems(list(parameters.systems)), settings, range(parameters.seeds))
    if parameters.again:
        jobs = [next_repetition(lake, job) for job in jobs]
    unfinished = [job for job in jobs if not is_done(lake, job.run_id)]
    with open_machine() as machine, bars() as progress:
        errors = _run_jobs(lake, unfinished, parameters.compiled, machine, progress)
        if machine.is_first and (len(errors) < len(unfinished) or lacks_confidence(lake, version)):
            _compare(lake, version, machine)
    counts = {
        "version": version,
        "trained": len(unfinished) - len(errors),
        "already_done": len(jobs) - len(unfinished),
        "failed": len(errors),
        "runs": [job.run_id for job in jobs if job.run_id not in errors],
    }
    if not errors:
        return counts
    if len(errors) == len(jobs):
        raise next(iter(errors.values()))
    message = f"{len(errors)} of {len(jobs)} runs failed ({', '.join(errors)}); the others are evaluated"
    return Completed(message=message, data=counts) if counts["trained"] else Failed(message=message)


def _run_jobs(
    lake: Lake, jobs: list[Job], compiled: bool, machine: Machine, progress: Bars
) -> dict[str, BaseException]:
    """Run the jobs one after another, as each uses the complete machine; returns the errors by run id.

    Under torchrun every rank runs this, and the first error ends all ranks: the others would wait for it forever.
    """
    errors: dict[str, BaseException] = {}
    for job in jobs:
        if machine.ranks > 1:  # a task run per rank would be one too many
            train_and_measure.fn(lake, job, compiled, machine, progress)
            continue
        task_of_run = train_and_measure.with_options(task_run_name=job.run_id)
        state: State[None] = task_of_run(lake, job, compiled, machine, progress, return_state=True)
        if not state.is_completed():
            result = state.result(raise_on_failure=False)
            error = result if isinstance(result, BaseException) else RuntimeError(str(state.message))
            _clear_frames(error)
            errors[job.run_id] = error
            get_run_logger().error("%s failed: %s", job.run_id, error)
    return errors


def _compare(lake: Lake, version: str, machine: Machine) -> None:
    """Run the task `compare_systems`; under torchrun there is no flow run for it, so as a plain function."""
    if machine.ranks > 1:
        compare_systems.fn(lake, version)
    else:
        compare_systems(lake, version)


def _clear_frames(error: BaseException) -> None:
    """Clear the frames of an error's tracebacks: they keep its model, and the next system needs the GPU's memory."""
    cause: BaseException | None = error
    while cause is not None:
        traceback.clear_frames(cause.__traceback__)
        cause = cause.__cause__ or cause.__context__


@task(cache_policy=NO_CACHE, persist_result=False)
def train_and_measure(lake: Lake, job: Job, compiled: bool, machine: Machine, progress: Bars) -> None:
    """Train one system with one seed and rank the test split. Never retried, as the next flow run resumes it."""
    on_progress = progress if machine.is_first else None
    run_experiment(lake, load_data(lake, job.dataset), job, machine, compiled=compiled, on_progress=on_progress)


@task(cache_policy=NO_CACHE, persist_result=False)
def compare_systems(lake: Lake, version: str) -> None:
    """Add baselines, and intervals and differences of all evaluated systems, to the leaderboard of a version."""
    record_baselines(lake, version)
    record_confidence(lake, version)
