"""A batch that memory does not hold: encoded in pieces, with the gradient of the whole batch's loss.

GradCache (Gao et al. 2021): each piece goes through the towers without a gradient, heads and loss see the
features of the whole batch, and each piece goes through its tower again with the gradient that the loss has
for its features. Memory holds one piece's activations; a second forward pass takes a third more time.

What is exact: every negative of the whole batch counts, heads with their batch norm and dropout see the
batch at once, and dropout in a tower draws the same in both passes. What is not: the audio tower's batch
norm, whose statistics are each piece's own, as they are each rank's own without synchronisation. The
gradient is exactly that of the loss so normalised; running statistics are updated once a piece.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from training.data.batches import Batch, Tracks, pieces_of
from training.loop.device import Machine
from training.model.factory import Model
from training.model.retriever import Encoded

Encode = Callable[[Any], Tensor]


def backward_in_pieces(
    model: Model, batch: Batch, size: int, machine: Machine, loss_of: Callable[[Encoded], Tensor]
) -> Tensor:
    """Add the gradient of a batch's loss to every weight, `size` films or tracks at a time; returns the loss."""
    towers: list[tuple[Encode, list[Any]]] = [
        (model.films, pieces_of(batch.films, size)),
        (_sound_of(model), pieces_of(batch.tracks, size)),
    ]
    seeds = [torch.randint(2**62, (len(pieces),)).tolist() for _, pieces in towers]
    with torch.no_grad(), _running_statistics_kept(model):
        films, sounds = (
            torch.cat(list(_encoded(encode, pieces, own, machine)))
            for (encode, pieces), own in zip(towers, seeds, strict=True)
        )
    with machine.autocast():
        encoded = model.heads(films.requires_grad_(), sounds.requires_grad_(), batch.owner)
    loss = loss_of(encoded)
    loss.backward()  # type: ignore[no-untyped-call]
    for (encode, pieces), own, features in zip(towers, seeds, (films, sounds), strict=True):
        assert features.grad is not None
        gradients = torch.split(features.grad, size)
        for piece, gradient in zip(_encoded(encode, pieces, own, machine), gradients, strict=True):
            piece.backward(gradient)  # type: ignore[no-untyped-call]
    return loss.detach()


def encode_in_pieces(model: Model, batch: Batch, size: int) -> Encoded:
    """What `model(batch)` gives in evaluation mode, `size` films or tracks at a time; no gradient is kept."""
    sound_of = _sound_of(model)
    films = torch.cat([model.films(piece) for piece in pieces_of(batch.films, size)])
    sounds = torch.cat([sound_of(piece) for piece in pieces_of(batch.tracks, size)])
    return model.heads(films, sounds, batch.owner)


def _sound_of(model: Model) -> Encode:
    audio = model.audio  # not the model: a failed run's error would keep the whole of it in memory

    def encode(tracks: Tracks) -> Tensor:
        features: Tensor = audio(tracks.codes, tracks.ref_db)
        return features

    return encode


def _encoded(encode: Encode, pieces: list[Any], seeds: list[int], machine: Machine) -> Iterator[Tensor]:
    """Each piece's features; the same seeds draw the same dropout."""
    for piece, seed in zip(pieces, seeds, strict=True):
        torch.manual_seed(seed)
        with machine.autocast():
            features = encode(piece)
        yield features


@contextlib.contextmanager
def _running_statistics_kept(model: nn.Module) -> Iterator[None]:
    """Batch norms use each batch's statistics but do not remember them: the second pass will."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
