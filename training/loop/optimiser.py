"""The optimiser with its weight decay, the learning-rate schedule, and early stopping.

Pure functions and one small record, so that a resumed run needs no scheduler object: the learning rate is a function
of the step, and the state of early stopping is three numbers in the checkpoint.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from training.config import Settings

SMALLEST_SHARE = 0.02
"""The cosine schedule ends at this fraction of the peak rate: a last epoch at zero would be wasted."""


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
