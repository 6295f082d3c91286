"""The optimiser with its weight decay, the learning-rate schedule, early stopping, and gradient caching.

Pure functions and one small record, so that a resumed run needs no scheduler object: the learning rate is a function
of the step, and the state of early stopping is three numbers in the checkpoint.

Gradient caching is for a batch that does not fit in memory: it is encoded in micro-batches, with the loss of the
complete batch. GradCache (Gao et al. 2021): each micro-batch goes through the towers without a gradient; heads and loss
see the features of the complete batch; then each micro-batch goes through its tower again and receives the gradient of
the loss for its features. Memory holds the activations of one micro-batch; the second forward pass costs a third more
time.

Exact: every negative of the batch counts, the heads with their batch norm and dropout see the batch at once, and the
dropout of a tower is the same in both passes. Not exact: the audio tower's batch norm, whose statistics are those of
each micro-batch, as they are those of each rank without synchronisation. The gradient is exactly that of the loss with
this normalisation; running statistics are updated once per micro-batch.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from training.config import Settings
from training.data.batches import Batch, Tracks, split_batch
from training.loop.devices import Machine
from training.model.retrievers import Encoded, Model

SMALLEST_SHARE = 0.02
"""The cosine schedule ends at this fraction of the peak rate: a last epoch at zero would be wasted."""
Encode = Callable[[Any], Tensor]


@dataclass(frozen=True)
class EarlyStopping:
    """The validation history: the lowest loss, its epoch (counted from 0), and the number of epochs since."""

    best_loss: float = math.inf
    best_epoch: int = -1
    epochs_since: int = 0

    def after(self, epoch: int, loss: float) -> EarlyStopping:
        """Return the history with one more epoch; a NaN loss is no improvement.

        Where the validation split is too small for a loss (infinite in every epoch), the newest weights are the best.
        """
        if loss < self.best_loss or loss == self.best_loss == math.inf:
            return EarlyStopping(loss, epoch, 0)
        return EarlyStopping(self.best_loss, self.best_epoch, self.epochs_since + 1)

    def is_due(self, patience: int) -> bool:
        """Return whether the last `patience` epochs had no lower loss."""
        return self.epochs_since >= patience


def learning_rate_at(step: int, steps: int, settings: Settings) -> float:
    """Return the learning rate of step `step` of `steps`, counted from 0: linear warm-up, then constant or cosine."""
    warm_up = round(settings.warm_up_share * steps)
    if step < warm_up:
        return settings.learning_rate * (step + 1) / warm_up
    if settings.schedule == "constant":
        return settings.learning_rate
    done = (step - warm_up) / max(steps - warm_up, 1)
    share = SMALLEST_SHARE + (1 - SMALLEST_SHARE) * (1 + math.cos(math.pi * min(done, 1.0))) / 2
    return settings.learning_rate * share


def build_optimiser(model: nn.Module, settings: Settings, device: torch.device) -> torch.optim.Optimizer:
    """Return Adam (decay as an L2 term on every weight, as released) or AdamW (decay on matrices only).

    One-dimensional weights are biases, norms and scales, which need no decay.
    """
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    fused = device.type == "cuda"
    if settings.optimiser == "adam":
        return torch.optim.Adam(weights, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=fused)
    groups = [
        {"params": [w for w in weights if w.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [w for w in weights if w.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=fused)


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of every parameter group."""
    for group in optimiser.param_groups:
        group["lr"] = rate


def backward_in_micro_batches(
    model: Model, batch: Batch, size: int, machine: Machine, loss_of: Callable[[Encoded], Tensor]
) -> Tensor:
    """Add the gradient of a batch's loss to every weight, `size` films or tracks at a time; returns the loss."""
    towers: list[tuple[Encode, list[Any]]] = [
        (model.films, split_batch(batch.films, size)),
        (_audio_encoder(model), split_batch(batch.tracks, size)),
    ]
    seeds = [torch.randint(2**62, (len(micro_batches),)).tolist() for _, micro_batches in towers]
    with torch.no_grad(), _frozen_running_statistics(model):
        films, audio = (
            torch.cat(list(_encoded(encode, micro_batches, own_seeds, machine)))
            for (encode, micro_batches), own_seeds in zip(towers, seeds, strict=True)
        )
    with machine.autocast():
        encoded = model.heads(films.requires_grad_(), audio.requires_grad_(), batch.owner)
    loss = loss_of(encoded)
    loss.backward()  # type: ignore[no-untyped-call]
    for (encode, micro_batches), own_seeds, features in zip(towers, seeds, (films, audio), strict=True):
        assert features.grad is not None
        gradients = torch.split(features.grad, size)
        again = _encoded(encode, micro_batches, own_seeds, machine)
        for output, gradient in zip(again, gradients, strict=True):
            output.backward(gradient)  # type: ignore[no-untyped-call]
    return loss.detach()


def encode_in_micro_batches(model: Model, batch: Batch, size: int) -> Encoded:
    """Return `model(batch)` of evaluation mode, encoded `size` films or tracks at a time; without gradients."""
    encode_audio = _audio_encoder(model)
    films = torch.cat([model.films(part) for part in split_batch(batch.films, size)])
    audio = torch.cat([encode_audio(part) for part in split_batch(batch.tracks, size)])
    return model.heads(films, audio, batch.owner)


def _audio_encoder(model: Model) -> Encode:
    tower = model.audio  # not the model: the traceback of a failed run would keep all of it in memory

    def encode(tracks: Tracks) -> Tensor:
        features: Tensor = tower(tracks.mels, tracks.ref_db)
        return features

    return encode


def _encoded(encode: Encode, micro_batches: list[Any], seeds: list[int], machine: Machine) -> Iterator[Tensor]:
    """Yield each micro-batch's features; the same seeds give the same dropout."""
    for micro_batch, seed in zip(micro_batches, seeds, strict=True):
        torch.manual_seed(seed)
        with machine.autocast():
            features = encode(micro_batch)
        yield features


@contextlib.contextmanager
def _frozen_running_statistics(model: nn.Module) -> Iterator[None]:
    """Make batch norms use the batch's statistics without updating their running ones: the second pass does that."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
