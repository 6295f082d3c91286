"""The learning rate of every step, weight decay, early stopping; micro-batches have the gradient of the whole batch."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from storage.lake.lake import Lake
from training.data.batches import Batch, TrainingBatches, split_batch, validation_batches
from training.data.film_inputs import FilmInputs
from training.loop.checkpoint import Job
from training.loop.devices_and_torchrun import Machine, gather
from training.loop.micro_batches_and_out_of_memory import backward_in_micro_batches, encode_in_micro_batches
from training.loop.optimiser_and_early_stopping import (
    EarlyStopping,
    WeightAverage,
    build_optimiser,
    learning_rate_at,
    limit_scale,
    set_learning_rates,
)
from training.loop.train import LoopInputs, validation_loss
from training.model.losses import info_nce
from training.model.retrieval_model import Encoded, Model, batch_loss, build_model
from training.presets import PRESETS, with_options
from training.settings import Settings
from training.systems import SYSTEMS
from training.training_runs import Data

SMALL = PRESETS["small"].changed({"optimiser.rate": 1.0, "optimiser.warm_up_share": 0.1})
Prepared = Callable[..., tuple[LoopInputs, Batch]]


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


@pytest.fixture
def prepared(shared: tuple[Lake, Data], quick: Settings) -> Prepared:
    """A system's loop inputs on the shared version, and its first batch of 16 tracks."""

    def prepare(name: str = "All", **changes: Any) -> tuple[LoopInputs, Batch]:
        settings, system, data = with_options(quick, {"batch": 16, **changes}), SYSTEMS[name], shared[1]
        built = build_model(system, settings, data.train, 0)
        films = [FilmInputs(split, system, settings, built.tokenizer) for split in (data.train, data.valid)]
        inputs = LoopInputs(Job("pieces", system, settings, 0, "v"), built.model, data.train, data.valid, *films)
        return inputs, TrainingBatches(data.train, films[0], settings, 0, (0, 1)).make(0, 0)

    return prepare


def _gradients(model: Model) -> torch.Tensor:
    flat = torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])
    model.zero_grad()
    return flat


def _close(actual: torch.Tensor, expected: torch.Tensor) -> bool:
    """To 1e-5, and 1e-6 for float32 rounding in sums of ones: new text towers have gradients of a hundredth."""
    return (actual - expected).norm().item() < 1e-5 * expected.norm().item() + 1e-6


def _loss(inputs: LoopInputs, batch: Batch, machine: Machine, encoded: Encoded | None = None) -> torch.Tensor:
    output = inputs.model(batch) if encoded is None else encoded
    return batch_loss(inputs.model, inputs.job.settings, output, batch, partial(gather, machine))


def _complete(inputs: LoopInputs, batch: Batch, machine: Machine) -> tuple[torch.Tensor, torch.Tensor]:
    loss = _loss(inputs, batch, machine)
    loss.backward()
    return loss, _gradients(inputs.model)


def test_each_part_of_a_model_has_its_own_rate(prepared: Prepared) -> None:
    rates = {"text": 1e-5, "image": 2e-5, "audio": 3e-4, "head": 4e-4, "scale": 5e-3}
    model, settings = prepared()[0].model, SMALL.changed({f"optimiser.{part}_rate": r for part, r in rates.items()})
    optimiser = build_optimiser(model, settings, torch.device("cpu"))
    set_learning_rates(optimiser, 0, 100, settings)  # the first of ten steps of warm-up
    rate_of = {weight: group["lr"] for group in optimiser.param_groups for weight in group["params"]}
    beginnings = {"films.text.": "text", "films.image.": "image", "audio.": "audio", "log_scale": "scale"}
    for name, weight in model.named_parameters():
        part = next((part for start, part in beginnings.items() if name.startswith(start)), "head")
        assert rate_of[weight] == pytest.approx(rates[part] / 10), name
    assert {group["weight_decay"] for group in optimiser.param_groups} == {0.0, SMALL.optimiser.weight_decay}


def test_a_scale_past_its_limit_comes_back_and_learns_again(prepared: Prepared) -> None:
    model, vectors = prepared()[0].model, torch.eye(4, 8)
    nn.init.constant_(model.log_scale, 10.0)
    limit_scale(model)
    info_nce(vectors, vectors.roll(1, 0), model.log_scale).backward()
    assert 99.9 < model.log_scale.exp() <= 100
    assert model.log_scale.grad > 0


def test_a_scale_within_its_limit_keeps_its_bits(prepared: Prepared) -> None:
    model = prepared()[0].model
    before = model.log_scale.item()
    limit_scale(model)
    assert model.log_scale.item() == before


def test_averaged_weights_follow_slowly_and_are_lent_to_the_model() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 0.0)
    average = WeightAverage(model, 0.5)
    for step in range(6):
        nn.init.constant_(model.weight, 1.0)
        average.update(step)
    assert 0.9 < average.values["weight"].item() < 1
    nn.init.constant_(model.weight, 7.0)
    with average.applied():
        assert model.weight.item() == average.values["weight"].item()
    assert model.weight.item() == 7.0


def _in_micro_batches(
    inputs: LoopInputs, batch: Batch, size: int, machine: Machine
) -> tuple[torch.Tensor, torch.Tensor]:
    model = inputs.model
    loss = backward_in_micro_batches(model, batch, size, machine, lambda e: _loss(inputs, batch, machine, e))
    return loss, _gradients(model)


@pytest.mark.parametrize(("name", "size"), [*((name, 3) for name in SYSTEMS), ("All", 8)])
def test_micro_batches_have_the_gradient_of_the_complete_batch(
    name: str, size: int, prepared: Prepared, machine: Machine
) -> None:
    inputs, batch = prepared(name)
    inputs.model.eval()  # no dropout, and batch norms that do not depend on the batch
    expected_loss, expected = _complete(inputs, batch, machine)
    loss, gradients = _in_micro_batches(inputs, batch, size, machine)
    assert torch.allclose(loss, expected_loss, rtol=1e-5)
    assert _close(gradients, expected)


def test_batch_norm_and_dropout_of_the_heads_see_the_complete_batch(
    prepared: Prepared, quick: Settings, machine: Machine
) -> None:
    inputs, batch = prepared(**{"head.form": "code", "head.dropout": 0.0})
    inputs.model.train()
    inputs.model.films.eval()
    inputs.model.audio.eval()
    expected_loss, expected = _complete(inputs, batch, machine)
    loss, gradients = _in_micro_batches(inputs, batch, 5, machine)
    assert torch.allclose(loss, expected_loss, rtol=1e-5)
    assert _close(gradients, expected)


def test_both_passes_have_equal_dropout_and_update_batch_norms_once(prepared: Prepared, machine: Machine) -> None:
    inputs, batch = prepared()
    outputs, updates = [], inputs.model.audio.norm.num_batches_tracked
    inputs.model.train().audio.register_forward_hook(lambda _tower, _args, out: outputs.append(out.detach().clone()))
    _in_micro_batches(inputs, batch, 4, machine)
    assert len(outputs) == 8  # four micro-batches, twice, with dropout
    assert all(torch.equal(first, second) for first, second in zip(outputs[:4], outputs[4:], strict=True))
    assert updates == 4


def test_validation_in_micro_batches_has_the_same_loss(prepared: Prepared, machine: Machine) -> None:
    (inputs, _), (split, _) = prepared(), prepared(micro_batch=3)
    assert validation_loss(split, machine) == pytest.approx(validation_loss(inputs, machine), rel=1e-6)
    batch = next(validation_batches(inputs.valid, inputs.valid_inputs, 16))
    with torch.no_grad():
        complete, parts = inputs.model(batch), encode_in_micro_batches(inputs.model, batch, 3)
    assert torch.allclose(parts.query, complete.query, atol=1e-6)
    assert torch.allclose(parts.audio, complete.audio, atol=1e-6)


def test_a_split_batch_has_its_rows_in_order_and_keeps_missing_inputs_missing(
    prepared: Prepared,
) -> None:
    _, batch = prepared("Im")
    parts = split_batch(batch.films, 3)
    assert [len(part.pixels) for part in parts] == [3, 3, 2]
    assert torch.equal(torch.cat([part.pixels for part in parts]), batch.films.pixels)
    assert {part.tokens for part in parts} == {None}
