"""The optimiser with its rates and decay, the schedule, early stopping, and averaged weights.

Pure functions and one small record, so that a resumed run needs no scheduler object: the learning rate is a function
of the step, and the state of early stopping is three numbers in the checkpoint.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.model.losses import LARGEST_SCALE
from training.model.retrieval_model import Retriever
from training.settings import Settings

SMALLEST_SHARE = 0.02
"""The cosine schedule ends at this fraction of the peak rate: a last epoch at zero would be wasted."""
LARGEST_LOG_SCALE = math.log(LARGEST_SCALE) - 1e-6
"""A little below the limit: in float32 the exponential of its logarithm is above it, where the loss has no gradient."""


@dataclass(frozen=True)
class EarlyStopping:
    """The validation history: the lowest loss (or median rank), its epoch, counted from 0, and the epochs since."""

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


def learning_rate_at(step: int, steps: int, settings: Settings, peak: float | None = None) -> float:
    """Return the learning rate of step `step` of `steps`, counted from 0: linear warm-up, then constant or cosine.

    `peak`: the rate after the warm-up, by default that of the settings.
    """
    chosen, peak = settings.optimiser, settings.optimiser.rate if peak is None else peak
    warm_up = round(chosen.warm_up_share * steps)
    if step < warm_up:
        return peak * (step + 1) / warm_up
    if chosen.schedule == "constant":
        return peak
    done = (step - warm_up) / max(steps - warm_up, 1)
    return peak * (SMALLEST_SHARE + (1 - SMALLEST_SHARE) * (1 + math.cos(math.pi * min(done, 1.0))) / 2)


def build_optimiser(model: nn.Module, settings: Settings, device: torch.device) -> torch.optim.Optimizer:
    """Return Adam (decay as an L2 term on every weight, as released) or AdamW (decay on matrices only).

    One-dimensional weights are biases, norms and scales, which need no decay. A group of weights per peak rate and
    decay: matrices first, and within them in the order of the model, which checkpoints rely on.
    """
    chosen, fused = settings.optimiser, device.type == "cuda"
    groups: dict[tuple[bool, float], list[nn.Parameter]] = {}
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            decays = chosen.name == "adam" or weight.ndim >= 2
            groups.setdefault((decays, peak_rate(name, settings)), []).append(weight)
    listed = []
    for decays, peak in sorted(groups, key=lambda group: not group[0]):
        decay = chosen.weight_decay if decays else 0.0
        listed.append({"params": groups[decays, peak], "lr": peak, "peak": peak, "weight_decay": decay})
    kind = torch.optim.Adam if chosen.name == "adam" else torch.optim.AdamW
    return kind(listed, fused=fused)


def peak_rate(weight: str, settings: Settings) -> float:
    """Return the peak learning rate of a weight of a model, by its name: that of its part, or else that of all."""
    rates = settings.optimiser
    for prefix, rate in (
        ("films.text.", rates.text_rate),
        ("films.image.", rates.image_rate),
        ("audio.", rates.audio_rate),
        ("log_scale", rates.scale_rate),
        ("", rates.head_rate),
    ):
        if weight.startswith(prefix):
            return rates.rate if rate is None else rate
    raise AssertionError(weight)


def set_learning_rates(optimiser: torch.optim.Optimizer, step: int, steps: int, settings: Settings) -> None:
    """Set the learning rate that each group of weights has at a step."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate_at(step, steps, settings, group["peak"])


def limit_scale(model: nn.Module) -> None:
    """Bring the scale of InfoNCE back to its limit after a step, as open_clip does.

    The loss limits it too, but has no gradient beyond: a scale once past the limit would never change again.
    """
    if isinstance(model, Retriever):
        with torch.no_grad():
            model.log_scale.clamp_(max=LARGEST_LOG_SCALE)


class WeightAverage:
    """The exponential moving average of a model's weights and of its batch norms' running statistics.

    Early in training it averages fewer steps, as the initial weights would weigh too much.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        fixed = {name for name, weight in model.named_parameters() if not weight.requires_grad}
        state = {name: value for name, value in model.state_dict().items() if value.is_floating_point()}
        self._weights = {name: value for name, value in state.items() if name not in fixed}
        self.values = {name: value.clone() for name, value in self._weights.items()}

    def update(self, step: int) -> None:
        """Take the weights after step `step` (counted from 0) into the average."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.values.values()), list(self._weights.values()), 1 - decay)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Let the model have the averaged weights, and afterwards its own again."""
        own = {name: weight.clone() for name, weight in self._weights.items()}
        self._copy(self.values)
        try:
            yield
        finally:
            self._copy(own)

    def _copy(self, values: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, weight in self._weights.items():
                weight.copy_(values[name])
