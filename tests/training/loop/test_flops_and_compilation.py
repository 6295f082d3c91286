"""The speed of training: peaks of GPUs, operations counted as they are done, compiled towers, steps without a wait."""

import dataclasses
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModel

from storage.lake.lake import Lake
from tests.training.pretrained_models import PREPROCESSORS, TOKENIZERS, image_config, text_config
from training.data.batches import Batch, TrainingBatches
from training.data.film_inputs import FilmInputs
from training.loop.devices_and_torchrun import Machine
from training.loop.flops_and_compilation import FlopCount, _on_meta, _repeated_layers, compile_towers, peak_of
from training.model.retrieval_model import Model, batch_loss, build_model
from training.settings import Settings
from training.systems import SYSTEMS
from training.training_runs import Data


def model_and_batch(data: Data, settings: Settings, system: str = "All") -> tuple[Model, Batch]:
    built = build_model(SYSTEMS[system], settings, data.train, 0)
    inputs = FilmInputs(data.train, SYSTEMS[system], settings, built.tokenizer)
    return built.model, TrainingBatches(data.train, inputs, settings, 0, (0, 1)).make(0, 0)


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA L4", 121e12),
        ("NVIDIA L40", 181e12),
        ("NVIDIA L40S", 362e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H100 NVL", 835e12),
        ("NVIDIA H200", 989e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA A100 80GB PCIe", 312e12),
        ("NVIDIA GeForce RTX 4090", 165e12),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", None),
        ("NVIDIA L400", None),
    ],
)
def test_every_card_has_its_own_peak(name: str, peak: float | None) -> None:
    assert peak_of(name) == peak


@pytest.mark.parametrize("system", ["All", "Ta", "AVCA", "AVCA-tuned"])
def test_counted_operations_are_those_of_a_step(system: str, shared: tuple[Lake, Data], quick: Settings) -> None:
    model, batch = model_and_batch(shared[1], quick, system)
    counted = FlopCount(model).of(batch)
    counter: Any = FlopCounterMode(display=False)
    with counter, torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        loss = model.encode_query(batch.films).sum() + model.encode_audio(batch.tracks).sum()
        loss.backward()
    assert counted == pytest.approx(counter.get_total_flops(), rel=1e-6)


def test_longer_texts_and_more_films_cost_more(shared: tuple[Lake, Data], quick: Settings) -> None:
    model, batch = model_and_batch(shared[1], quick, "Ta")
    count, films = FlopCount(model), batch.films
    longer = dataclasses.replace(films, **{n: torch.cat([getattr(films, n)] * 2, 1) for n in ("tokens", "token_mask")})
    assert count.of(dataclasses.replace(batch, films=longer)) > count.of(batch)
    one, two = (count.of(dataclasses.replace(batch, films=films.rows(0, n))) for n in (1, 2))
    assert count.of(batch) == pytest.approx(one + (two - one) * (len(films) - 1))


def test_counting_leaves_a_compiled_model_compiled(shared: tuple[Lake, Data], quick: Settings) -> None:
    graphs: list[Any] = []
    model, batch = model_and_batch(shared[1], quick, "Ta")
    compile_towers(model, backend=lambda graph, _inputs: graphs.append(graph) or graph.forward)
    assert FlopCount(model).of(batch) > 0 and not graphs
    model(batch)
    assert graphs


@pytest.mark.parametrize("layers", [2, 3])
def test_any_number_of_layers_films_and_tokens_compiles_three_graphs(
    layers: int, shared: tuple[Lake, Data], quick: Settings
) -> None:
    torch.compiler.reset()  # what other tests compiled
    graphs: list[Any] = []
    model, batch = model_and_batch(shared[1], quick.changed({"text.layers": layers, "image.layers": layers}))
    compile_towers(model, backend=lambda graph, inputs: graphs.append(inputs) or graph.forward)
    model.eval()
    for films, length in ((6, 24), (5, 32), (4, 16)):  # first no size that a weight has too
        cut = {n: getattr(batch.films, n)[:films, :length].contiguous() for n in ("tokens", "token_mask")}
        cut["token_mask"][0, length // 2 :] = False  # as on a GPU, where a mask is given also if nothing is padded
        cut["pixels"] = batch.films.pixels[:films]
        with torch.no_grad():
            model.films(dataclasses.replace(batch.films, **cut))
            model.audio(batch.tracks.mels, batch.tracks.ref_db)
    assert len(graphs) == 3  # a layer of the text tower, one of the image tower, and the audio tower


SPECIAL = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), 0)
CONFIGS = [*(text_config(kind, 600, SPECIAL) for kind in TOKENIZERS), *map(image_config, PREPROCESSORS)]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.model_type)
def test_every_type_of_tower_has_layers_to_compile(config: Any) -> None:
    assert len(_repeated_layers(AutoModel.from_config(config))) == config.num_hidden_layers


@pytest.mark.parametrize("system", ["All", "Plo", "AVCA-tuned"])
def test_no_step_waits_for_the_device(system: str, shared: tuple[Lake, Data], quick: Settings) -> None:
    model, batch = model_and_batch(shared[1], quick, system)
    on_meta: Any = _on_meta(model)  # where reading a value, which would wait for a device, is an error
    optimiser = torch.optim.AdamW([weight for weight in on_meta.parameters() if weight.requires_grad])
    moved = Machine(torch.device("meta")).move(batch)
    loss = batch_loss(on_meta, quick, on_meta(moved), moved, lambda rows: rows)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(on_meta.parameters(), 1.0)
    optimiser.step()
    assert loss.is_meta
