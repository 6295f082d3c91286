"""Training runs, planned and run from data to ranks: train a system, embed the held-out films, rank, record.

Called once per system and seed, by a flow, under torchrun or in a test. An unfinished run is resumed from its
checkpoint.
"""

from __future__ import annotations

import hashlib
import itertools
import traceback
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

import torch

from storage.code_version import git_version
from storage.coordination.leases import leased
from storage.errors import InputError, LakeError
from storage.lake.lake import Lake
from storage.metrics import record_measurements as metrics
from storage.metrics.database import connect_metrics
from storage.metrics.run_files import INTERRUPTED, run_lease
from training.audio_encoders.model_files import licence_of
from training.data.film_inputs import FilmInputs
from training.data.splits import Split, load_split
from training.evaluation.embed_films_and_tracks import embed_films, embed_tracks, track_owners
from training.evaluation.evaluate_run import measure
from training.evaluation.model_card import write_model_cards
from training.evaluation.ranking import rank_tracks
from training.loop.checkpoint import (
    CONFIG,
    FOLDER,
    LAST,
    Job,
    check_same_job,
    load_config,
    load_model,
    read_state,
    save_config,
)
from training.loop.devices_and_torchrun import Machine
from training.loop.flops_and_compilation import compile_towers
from training.loop.frozen_tower_cache import cache_frozen_towers
from training.loop.train import EpochReport, LoopInputs, train
from training.model.pretrained_weights import IMAGE, TEXT, folder_of_card
from training.model.retrieval_model import Built, Model, build_model
from training.presets import label
from training.settings import Settings
from training.systems import System

OnProgress = Callable[[str, int, int], None]
"""Progress callback (description, completed, total)."""


@dataclass(frozen=True)
class Data:
    """The three splits of a version, loaded once for all systems."""

    version: str
    train: Split
    valid: Split
    test: Split


class TrainedElsewhere(LakeError):
    """Another process is training this run."""


def load_data(lake: Lake, version: str, encoder: str = "", held_out: Collection[str] = ()) -> Data:
    """Load all splits of a version, with mels or with embeddings by an audio encoder.

    `held_out`: recordings that neither training nor its choice of an epoch may hear. Raises `InputError` when a split
    is empty, or a track has no embedding.
    """
    train, valid = (load_split(lake, version, split, encoder, held_out) for split in ("train", "valid"))
    return Data(version, train, valid, load_split(lake, version, "test", encoder))


