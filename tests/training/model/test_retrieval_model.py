"""Every system has gradients, embeds alike in training and evaluation, and keeps the names of its stored weights."""

import dataclasses
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from storage.errors import InputError
from storage.lake.lake import Lake
from training.data.batches import Batch, TrainingBatches
from training.data.film_inputs import FilmInputs
from training.loop.devices_and_torchrun import Machine, gather
from training.model.losses import INITIAL_LOG_SCALE
from training.model.retrieval_model import Built, Encoded, batch_loss, build_model
from training.presets import PRESETS
from training.settings import Settings
from training.systems import SYSTEMS, System
from training.training_runs import Data


def test_a_model_that_memory_has_no_place_for_is_a_sentence(
    shared: tuple[Lake, Data], quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("training.model.retrieval_model.text_tower", full)
    with pytest.raises(InputError, match=r"does not fit in this machine's memory; give smaller sizes"):
        build_model(SYSTEMS["All"], quick, shared[1].train, 0)


def _first_batch(data: Data, settings: Settings, system: System, built: Built, seed: int = 0) -> Batch:
    inputs = FilmInputs(data.train, system, settings, built.tokenizer)
    return TrainingBatches(data.train, inputs, settings, seed, (0, 1)).make(0, 0)


def _loss(built: Built, settings: Settings, encoded: Encoded, batch: Batch) -> Tensor:
    return batch_loss(built.model, settings, encoded, batch, partial(gather, Machine(torch.device("cpu"))))


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_has_gradients_for_all_weights_but_those_of_frozen_towers(
    name: str, shared: tuple[Lake, Data], quick: Settings
) -> None:
    data, system = shared[1], SYSTEMS[name]
    built = build_model(system, quick, data.train, 0)
    batch = _first_batch(data, quick, system, built)
    _loss(built, quick, built.model(batch), batch).backward()
    without = {part for part, weight in built.model.named_parameters() if weight.grad is None}
    towers = {part for part, _ in built.model.named_parameters() if part.startswith(("films.text", "films.image"))}
    assert without == (towers if system.frozen else set())


@pytest.mark.parametrize("name", SYSTEMS)
def test_training_and_evaluation_compute_the_same_embeddings(
    name: str, shared: tuple[Lake, Data], quick: Settings
) -> None:
    data, system = shared[1], SYSTEMS[name]
    built = build_model(system, quick, data.train, 0)
    batch = _first_batch(data, quick, system, built)
    model = built.model.eval()
    with torch.no_grad():
        in_training = model(batch)
        query, audio = model.encode_query(batch.films)[batch.owner], model.encode_audio(batch.tracks)
    parts = torch.nn.functional.normalize(in_training.query, dim=-1).mean(1)
    assert torch.allclose(torch.nn.functional.normalize(query, dim=-1),
                          torch.nn.functional.normalize(parts, dim=-1), atol=1e-6)  # fmt: skip
    assert torch.equal(in_training.audio, audio)


def test_loss_of_a_new_model_is_about_the_logarithm_of_the_batch(shared: tuple[Lake, Data], quick: Settings) -> None:
    data, system = shared[1], SYSTEMS["All"]
    settings = quick.changed({"training.batch": 16, "data.mask_same_film": False})
    built = build_model(system, settings, data.train, 0)
    batch = _first_batch(data, settings, system, built)
    loss = _loss(built, settings, built.model(batch), batch).item()
    assert loss == pytest.approx(np.log(16), abs=0.8)
    assert built.model.log_scale.item() == pytest.approx(INITIAL_LOG_SCALE)


def test_loss_does_not_depend_on_the_order_of_a_batch(shared: tuple[Lake, Data], quick: Settings) -> None:
    data, system = shared[1], SYSTEMS["TaPlo"]
    built = build_model(system, quick, data.train, 0)
    batch = _first_batch(data, quick, system, built)
    built.model.eval()
    encoded = built.model(batch)
    order = torch.randperm(len(batch.owner))
    shuffled = encoded._replace(query=encoded.query[order], audio=encoded.audio[order])
    moved = dataclasses.replace(batch, film_numbers=batch.film_numbers[order])
    assert torch.allclose(
        _loss(built, quick, shuffled, moved),
        _loss(built, quick, encoded, batch),
    )


@pytest.mark.parametrize("preset", ["small", "paper"])
def test_silence_and_padding_give_finite_losses_and_gradients(
    preset: str, shared: tuple[Lake, Data], quick: Settings
) -> None:
    data, settings = shared[1], dataclasses.replace(quick, head=PRESETS[preset].head)
    built = build_model(SYSTEMS["All"], settings, data.train, 0)
    batch = _first_batch(data, settings, SYSTEMS["All"], built)
    batch.tracks.mels[:4] = 0  # digital silence
    batch.tracks.ref_db[:4] = -100
    batch.tracks.mels[4:, :, 500:] = 0  # a short track, padded with silence
    loss = _loss(built, settings, built.model.train()(batch), batch)
    loss.backward()
    assert loss.isfinite() and all(weight.grad.isfinite().all() for weight in built.model.parameters())


def test_bfloat16_towers_have_float32_heads_losses_and_gradients(shared: tuple[Lake, Data], quick: Settings) -> None:
    data, settings = shared[1], dataclasses.replace(quick, head=PRESETS["paper"].head)
    built = build_model(SYSTEMS["All"], settings, data.train, 0)
    batch = _first_batch(data, settings, SYSTEMS["All"], built)
    in_float32 = _loss(built, settings, built.model.eval()(batch), batch)
    with torch.autocast("cpu", torch.bfloat16):
        encoded = built.model(batch)
    loss = _loss(built, settings, encoded, batch)
    loss.backward()
    assert {encoded.query.dtype, encoded.audio.dtype} == {torch.float32}  # heads compute outside autocast
    assert {loss.dtype, *(weight.grad.dtype for weight in built.model.parameters())} == {torch.float32}
    assert loss.item() == pytest.approx(in_float32.item(), abs=0.05)


@pytest.mark.parametrize(("form", "layers"), [("paper", 1), ("code", 2), ("linear", 1)])
def test_the_embedding_net_has_the_layers_of_its_form(
    form: str, layers: int, shared: tuple[Lake, Data], quick: Settings
) -> None:
    settings = dataclasses.replace(quick, head=dataclasses.replace(quick.head, form=form))
    head = build_model(SYSTEMS["Im"], settings, shared[1].train, 0).model.query_head
    assert sum(isinstance(part, torch.nn.Linear) for part in head) == layers
    assert any(isinstance(part, torch.nn.Dropout) for part in head) == (form != "linear")


def test_the_released_preset_has_the_number_of_weights_of_the_release(shared: tuple[Lake, Data]) -> None:
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


@pytest.mark.parametrize("name", ["All", "AVCA"])
def test_the_names_of_stored_weights_are_those_of_earlier_versions(
    name: str, shared: tuple[Lake, Data], quick: Settings
) -> None:
    model = build_model(SYSTEMS[name], quick, shared[1].train, 0).model
    heads = {"All": {"query_head.0", "log_scale"}, "AVCA": {"text_head.0", "image_head.0"}}[name]
    assert {".".join(weight.split(".")[:2]) for weight in model.state_dict()} == heads | {
        "audio.blocks", "audio.layers", "audio.norm", "audio.positions", "audio.project", "audio.summary",
        "audio_head.0", "films.attend", "films.image", "films.positions", "films.project", "films.text",
    }  # fmt: skip
    attention = {weight.removeprefix("films.attend.") for weight in model.state_dict() if "films.attend." in weight}
    assert {weight.split(".")[0] for weight in attention} == {"norm", "qkv", "out", "mlp"}


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_system_trains_with_the_choices_of_the_paper(
    name: str, shared: tuple[Lake, Data], quick: Settings
) -> None:
    paper = {"head.fusion": "cross", "data.triplet_negatives": "set", "data.keep_decades": True}
    data, system, settings = shared[1], SYSTEMS[name], quick.changed(paper)
    built = build_model(system, settings, data.train, 0)
    batch = _first_batch(data, settings, system, built)
    _loss(built, settings, built.model(batch), batch).backward()
    without = {part for part, weight in built.model.named_parameters() if weight.grad is None}
    assert {part for part in without if not part.startswith(("films.text", "films.image"))} == set()
    assert hasattr(built.model.films, "positions") == (system.loss == "triplet")  # AVCA keeps its own block
