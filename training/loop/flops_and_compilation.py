"""The speed of training: the peak of known GPUs, the operations of a step, and compiled towers.

MFU is the share of a device's peak that the model's own operations are: those of one forward and one backward pass of
what is trained, whatever a recipe computes twice (gradient caching encodes a batch twice). They are counted for the
lengths of the texts that a run sees, on meta tensors: without arithmetic, memory or a change of the model.
"""

from __future__ import annotations

import copy
import re
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from training.data.batches import Batch
from training.data.film_inputs import Films
from training.loop.devices_and_torchrun import Machine
from training.model.retrieval_model import Model

PEAK_FLOPS = {
    r"H100( \d+GB HBM\d)?": 989e12,
    r"H100 PCIe": 756e12,
    r"H100 NVL": 835e12,
    r"H200": 989e12,
    r"H200 NVL": 835e12,
    r"GH200 .*": 989e12,
    r"B200": 2250e12,
    r"A100-(SXM4|SXM|PCIE|PCIe)-\d+GB": 312e12,
    r"A100 80GB PCIe": 312e12,
    r"A40": 150e12,
    r"A30": 165e12,
    r"A10": 125e12,
    r"A10G": 70e12,
    r"L40S": 362e12,
    r"L40": 181e12,
    r"L4": 121e12,
    r"RTX 6000 Ada Generation": 364e12,
    r"RTX A6000": 155e12,
    r"RTX 5090": 209e12,
    r"RTX 4090": 165e12,
    r"RTX 3090": 71e12,
}
"""Dense bfloat16 operations per second with float32 sums, by the makers' data sheets, for the complete name of a GPU.

Of cards that share a number, such as L4, L40 and L40S, or H100 SXM, PCIe and NVL, each has its own peak. A part of a
GPU (MIG) and a device that is not listed have none, and so no MFU.
"""


def peak_flops(machine: Machine) -> float | None:
    """Return the peak bfloat16 operations per second of one device, or None if it is not known."""
    return peak_of(torch.cuda.get_device_name(machine.device)) if machine.device.type == "cuda" else None


def peak_of(device_name: str) -> float | None:
    """Return the peak of a GPU by the name that its driver gives, as in "NVIDIA H100 80GB HBM3"."""
    name = re.sub(r"^(NVIDIA )?(GeForce )?", "", device_name.strip())
    return next((peak for pattern, peak in PEAK_FLOPS.items() if re.fullmatch(pattern, name)), None)


class FlopCount:
    """The floating-point operations of training on a batch, forward and backward.

    Counted once per text for each length, once per picture and once per segment, and multiplied by how many a batch
    has. What a frozen tower returned earlier costs nothing.
    """

    def __init__(self, model: Model) -> None:
        self._model: Any = _on_meta(model)
        self._per_row: dict[tuple[Any, ...], float] = {}

    def of(self, batch: Batch) -> float:
        """Return the operations of one training step on this batch."""
        encoder, films, tracks = self._model.films, batch.films, batch.tracks
        total = self._of("audio", self._model.audio, tracks.mels, tracks.ref_db)
        if films.tokens is not None:
            total += self._of("text", encoder.encode_texts, films.tokens, films.token_mask)
        if films.pixels is not None:
            total += self._of("image", encoder.encode_images, films.pixels)
        return total + self._of_heads(films, len(tracks))

    def _of(self, part: str, encode: Any, *inputs: Any) -> float:
        key = (part, *(tensor.shape[1:] for tensor in inputs))
        if key not in self._per_row:
            on_meta = [tensor.to("meta") for tensor in inputs]
            self._per_row[key] = self._count(lambda: encode(*on_meta)) / len(inputs[0])
        return self._per_row[key] * len(inputs[0])

    def _of_heads(self, films: Films, tracks: int) -> float:
        """Return the operations of what follows the towers; their outputs need a gradient where they are trained."""
        encoder, key = self._model.films, ("heads", films.given is None, bool(films.text_counts))
        if key not in self._per_row:
            towers = [encoder.text is not None, encoder.image is not None]
            widths = iter(encoder.widths)
            text, image = (torch.empty(2, next(widths), device="meta") if has else None for has in towers)
            for features, tower in ((text, encoder.text), (image, encoder.image)):
                if features is not None:
                    features.requires_grad_(any(weight.requires_grad for weight in tower.parameters()))
            inputs = Films(text_features=text, image_features=image)
            self._per_row[key] = self._count(lambda: self._model.encode_query(inputs)) / 2
        if ("audio head",) not in self._per_row:
            features = torch.empty(2, self._model.audio.summary.shape[-1], device="meta", requires_grad=True)
            self._per_row["audio head",] = self._count(lambda: self._model.audio_head(features)) / 2
        return self._per_row[key] * len(films) + self._per_row["audio head",] * tracks

    def _count(self, encode: Any) -> float:
        counter: Any = FlopCounterMode(display=False)
        with torch.compiler.set_stance("force_eager"), counter:
            output = encode()
            if output.requires_grad:
                output.sum().backward()
        self._model.zero_grad(set_to_none=True)
        return float(counter.get_total_flops())


def _on_meta(model: nn.Module) -> nn.Module:
    """Return a copy of a model whose weights have shapes and no values; what is frozen stays so."""
    shells: dict[int, Any] = {
        id(weight): nn.Parameter(weight.detach().to("meta"), requires_grad=weight.requires_grad)
        for weight in model.parameters()
    }
    shells |= {id(buffer): buffer.to("meta") for buffer in model.buffers()}
    return copy.deepcopy(model, shells)


def compile_towers(model: Model, **options: Any) -> None:
    """Compile one layer of the text and of the image tower, which their other layers share, and the audio tower.

    Twelve equal layers compiled as one graph took a GPU's compiler more than 100 seconds for a model that is trained
    for minutes; compiled as a layer it is one graph too, for any number of films and length of texts. Segments have one
    shape, and a batch of training one number of them, so the audio tower is compiled for both, complete: its layers
    differ, and a compiler that must allow for any shape loses the fusions of convolution, norm and activation.
    """
    for tower in (model.films.text, model.films.image):
        for layer in _repeated_layers(tower) if tower is not None else ():
            layer.compile(dynamic=True, **options)
    model.audio.compile(dynamic=False, **options)


def _repeated_layers(tower: nn.Module) -> nn.ModuleList:
    """Return the layers of a transformer: its longest list of modules."""
    return max((module for module in tower.modules() if isinstance(module, nn.ModuleList)), key=len)
