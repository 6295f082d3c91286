"""The flow that fills Table 1: systems times seeds, each trained and measured on one version of the data set.

A run that stands finished in the lake is not done again, one that was interrupted goes on where it was,
and one that fails is recorded and does not lose the others.
"""

from __future__ import annotations

import traceback
from typing import Annotated, Any

from prefect import State, flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed, Failed
from pydantic import Field

from storage.lake.lake import Lake
from storage.tables.tables import open_tables
from tasks.progress import Bars, bars
from training.config import chosen_settings, chosen_systems
from training.data.splits import newest_version
from training.evaluation.baselines import record_controls
from training.evaluation.confidence import lacks_confidence, record_confidence
from training.experiments import anew, is_done, load_data, plan_jobs, run_experiment
from training.loop.checkpoint import Job
from training.loop.device import Machine, open_machine


@flow(name="train-and-evaluate", flow_run_name="train-and-evaluate-in-{lake}")
def train_and_evaluate(
    lake: str = "lake",
    dataset: str | None = None,
    systems: list[str] | None = None,
    preset: str = "small",
    seeds: list[int] | None = None,
    epochs: Annotated[int | None, Field(ge=1)] = None,
    batch: Annotated[int | None, Field(ge=2)] = None,
    micro_batch: Annotated[int | None, Field(ge=1)] = None,
    learning_rate: Annotated[float | None, Field(gt=0)] = None,
    patience: Annotated[int | None, Field(ge=1)] = None,
    eval_segments: Annotated[int | None, Field(ge=1)] = None,
    text_model: str | None = None,
    image_model: str | None = None,
    compiled: bool = False,
    again: bool = False,
) -> Any:
    """Train systems on a data-set version, measure each on the held-out years, and record runs, epochs and ranks.

    Args:
        lake: Root of the lake: a folder, or s3://bucket/prefix.
        dataset: The version to train on; by default the newest.
        systems: All, Im, Plo, Ta, ImPlo, ImTa, TaPlo, AVCA (towers frozen), AVCA-tuned; "all" for these nine.
        preset: small (CPU-sized), paper or released.
        seeds: One training run a system and seed; by default seed 0 alone.
        epochs: At most this many epochs; by default the preset's.
        batch: Tracks a batch, over all GPUs together; by default the preset's.
        micro_batch: Encode at most so many films or tracks at once, where a batch is too large for a GPU's memory.
        learning_rate: The highest learning rate; by default the preset's.
        patience: Epochs without a lower validation loss before training stops.
        eval_segments: Segments whose mean is a track's embedding; the middle one alone is measured as well.
        text_model: Hub name or folder of pretrained BERT weights; by default the preset's.
        image_model: Hub name or folder of pretrained ViT weights; by default the preset's.
        compiled: Compile the model with torch.compile: slower to start, faster for long runs on a GPU.
        again: Train anew also what is finished; the earlier runs stay.
    """
    store = open_tables(lake)
    version = dataset or newest_version(store)
    settings = chosen_settings(
        preset,
        epochs=epochs,
        batch=batch,
        micro_batch=micro_batch,
        learning_rate=learning_rate,
        patience=patience,
        eval_segments=eval_segments,
        text_model=text_model,
        image_model=image_model,
    )
    jobs = plan_jobs(version, chosen_systems(systems or ["All"]), settings, seeds or [0])
    jobs = [anew(store, job) for job in jobs] if again else jobs
    waiting = [job for job in jobs if not is_done(store, job.run_id)]
    with open_machine() as machine, bars() as progress:
        failures = _run(store, waiting, compiled, machine, progress)
        if machine.is_first and (len(failures) < len(waiting) or lacks_confidence(store, version)):
            (compare_systems.fn if machine.ranks > 1 else compare_systems)(store, version)
    counts = {
        "version": version,
        "trained": len(waiting) - len(failures),
        "already_done": len(jobs) - len(waiting),
        "failed": len(failures),
        "runs": [job.run_id for job in jobs if job.run_id not in failures],
    }
    if not failures:
        return counts
    if len(failures) == len(jobs):
        raise next(iter(failures.values()))
    sentence = f"{len(failures)} of {len(jobs)} runs failed ({', '.join(failures)}); the others are measured"
    return Completed(message=sentence, data=counts) if counts["trained"] else Failed(message=sentence)


def _run(lake: Lake, jobs: list[Job], compiled: bool, machine: Machine, progress: Bars) -> dict[str, BaseException]:
    """Run the jobs one after another: each of them wants the whole machine. Returns what failed, and why.

    Under torchrun every rank comes here, and a failure of one ends all: the others would wait for it for ever.
    """
    failures: dict[str, BaseException] = {}
    for job in jobs:
        if machine.ranks > 1:
            train_and_measure.fn(lake, job, compiled, machine, progress)
            continue
        named = train_and_measure.with_options(task_run_name=job.run_id)
        state: State[None] = named(lake, job, compiled, machine, progress, return_state=True)
        if not state.is_completed():
            error = state.result(raise_on_failure=False)
            failures[job.run_id] = error if isinstance(error, BaseException) else RuntimeError(str(state.message))
            _let_go(failures[job.run_id])
            get_run_logger().error("%s failed: %s", job.run_id, error)
    return failures


def _let_go(error: BaseException) -> None:
    """Empty the frames that an error keeps: a model stands in them, and the next system needs its room on the GPU."""
    chain: BaseException | None = error
    while chain is not None:
        traceback.clear_frames(chain.__traceback__)
        chain = chain.__cause__ or chain.__context__


@task(cache_policy=NO_CACHE, persist_result=False)
def train_and_measure(lake: Lake, job: Job, compiled: bool, machine: Machine, progress: Bars) -> None:
    """Train one system with one seed and rank the test split with it. Never retried: it resumes by itself."""
    shown = progress if machine.is_first else None
    run_experiment(lake, load_data(lake, job.dataset), job, machine, compiled=compiled, on_progress=shown)


@task(cache_policy=NO_CACHE, persist_result=False)
def compare_systems(lake: Lake, version: str) -> None:
    """Add the controls, and intervals and differences over all systems that stand measured, to the leaderboard."""
    record_controls(lake, version)
    record_confidence(lake, version)
