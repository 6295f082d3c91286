"""The learning rate of every step, weight decay, and early stopping."""

import dataclasses
import math

import pytest
import torch
from torch import nn

from training.config import PRESETS
from training.loop.optimisation import EarlyStopping, build_optimiser, learning_rate_at

SMALL = dataclasses.replace(PRESETS["small"], learning_rate=1.0, warm_up_share=0.1)


def test_rate_warms_up_then_follows_a_cosine_to_a_fiftieth() -> None:
    rates = [learning_rate_at(step, 100, SMALL) for step in (0, 4, 9, 10, 55, 100)]
    assert rates == pytest.approx([0.1, 0.5, 1.0, 1.0, 0.51, 0.02])


def test_paper_preset_has_a_constant_rate() -> None:
    assert {learning_rate_at(step, 50, PRESETS["paper"]) for step in range(50)} == {1e-5}


def test_adamw_decays_matrices_but_not_biases_and_norms() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4))
    groups = build_optimiser(model, SMALL, torch.device("cpu")).param_groups
    assert [(group["weight_decay"], len(group["params"])) for group in groups] == [(0.05, 1), (0.0, 3)]


def test_frozen_weights_are_not_optimised() -> None:
    model = nn.Linear(4, 4)
    model.bias.requires_grad_(False)
    (group,) = build_optimiser(model, PRESETS["released"], torch.device("cpu")).param_groups
    assert [weight.shape for weight in group["params"]] == [(4, 4)]
    assert group["weight_decay"] == 1e-5


def test_training_stops_after_three_epochs_without_a_lower_loss() -> None:
    losses = [3.0, 2.0, 2.5, 1.9, 1.9, math.nan, 2.0]
    stopping, due = EarlyStopping(), []
    for epoch, loss in enumerate(losses):
        stopping = stopping.after(epoch, loss)
        due.append(stopping.is_due(3))
    assert (stopping.best_epoch, stopping.best_loss) == (3, 1.9)
    assert due == [False] * 6 + [True]


def test_an_infinite_validation_loss_keeps_the_newest_weights() -> None:
    stopping = EarlyStopping()
    for epoch in range(5):
        stopping = stopping.after(epoch, math.inf)
    assert stopping.best_epoch == 4
    assert not stopping.is_due(3)
