"""Run one experiment from data to ranks: train a system, embed the held-out films, rank, record.

Called once per system and seed, by a flow, under torchrun or in a test. An unfinished run is resumed from its
checkpoint.
"""

from __future__ import annotations

import itertools
import subprocess
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa

import training
from storage.coordination.leases import leased
from storage.errors import LakeError
from storage.lake.lake import Lake
from storage.metrics import records as metrics
from storage.metrics.database import connect_metrics
from storage.metrics.interrupted import STATE as INTERRUPTED
from storage.metrics.interrupted import run_lease
from training.config import Job, Settings, System
from training.data.batches import FilmInputs
from training.data.splits import Split, load_split
from training.evaluation.embedding_files import FILMS_FILE, PARITY_TRACKS_FILE, TRACKS_FILE, YEARS_FILE, save_embeddings
from training.evaluation.embeddings import embed_films, embed_tracks, track_owners
from training.evaluation.ranking import rank_tracks
from training.loop.checkpoint import CONFIG, FOLDER, check_same_job, load_config, load_model, read_state, save_config
from training.loop.devices import Machine
from training.loop.train import EpochReport, LoopInputs, train
from training.model.retrievers import Built, build_model

OnProgress = Callable[[str, int, int], None]
"""Progress callback (description, completed, total)."""


@dataclass(frozen=True)
class Data:
    """The three splits of a version, loaded once for all systems."""

    version: str
    train: Split
    valid: Split
    test: Split


def load_data(lake: Lake, version: str) -> Data:
    """Load all splits of a version. Raises `InputError` when one of them is empty."""
    return Data(version, *(load_split(lake, version, split) for split in ("train", "valid", "test")))


def plan_jobs(version: str, systems: Sequence[System], settings: Settings, seeds: Sequence[int]) -> list[Job]:
    """Return one job per system and seed; the same data, system, settings and seed have the same `run_id`."""
    return [
        Job(
            f"{version}-{system.name}-{settings.preset}-s{seed}-{settings.digest}",
            system,
            settings,
            seed,
            version,
        )
        for seed in dict.fromkeys(seeds)
        for system in systems
    ]


def next_repetition(lake: Lake, job: Job) -> Job:
    """Return the job under the first run id (ID, ID-2, ID-3, …) that is not done.

    Earlier runs are kept, and an interrupted repetition is resumed.
    """
    repetition = job
    for number in itertools.count(2):
        if not is_done(lake, repetition.run_id):
            break
        repetition = replace(job, run_id=f"{job.run_id}-{number}")
    return repetition


def is_done(lake: Lake, run_id: str) -> bool:
    """Return whether a run has finished training and its ranks are recorded."""
    state = read_state(lake, run_id)
    if state is None or not state.finished:
        return False
    with connect_metrics(lake) as connection:
        completed = connection.execute(
            "SELECT count(*) FROM runs WHERE run_id = ? AND state = 'completed'", [run_id]
        ).fetchall()
    return completed != [(0,)]


def run_experiment(
    lake: Lake,
    data: Data,
    job: Job,
    machine: Machine,
    *,
    compiled: bool = False,
    on_progress: OnProgress | None = None,
) -> None:
    """Train (or resume training) one system, then rank the test split with its best weights and record everything.

    Any exception is raised after the run is recorded as failed; a run that is interrupted by SIGINT or SIGTERM, or
    killed, is recorded as interrupted, at the latest by the next command. A run that another machine has finished
    meanwhile is left as it is. Raises `LakeError` when another process is training this run.
    """
    with leased(lake, run_lease(job.run_id)) if machine.is_first else nullcontext("held by the first rank") as lease:
        if lease is None:
            raise LakeError(
                f"Another process is training {job.run_id}; wait until it ends and run the same command again"
            )
        if machine.ranks > 1 or not is_done(lake, job.run_id):
            _run_leased(lake, data, job, machine, compiled, on_progress)


