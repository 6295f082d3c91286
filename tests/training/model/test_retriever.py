"""Every system runs forwards and backwards, trains what it should, and is measured as it was trained."""

import dataclasses

import numpy as np
import pytest
import torch

from training.config import PRESETS, SYSTEMS
from training.data.batches import FilmInputs, TrainingBatches
from training.loop.checkpoint import Job
from training.model.factory import build_model
from training.model.losses import INITIAL_LOG_SCALE
from training.loop.train import LoopInputs
from training.model.losses import batch_loss


def _first_batch(data, settings, system, built, seed=0):
    inputs = FilmInputs(data.train, system, settings, built.tokenizer)
    batch = TrainingBatches(data.train, inputs, settings, seed, (0, 1)).make(0, 0)
    return LoopInputs(Job("x", system, settings, seed, "v"), built.model, data.train, data.train, inputs, inputs), batch


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_runs_both_ways_and_trains_all_but_frozen_towers(name, shared, quick, machine):
    data, system = shared[1], SYSTEMS[name]
    built = build_model(system, quick, data.train, 0)
    task, batch = _first_batch(data, quick, system, built)
    batch_loss(task.model, task.job.settings, built.model(batch), batch, machine.gather).backward()
    without = {part for part, weight in built.model.named_parameters() if weight.grad is None}
    towers = {part for part, _ in built.model.named_parameters() if part.startswith(("films.text", "films.image"))}
    assert without == (towers if system.frozen else set())


@pytest.mark.parametrize("name", SYSTEMS)
def test_training_and_evaluation_embed_a_film_alike(name, shared, quick):
    data, system = shared[1], SYSTEMS[name]
    built = build_model(system, quick, data.train, 0)
    _, batch = _first_batch(data, quick, system, built)
    model = built.model.eval()
    with torch.no_grad():
        in_training = model(batch)
        query, audio = model.encode_query(batch.films)[batch.owner], model.encode_audio(batch.tracks)
    parts = torch.nn.functional.normalize(in_training.query, dim=-1).mean(1)
    assert torch.allclose(torch.nn.functional.normalize(query, dim=-1),
                          torch.nn.functional.normalize(parts, dim=-1), atol=1e-6)  # fmt: skip
    assert torch.equal(in_training.audio, audio)


def test_loss_of_a_new_model_is_about_the_logarithm_of_the_batch(shared, quick, machine):
    data, system = shared[1], SYSTEMS["All"]
    settings = dataclasses.replace(quick, batch=16, mask_same_film=False)
    built = build_model(system, settings, data.train, 0)
    task, batch = _first_batch(data, settings, system, built)
    loss = batch_loss(task.model, task.job.settings, built.model(batch), batch, machine.gather).item()
    assert loss == pytest.approx(np.log(16), abs=0.8)
    assert built.model.log_scale.item() == pytest.approx(INITIAL_LOG_SCALE)


def test_loss_does_not_hang_on_the_order_of_a_batch(shared, quick, machine):
    data, system = shared[1], SYSTEMS["TaPlo"]
    built = build_model(system, quick, data.train, 0)
    task, batch = _first_batch(data, quick, system, built)
    built.model.eval()
    encoded = built.model(batch)
    order = torch.randperm(len(batch.owner))
    shuffled = encoded._replace(query=encoded.query[order], audio=encoded.audio[order])
    moved = dataclasses.replace(batch, film_numbers=batch.film_numbers[order])
    assert torch.allclose(batch_loss(task.model, task.job.settings, shuffled, moved, machine.gather), batch_loss(task.model, task.job.settings, encoded, batch, machine.gather))


@pytest.mark.parametrize("preset", ["small", "paper"])
def test_silence_and_padding_train_to_numbers(preset, shared, quick, machine):
    data, settings = shared[1], dataclasses.replace(quick, head=PRESETS[preset].head)
    built = build_model(SYSTEMS["All"], settings, data.train, 0)
    task, batch = _first_batch(data, settings, SYSTEMS["All"], built)
    batch.tracks.mels[:4] = 0  # digital silence
    batch.tracks.ref_db[:4] = -100
    batch.tracks.mels[4:, :, 500:] = 0  # a short track, padded
    loss = batch_loss(task.model, task.job.settings, built.model.train()(batch), batch, machine.gather)
    loss.backward()
    assert loss.isfinite() and all(weight.grad.isfinite().all() for weight in built.model.parameters())


def test_bfloat16_towers_give_float32_losses_and_gradients(shared, quick, machine):
    data, settings = shared[1], dataclasses.replace(quick, head=PRESETS["paper"].head)
    built = build_model(SYSTEMS["All"], settings, data.train, 0)
    task, batch = _first_batch(data, settings, SYSTEMS["All"], built)
    whole = batch_loss(task.model, task.job.settings, built.model.eval()(batch), batch, machine.gather)
    with torch.autocast("cpu", torch.bfloat16):
        encoded = built.model(batch)
    loss = batch_loss(task.model, task.job.settings, encoded, batch, machine.gather)
    loss.backward()
    assert encoded.audio.dtype == torch.bfloat16
    assert {loss.dtype, *(weight.grad.dtype for weight in built.model.parameters())} == {torch.float32}
    assert loss.item() == pytest.approx(whole.item(), abs=0.05)


@pytest.mark.parametrize(("form", "layers"), [("paper", 1), ("code", 2), ("linear", 1)])
def test_the_embedding_net_has_the_layers_of_its_form(form, layers, shared, quick):
    settings = dataclasses.replace(quick, head=dataclasses.replace(quick.head, form=form))
    head = build_model(SYSTEMS["Im"], settings, shared[1].train, 0).model.query_head
    assert sum(isinstance(part, torch.nn.Linear) for part in head) == layers
    assert any(isinstance(part, torch.nn.Dropout) for part in head) == (form != "linear")


def test_the_whole_model_has_the_size_that_the_release_has(shared):
    released = dataclasses.replace(
        PRESETS["released"],
        text=dataclasses.replace(PRESETS["released"].text, pretrained="", vocabulary=30524),
        image=dataclasses.replace(PRESETS["released"].image, pretrained=""),
    )
    with torch.device("meta"):
        model = build_model(SYSTEMS["All"], released, shared[1].train, 0).model
    words = model.films.text.get_input_embeddings().weight.numel()
    size = sum(weight.numel() for weight in model.parameters()) - words + 30524 * 768
    unused = 2 * (768 * 768 + 768) + (513 - 63) * 256  # two poolers and positions that the release never reads
    assert (size + unused) / 1e6 == pytest.approx(201.7, abs=0.05)
