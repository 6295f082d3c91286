"""Checkpoints: the model folder `models/RUN/`, written and read.

    config.json        system, settings, seed, data-set version, tower configurations
    tokenizer.json     if the system reads text
    card.md            what the model is, its results, limits and licences (`training.evaluation.model_card`)
    best.safetensors   the weights of the lowest validation loss: evaluation and search load these
    last.safetensors   weights, optimiser and loop state at the last save: a resumed run loads these; of a finished
                       run the loop state alone, as the rest is three times the size of its weights

Each file is committed atomically, and the loop state is part of last.safetensors, so that a run killed at any
moment resumes to the same bits (on a GPU: to rounding, unless it is asked for more).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from storage.errors import InputError, LakeError
from storage.lake.lake import Lake
from training.loop.optimiser_and_early_stopping import EarlyStopping, WeightAverage
from training.model.retrieval_model import Built, rebuild_model
from training.settings import Settings, settings_from_json
from training.systems import SYSTEMS, System

FOLDER = "models"
CONFIG, TOKENIZER, BEST, LAST = "config.json", "tokenizer.json", "best.safetensors", "last.safetensors"
SAVE_SECONDS = 600.0
"""Longest time between two checkpoints within an epoch: the work that a kill can lose."""
_MODEL, _OPTIMISER, _AVERAGE, _LOSS_SUM = "model.", "optimiser.", "average.", "loop.loss_sum"
_STATE = "state"


@dataclass(frozen=True)
class Job:
    """One training run: what its `config.json` holds next to the tower configurations, and what names the run."""

    run_id: str
    system: System
    settings: Settings
    seed: int
    dataset: str
    held_out: tuple[str, ...] = ()
    """Tracks of the data set that training leaves out, so that what users decided about them is a test of it."""

    def identity(self) -> dict[str, Any]:
        """Return what two runs must share for one to resume from the other's checkpoint."""
        described: dict[str, Any] = {"system": self.system.name, "seed": self.seed, "dataset": self.dataset}
        if self.held_out:
            described["held_out"] = list(self.held_out)
        return {**described, "settings": self.settings.as_json()}


@dataclass(frozen=True)
class LoopState:
    """The progress of a run: the next epoch and step, both counted from 0, and the validation history."""

    epoch: int = 0
    step: int = 0
    stopping: EarlyStopping = field(default_factory=EarlyStopping)
    finished: bool = False


def save_config(lake: Lake, job: Job, built: Built) -> None:
    """Commit what is needed to rebuild the model: tokenizer.json and config.json."""
    if built.tokenizer is not None:
        lake.write_bytes(built.tokenizer.to_str().encode(), FOLDER, job.run_id, TOKENIZER)
    lake.write_json({"run_id": job.run_id, **job.identity(), "towers": built.towers}, FOLDER, job.run_id, CONFIG)


def load_model(lake: Lake, run_id: str, weights: str = BEST) -> tuple[Job, Built]:
    """Load the model of a run with its best weights, on the CPU, in evaluation mode.

    Raises `LakeError` for a folder that is missing or damaged, `InputError` for weights of another configuration.
    """
    job, built = load_config(lake, run_id)
    _load_weights(built.model, _open(lake, run_id, weights)[0], run_id)
    built.model.eval()
    return job, built


def load_config(lake: Lake, run_id: str) -> tuple[Job, Built]:
    """Return the model that a run's config.json describes, with random weights.

    Raises `LakeError` when config.json is damaged or of another version of Needledrop.
    """
    try:
        config = json.loads(lake.read_bytes(FOLDER, run_id, CONFIG))
        system, settings = SYSTEMS[config["system"]], settings_from_json(config["settings"])
        held_out = tuple(config.get("held_out", ()))
        job = Job(run_id, system, settings, config["seed"], config["dataset"], held_out)
        text = lake.read_bytes(FOLDER, run_id, TOKENIZER).decode() if "text" in config["towers"] else None
        tokenizer = None if text is None else Tokenizer.from_str(text)
        return job, rebuild_model(system, settings, config["towers"], tokenizer)
    except (ValueError, KeyError, TypeError) as error:
        raise LakeError(
            f"models/{run_id}/config.json does not describe a model of this Needledrop ({error}); "
            "delete the folder and train again"
        ) from error


def check_same_job(lake: Lake, job: Job) -> None:
    """Raise `InputError` when the folder of this run holds a run of another configuration."""
    stored, requested = json.loads(lake.read_bytes(FOLDER, job.run_id, CONFIG)), job.identity()
    different = [name for name in requested if name != "settings" and stored.get(name) != requested[name]]
    old, new = settings_from_json(stored["settings"]).by_name(), job.settings.by_name()
    different += [name for name in new if old[name] != new[name]]
    if different:
        raise InputError(
            f"The checkpoint in models/{job.run_id} is of another configuration ({', '.join(different)} differ); "
            "train under another name or delete that folder"
        )