def _run_leased(
    lake: Lake, data: Data, job: Job, machine: Machine, compiled: bool, on_progress: OnProgress | None
) -> None:
    run = metrics.Run(
        run_id=job.run_id,
        system=job.system.name,
        preset=job.settings.preset,
        seed=job.seed,
        dataset_version=data.version,
        config=job.identity()["settings"],
        code_version=code_version(),
        model_folder=f"{FOLDER}/{job.run_id}",
    )
    if machine.is_first:
        metrics.record_run(lake, run)
    try:
        _train(lake, data, job, machine, compiled, on_progress)
        if machine.is_first:
            _evaluate(lake, data, job, machine, on_progress)
    except BaseException as error:
        if machine.is_first:
            state = "failed" if isinstance(error, Exception) else INTERRUPTED
            ended = replace(run, state=state, message=str(error)[:500] or None, finished_at=datetime.now(UTC))
            metrics.record_run(lake, ended)
        raise
    if machine.is_first:
        metrics.record_run(lake, replace(run, state="completed", finished_at=datetime.now(UTC)))


def _train(lake: Lake, data: Data, job: Job, machine: Machine, compiled: bool, on_progress: OnProgress | None) -> None:
    built = _open_or_build(lake, data, job, machine)
    if compiled:
        built.model.compile(dynamic=True)
    film_inputs = [FilmInputs(split, job.system, job.settings, built.tokenizer) for split in (data.train, data.valid)]

    def record(report: EpochReport) -> None:
        metrics.record_epoch(lake, metrics.Epoch(job.run_id, **vars(report)))

    def on_step(done: int, steps: int) -> None:
        if on_progress:
            on_progress(f"train {job.system.name} (seed {job.seed})", done, steps)

    train(lake, LoopInputs(job, built.model, data.train, data.valid, *film_inputs), machine, record, on_step)


def _open_or_build(lake: Lake, data: Data, job: Job, machine: Machine) -> Built:
    """Return the model of the run's folder if training has started, else a new one with its config.json committed."""
    if lake.exists(FOLDER, job.run_id, CONFIG):
        check_same_job(lake, job)
        if read_state(lake, job.run_id) is not None:
            return load_config(lake, job.run_id)[1]
    built = build_model(job.system, job.settings, data.train, job.seed)
    if machine.is_first:
        save_config(lake, job, built)
    return built


def _evaluate(lake: Lake, data: Data, job: Job, machine: Machine, on_progress: OnProgress | None) -> None:
    """Embed and rank the test split with the best weights: from the settings' number of segments, and from one."""
    _, built = load_model(lake, job.run_id)
    model, test = built.model.to(machine.device), data.test
    inputs = FilmInputs(test, job.system, job.settings, built.tokenizer)
    files = {1: PARITY_TRACKS_FILE} | {job.settings.eval_segments: TRACKS_FILE}
    total = sum(len(test.even_segments(track, count)) for track in range(len(test.track_ids)) for count in files)
    done = 0

    def on_done(count: int) -> None:
        nonlocal done
        done += count
        if on_progress:
            on_progress(f"embed {job.system.name} (seed {job.seed})", min(done, total), total)

    films = embed_films(model, test, inputs, machine)
    save_embeddings(lake, films, FOLDER, job.run_id, FILMS_FILE)
    if job.system.tags:
        inverted = replace(job.settings, keep_years=not job.settings.keep_years)
        other_films = embed_films(model, test, FilmInputs(test, job.system, inverted, built.tokenizer), machine)
        save_embeddings(lake, other_films, FOLDER, job.run_id, YEARS_FILE)
    ranked = []
    for segments, file in files.items():
        tracks = embed_tracks(model, test, segments, machine, on_done)
        save_embeddings(lake, tracks, FOLDER, job.run_id, file)
        ranks = rank_tracks(films, tracks, track_owners(test), str(machine.device))
        ranked.append(ranks.to_arrow(f"segments{segments}"))
    metrics.record_ranks(lake, job.run_id, pa.concat_tables(ranked))


def code_version() -> str | None:
    """Return the commit of this code, with "-changed" if files differ from it.

    Installed code has the version of its package: a repository around the environment is not its own.
    None where git does not answer.
    """
    checkout = Path(training.__file__).parents[1]
    if not (checkout / ".git").exists():
        return version("needledrop")
    try:
        shown = subprocess.run(
            ["git", "describe", "--always", "--dirty=-changed", "--exclude=*"],  # noqa: S607
            cwd=checkout, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return shown.stdout.strip()


def free_memory_of(error: BaseException) -> None:
    """Clear the frames of a failed run's tracebacks: they keep its model, and the next run needs the GPU's memory."""
    cause: BaseException | None = error
    while cause is not None:
        traceback.clear_frames(cause.__traceback__)
        cause = cause.__cause__ or cause.__context__
