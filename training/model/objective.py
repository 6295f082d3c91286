"""What a system is asked to get right: its loss over a batch of all ranks, and its mean over validation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from training.data.batches import Batch, FilmInputs, validation_batches
from training.data.splits import Split
from training.loop.checkpoint import Job
from training.loop.device import Machine
from training.loop.gradient_cache import encode_in_pieces
from training.model.factory import Model
from training.model.losses import avca_triplets, info_nce, same_film
from training.model.retriever import Encoded, Retriever


@dataclass(frozen=True)
class Task:
    """All that the loop works on: the run, its model, and both splits as the system reads them."""

    job: Job
    model: Model
    train: Split
    valid: Split
    train_inputs: FilmInputs
    valid_inputs: FilmInputs


def batch_loss(task: Task, encoded: Encoded, batch: Batch, machine: Machine) -> Tensor:
    """The system's loss over the batch of all ranks together, in float32.

    Every rank computes the whole of it, so that each track is told from all others and not only from
    those of its own rank.
    """
    query, audio = machine.gather(encoded.query.float()), machine.gather(encoded.audio.float())
    if not isinstance(task.model, Retriever):
        return avca_triplets(query[:, 0], query[:, 1], audio, machine.gather(batch.negatives))
    excluded = same_film(machine.gather(batch.film_numbers)) if task.job.settings.mask_same_film else None
    return info_nce(query[:, 0], audio, task.model.log_scale, excluded)


def validation_loss(task: Task, machine: Machine) -> float:
    """The mean loss a track over the validation split, in one fixed order with nothing drawn.

    Every rank measures the whole split alone, no more at once than it trains on; infinite if there is not even
    one batch of two tracks.
    """
    settings, alone = task.job.settings, Machine(machine.device)
    size = settings.micro_batch or max(settings.batch // machine.ranks, 1)
    task.model.eval()
    total, items = 0.0, 0
    with torch.no_grad():
        for batch in validation_batches(task.valid, task.valid_inputs, settings.batch):
            moved = machine.move(batch)
            with machine.autocast():
                encoded = encode_in_pieces(task.model, moved, size)
            total += batch_loss(task, encoded, moved, alone).item() * len(batch.owner)
            items += len(batch.owner)
    return total / items if items else float("inf")