def plan_jobs(
    version: str, systems: Sequence[System], settings: Settings, seeds: Sequence[int], held_out: Sequence[str] = ()
) -> list[Job]:
    """Return one job per system and seed; the same data, system, settings and seed have the same `run_id`.

    Recordings that are held out are part of the settings' digest, so their runs have names of their own. Raises
    `InputError` for settings that hold out something else.
    """
    digest = hashlib.sha256("\n".join(held_out).encode()).hexdigest()[:8] if held_out else ""
    if settings.data.held_out not in ("", digest):
        raise InputError("data.held_out is set by --hold-out-decisions alone; leave it out of --set and --settings")
    settings = settings.changed({"data.held_out": digest})
    return [
        Job(
            f"{version}-{system.name}-{settings.preset}-s{seed}-{settings.digest}",
            system,
            settings,
            seed,
            version,
            tuple(held_out),
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
    meanwhile is left as it is. Raises `TrainedElsewhere` when another process is training this run.
    """
    with leased(lake, run_lease(job.run_id)) if machine.is_first else nullcontext("held by the first rank") as lease:
        if lease is None:
            raise TrainedElsewhere(
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
        code_version=git_version(),
        model_folder=f"{FOLDER}/{job.run_id}",
        settings=label(job.settings),
        settings_digest=job.settings.digest,
    )
    if machine.is_first:
        metrics.record_run(lake, run)
    try:
        _train(lake, data, job, machine, compiled, on_progress)
        if machine.is_first:
            _measure(lake, data, job, run, machine, on_progress)
    except BaseException as error:
        if machine.is_first:
            state = "failed" if isinstance(error, Exception) else INTERRUPTED
            ended = replace(run, state=state, message=str(error)[:500] or None, finished_at=datetime.now(UTC))
            metrics.record_run(lake, ended)
        raise
    if machine.is_first:
        metrics.record_run(lake, replace(run, state="completed", finished_at=datetime.now(UTC)))
        write_model_cards(lake, data.version, job.run_id)


def _train(lake: Lake, data: Data, job: Job, machine: Machine, compiled: bool, on_progress: OnProgress | None) -> None:
    built = _open_or_build(lake, data, job, machine)
    if compiled:
        compile_towers(built.model)
    film_inputs = [
        FilmInputs(split, job.system, job.settings, built.tokenizer, built.image_format.pixels)
        for split in (data.train, data.valid)
    ]
    of_train, of_valid = film_inputs

    def record(report: EpochReport) -> None:
        metrics.record_epoch(lake, metrics.Epoch(job.run_id, **vars(report)))

    state = read_state(lake, job.run_id)
    if state is None or not state.finished:
        cache_frozen_towers(lake, built.model.to(machine.device).films, film_inputs, machine)

    def on_step(done: int, steps: int) -> None:
        if on_progress:
            on_progress(f"train {job.system.name} (seed {job.seed})", done, steps)

    medr = partial(valid_medr, built.model, data.valid, of_valid, machine)
    inputs = LoopInputs(job, built.model, data.train, data.valid, of_train, of_valid, medr)
    train(lake, inputs, machine, record, on_step)


def valid_medr(model: Model, split: Split, inputs: FilmInputs, machine: Machine) -> float:
    """Return the median rank of a split's tracks, from as many paragraphs and segments as the model is trained with."""
    chosen = inputs.settings.data
    with torch.compiler.set_stance("force_eager"):  # other numbers of segments than in training: each a compilation
        films = embed_films(model, split, inputs, machine, paragraphs="all" if chosen.paragraphs == "all" else "first")
        tracks = embed_tracks(model, split, chosen.segments, machine)
    return rank_tracks(films, tracks, track_owners(split), str(machine.device)).median


def _open_or_build(lake: Lake, data: Data, job: Job, machine: Machine) -> Built:
    """Return the model of the run's folder if training has started, else a new one with its config.json committed.

    It has the weights of the last checkpoint: what frozen towers return is computed before the loop restores them. A
    finished run, which trains no further, has none there.
    """
    if lake.exists(FOLDER, job.run_id, CONFIG):
        check_same_job(lake, job)
        if (state := read_state(lake, job.run_id)) is not None:
            return (load_config(lake, job.run_id) if state.finished else load_model(lake, job.run_id, LAST))[1]
    built = build_model(job.system, job.settings, data.train, job.seed)
    if machine.is_first:
        if licences := _licences_of_weights(job):
            built.towers["licences"] = licences
        save_config(lake, job, built)
    return built


def _licences_of_weights(job: Job) -> dict[str, str]:
    """Return the licence that the model card of each pretrained tower states, or "unknown"."""
    towers = (
        (TEXT, job.settings.text.pretrained, job.system.text),
        (IMAGE, job.settings.image.pretrained, job.system.image),
    )
    return {
        modality.noun: licence_of(folder_of_card(name, modality)) for modality, name, used in towers if name and used
    }


def _measure(
    lake: Lake, data: Data, job: Job, run: metrics.Run, machine: Machine, on_progress: OnProgress | None
) -> None:
    def on_done(done: int, total: int) -> None:
        if on_progress:
            on_progress(f"embed {job.system.name} (seed {job.seed})", done, total)

    measure(lake, data.test, job, run, machine, on_done)


def free_memory_of(error: BaseException) -> None:
    """Clear the frames of a failed run's tracebacks: they keep its model, and the next run needs the GPU's memory."""
    cause: BaseException | None = error
    while cause is not None:
        traceback.clear_frames(cause.__traceback__)
        cause = cause.__cause__ or cause.__context__