def save_best(lake: Lake, run_id: str, model: nn.Module, epoch: int, loss: float) -> None:
    """Commit the weights of the best epoch so far."""
    tensors = {_MODEL + name: value for name, value in model.state_dict().items()}
    _save(lake, run_id, BEST, tensors, {"epoch": epoch, "valid_loss": loss})


@dataclass(frozen=True)
class LoopTensors:
    """Everything that the next step depends on, but the loop state."""

    model: nn.Module
    optimiser: torch.optim.Optimizer
    loss_sum: Tensor
    """Sum of the losses of the epoch's steps so far."""
    average: WeightAverage | None = None


def save_last(lake: Lake, run_id: str, loop: LoopTensors, state: LoopState) -> None:
    """Commit everything that the next step depends on; for a finished run, which has none, the loop state alone."""
    if state.finished:
        _save(lake, run_id, LAST, {}, asdict(state))
        return
    tensors = {_MODEL + name: value for name, value in loop.model.state_dict().items()}
    for weight, moments in loop.optimiser.state_dict()["state"].items():
        tensors.update({f"{_OPTIMISER}{weight}.{name}": value for name, value in moments.items()})
    if loop.average is not None:
        tensors.update({_AVERAGE + name: value for name, value in loop.average.values.items()})
    _save(lake, run_id, LAST, {**tensors, _LOSS_SUM: loop.loss_sum}, asdict(state))


def load_last(lake: Lake, run_id: str, loop: LoopTensors) -> None:
    """Restore the tensors of an unfinished run as `save_last` stored them."""
    tensors, _ = _open(lake, run_id, LAST)
    _load_weights(loop.model, tensors, run_id)
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith(_OPTIMISER):
            weight, moment = name.removeprefix(_OPTIMISER).split(".")
            moments.setdefault(int(weight), {})[moment] = value
    weights = [weight for group in loop.optimiser.param_groups for weight in group["params"]]
    laid_out = {number: _laid_out_as(weights[number], own) for number, own in moments.items()}
    loop.optimiser.load_state_dict({**loop.optimiser.state_dict(), "state": laid_out})
    loop.loss_sum.copy_(tensors[_LOSS_SUM])
    if loop.average is not None:
        for name, value in loop.average.values.items():
            value.copy_(tensors[_AVERAGE + name])


def _laid_out_as(weight: Tensor, moments: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the moments of a weight with its order of dimensions in memory, which files do not keep.

    The fused optimiser of a GPU reads weight, gradient and moments in the order of memory, and refuses different ones.
    """
    same_shape = {name for name, moment in moments.items() if moment.shape == weight.shape}
    return {
        name: torch.empty_like(weight, dtype=moment.dtype, device="cpu").copy_(moment) if name in same_shape else moment
        for name, moment in moments.items()
    }


def drop_tensors(lake: Lake, run_id: str) -> None:
    """Keep of last.safetensors of a finished run the loop state alone, which an earlier version did not do."""
    state = read_state(lake, run_id)
    if state is None or not state.finished:
        return
    with _opened(lake, run_id, LAST) as file:
        has_tensors = bool(file.keys())
    if has_tensors:
        _save(lake, run_id, LAST, {}, asdict(state))


def read_state(lake: Lake, run_id: str) -> LoopState | None:
    """Return the loop state of a run, or None if it has not saved a checkpoint yet.

    Raises `LakeError` for a checkpoint that is damaged.
    """
    if not lake.exists(FOLDER, run_id, LAST):
        return None
    with _opened(lake, run_id, LAST) as file:
        state = json.loads(file.metadata()[_STATE])
        return LoopState(**{**state, "stopping": EarlyStopping(**state["stopping"])})


def _save(lake: Lake, run_id: str, name: str, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    on_cpu = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    with lake.staged(FOLDER, run_id, name) as path:
        save_file(on_cpu, path, {_STATE: json.dumps(state)})


def _open(lake: Lake, run_id: str, name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    if not lake.exists(FOLDER, run_id, name):
        raise LakeError(f"models/{run_id}/{name} is not in the lake {lake.root}; train this run first")
    with _opened(lake, run_id, name) as file:
        return {key: file.get_tensor(key) for key in file.keys()}, json.loads(file.metadata()[_STATE])  # noqa: SIM118


@contextmanager
def _opened(lake: Lake, run_id: str, name: str) -> Iterator[Any]:
    """Open a file of tensors for a block that reads it. Raises `LakeError` for one that is damaged."""
    path: Path = lake.local_path(FOLDER, run_id, name)
    try:
        with safe_open(path, "pt") as file:
            yield file
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise LakeError(f"models/{run_id}/{name} is damaged ({error}); delete the folder and train again") from error


def _load_weights(model: nn.Module, tensors: dict[str, Tensor], run_id: str) -> None:
    weights = {name.removeprefix(_MODEL): value for name, value in tensors.items() if name.startswith(_MODEL)}
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(
            f"The weights in models/{run_id} do not fit its config.json: they are of another configuration; "
            "restore the folder or train again"
        ) from error
