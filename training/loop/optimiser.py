"""How weights move: which are decayed, the learning rate of a step, and when to stop.

Pure functions and one small record, so that a resumed run needs no scheduler object: the rate is a
function of the step, and patience is three numbers in the checkpoint.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from training.config import Settings

SMALLEST_SHARE = 0.02
"""Of the peak rate, where the cosine ends: a last epoch at zero would be wasted."""


@dataclass(frozen=True)
class Stopping:
    """How validation has gone: the lowest loss, the epoch it came in (counted from 0), epochs since."""

    best_loss: float = math.inf
    best_epoch: int = -1
    epochs_since: int = 0

    def after(self, epoch: int, loss: float) -> Stopping:
        """The record with one more epoch; a loss that is not a number is no improvement.

        Where validation is too small to be measured (infinite in every epoch), the newest weights are the best.
        """
        if loss < self.best_loss or loss == self.best_loss == math.inf:
            return Stopping(loss, epoch, 0)
        return Stopping(self.best_loss, self.best_epoch, self.epochs_since + 1)

    def is_due(self, patience: int) -> bool:
        """Whether `patience` epochs in a row brought no lower loss."""
        return self.epochs_since >= patience


def learning_rate_at(step: int, steps: int, settings: Settings) -> float:
    """The rate of optimiser step `step` of `steps`, counted from 0: linear warm-up, then constant or cosine."""
    warm_up = round(settings.warm_up_share * steps)
    if step < warm_up:
        return settings.learning_rate * (step + 1) / warm_up
    if settings.schedule == "constant":
        return settings.learning_rate
    done = (step - warm_up) / max(steps - warm_up, 1)
    share = SMALLEST_SHARE + (1 - SMALLEST_SHARE) * (1 + math.cos(math.pi * min(done, 1.0))) / 2
    return settings.learning_rate * share


def build_optimiser(model: nn.Module, settings: Settings, device: torch.device) -> torch.optim.Optimizer:
    """Adam (decay as an L2 term on every weight, as released) or AdamW (decay on matrices only).

    One-dimensional weights are biases, norms and scales: pulling those to zero has no use.
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
    """Give every group this rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate
