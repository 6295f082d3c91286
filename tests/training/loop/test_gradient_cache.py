"""A batch in pieces has the loss and the gradient of the whole, and draws the same in both of its passes."""

import dataclasses

import pytest
import torch

from training.config import SYSTEMS
from training.data.batches import FilmInputs, TrainingBatches, split_batch, validation_batches
from training.loop.checkpoint import Job
from training.loop.gradient_cache import backward_in_micro_batches, encode_in_micro_batches
from training.model.factory import build_model
from training.loop.train import LoopInputs, validation_loss
from training.model.losses import batch_loss


@pytest.fixture
def prepared(shared, quick):
    """A system's task on the shared version and its first batch of 16 tracks."""

    def prepare(name="All", **changes):
        settings, system, data = dataclasses.replace(quick, batch=16, **changes), SYSTEMS[name], shared[1]
        built = build_model(system, settings, data.train, 0)
        inputs = [FilmInputs(split, system, settings, built.tokenizer) for split in (data.train, data.valid)]
        task = LoopInputs(Job("pieces", system, settings, 0, "v"), built.model, data.train, data.valid, *inputs)
        return task, TrainingBatches(data.train, inputs[0], settings, 0, (0, 1)).make(0, 0)

    return prepare


def _gradients(model) -> torch.Tensor:
    flat = torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])
    model.zero_grad()
    return flat


def _agree(found: torch.Tensor, wanted: torch.Tensor) -> bool:
    """To 1e-5, and 1e-6 for what float32 rounds in sums of ones: new text towers have gradients of a hundredth."""
    return (found - wanted).norm().item() < 1e-5 * wanted.norm().item() + 1e-6


def _in_pieces(task, batch, size, machine):
    loss = backward_in_micro_batches(task.model, batch, size, machine, lambda e: batch_loss(task.model, task.job.settings, e, batch, machine.gather))
    return loss, _gradients(task.model)


@pytest.mark.parametrize(("name", "size"), [*((name, 3) for name in SYSTEMS), ("All", 8)])
def test_pieces_have_the_gradient_of_the_whole_batch(name, size, prepared, machine):
    task, batch = prepared(name)
    task.model.eval()  # no dropout, and batch norms that do not hang on the batch
    whole = batch_loss(task.model, task.job.settings, task.model(batch), batch, machine.gather)
    whole.backward()
    wanted = _gradients(task.model)
    loss, found = _in_pieces(task, batch, size, machine)
    assert torch.allclose(loss, whole, rtol=1e-5)
    assert _agree(found, wanted)


def test_batch_norm_and_dropout_of_the_heads_see_the_whole_batch(prepared, quick, machine):
    task, batch = prepared(head=dataclasses.replace(quick.head, form="code", dropout=0.0))
    task.model.train()
    task.model.films.eval()
    task.model.audio.eval()
    whole = batch_loss(task.model, task.job.settings, task.model(batch), batch, machine.gather)
    whole.backward()
    wanted, (loss, found) = _gradients(task.model), _in_pieces(task, batch, 5, machine)
    assert torch.allclose(loss, whole, rtol=1e-5)
    assert _agree(found, wanted)


def test_both_passes_draw_the_same_and_batch_norms_remember_one(prepared, machine):
    task, batch = prepared()
    heard, steps = [], task.model.audio.norm.num_batches_tracked
    task.model.train().audio.register_forward_hook(lambda _tower, _given, out: heard.append(out.detach().clone()))
    _in_pieces(task, batch, 4, machine)
    assert len(heard) == 8  # four pieces, twice, with dropout
    assert all(torch.equal(first, second) for first, second in zip(heard[:4], heard[4:], strict=True))
    assert steps == 4


def test_validation_in_pieces_is_validation(prepared, shared, machine):
    (task, _), (cut, _) = prepared(), prepared(micro_batch=3)
    assert validation_loss(cut, machine) == pytest.approx(validation_loss(task, machine), rel=1e-6)
    batch = next(validation_batches(task.valid, task.valid_inputs, 16))
    with torch.no_grad():
        whole, pieces = task.model(batch), encode_in_micro_batches(task.model, batch, 3)
    assert torch.allclose(pieces.query, whole.query, atol=1e-6) and torch.allclose(pieces.audio, whole.audio, atol=1e-6)


def test_pieces_are_the_rows_in_order_and_keep_what_is_missing(prepared):
    _, batch = prepared("Im")
    pieces = split_batch(batch.films, 3)
    assert [len(piece.pixels) for piece in pieces] == [3, 3, 2]
    assert torch.equal(torch.cat([piece.pixels for piece in pieces]), batch.films.pixels)
    assert {piece.tokens for piece in pieces} == {None}
