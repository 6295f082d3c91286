"""Batches that do not fit in a GPU's memory: training in micro-batches by gradient caching, and inference in halves.

A batch of training is encoded in micro-batches, with the loss of the complete batch. GradCache (Gao et al. 2021): each
micro-batch goes through the towers without a gradient; heads and loss see the features of the complete batch; then each
micro-batch goes through its tower again and receives the gradient of the loss for its features. Memory holds the
activations of one micro-batch; the second forward pass costs a third more time.

Exact: every negative of the batch counts, the heads with their batch norm and dropout see the batch at once, and the
dropout of a tower is the same in both passes. Not exact: the audio tower's batch norm, whose statistics are those of
each micro-batch, as they are those of each rank without synchronisation. The gradient is exactly that of the loss with
this normalisation; running statistics are updated once per micro-batch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from storage.errors import InputError
from training.data.batches import Batch, Tracks, split_batch
from training.loop.devices_and_torchrun import Machine
from training.model.retrieval_model import Encoded, Model, is_out_of_memory
from training.settings import Settings

Encode = Callable[[Any], Tensor]


def backward_in_micro_batches(
    model: Model, batch: Batch, size: int, machine: Machine, loss_of: Callable[[Encoded], Tensor]
) -> Tensor:
    """Add the gradient of a batch's loss to every weight, `size` films or tracks at a time; returns the loss."""
    assert not any(isinstance(module, _BatchNorm) for module in model.films.modules()), (
        "The query towers have batch norm, whose statistics over ranks need as many micro-batches of films on each"
    )
    towers: list[tuple[Encode, list[Any]]] = [
        (model.films, split_batch(batch.films, size)),
        (_audio_encoder(model), split_batch(batch.tracks, size)),
    ]
    seeds = [torch.randint(2**62, (len(micro_batches),)).tolist() for _, micro_batches in towers]
    with torch.no_grad(), _frozen_running_statistics(model):
        films, audio = (
            torch.cat(list(_encoded(encode, micro_batches, own_seeds, machine)))
            for (encode, micro_batches), own_seeds in zip(towers, seeds, strict=True)
        )
    with machine.autocast():
        encoded = model.heads(films.requires_grad_(), audio.requires_grad_(), batch.owner)
    loss = loss_of(encoded)
    loss.backward()  # type: ignore[no-untyped-call]
    for (encode, micro_batches), own_seeds, features in zip(towers, seeds, (films, audio), strict=True):
        assert features.grad is not None
        gradients = torch.split(features.grad, size)
        again = _encoded(encode, micro_batches, own_seeds, machine)
        for output, gradient in zip(again, gradients, strict=True):
            output.backward(gradient)  # type: ignore[no-untyped-call]
    return loss.detach()


def encode_in_micro_batches(model: Model, batch: Batch, size: int) -> Encoded:
    """Return `model(batch)` of evaluation mode, encoded `size` films or tracks at a time; without gradients."""
    encode_audio = _audio_encoder(model)
    films = torch.cat([model.films(part) for part in split_batch(batch.films, size)])
    audio = torch.cat([encode_audio(part) for part in split_batch(batch.tracks, size)])
    return model.heads(films, audio, batch.owner)


def _audio_encoder(model: Model) -> Encode:
    tower = model.audio  # not the model: the traceback of a failed run would keep all of it in memory

    def encode(tracks: Tracks) -> Tensor:
        features: Tensor = tower(tracks.mels, tracks.ref_db)
        return features

    return encode


def _encoded(encode: Encode, micro_batches: list[Any], seeds: list[int], machine: Machine) -> Iterator[Tensor]:
    """Yield each micro-batch's features; the same seeds give the same dropout."""
    for micro_batch, seed in zip(micro_batches, seeds, strict=True):
        torch.manual_seed(seed)
        with machine.autocast():
            features = encode(micro_batch)
        yield features


@contextlib.contextmanager
def _frozen_running_statistics(model: nn.Module) -> Iterator[None]:
    """Make batch norms use the batch's statistics without updating their running ones: the second pass does that."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


@contextmanager
def explain_out_of_memory(settings: Settings, ranks: int = 1) -> Iterator[None]:
    """Turn an out-of-memory error of GPU or CPU into an `InputError` that names the settings to change."""
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        batch = settings.training.batch
        device = "GPU" if isinstance(error, torch.OutOfMemoryError) else "machine"
        at_once = min(settings.training.micro_batch or batch, max(batch // ranks, 1))
        smaller = f"give --micro-batch {at_once // 2}, which encodes the batch in parts and keeps its negatives, or "
        raise InputError(
            f"The {device} ran out of memory at batch {batch}, {at_once} at once; {smaller if at_once > 1 else ''}"
            f"give a smaller batch, such as --batch {max(batch // 2, 2)}, or spread the run over more GPUs "
            "with torchrun"
        ) from error


def halve_until_it_fits(encode: Callable[[int, int], None], count: int, at_once: int) -> None:
    """Call `encode(start, stop)` over `count` items, `at_once` of them, and half as many each time the GPU is full.

    For inference, where the size of a call changes no result. Raises `InputError` when not even one item fits.
    """
    start = 0
    while start < count:
        try:
            encode(start, min(start + at_once, count))
        except torch.OutOfMemoryError as error:
            if at_once == 1:
                raise InputError(
                    "The GPU has no memory to embed a single item; stop other programs that use it, or put "
                    "CUDA_VISIBLE_DEVICES= before the command to embed on the CPU: trained weights are kept"
                ) from error
            at_once //= 2
            continue
        start += at_once
