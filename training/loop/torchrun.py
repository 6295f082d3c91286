"""What several GPUs exchange under torchrun: embeddings with their gradients, averaged gradients, shared numbers.

Each of these functions is a no-op on a single device, so that one loop serves one GPU and many.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from training.loop.devices import Machine

BUCKET_BYTES = 32 * 2**20
"""Gradients reduced together: one message of 634 MB waits for its last byte, one per tensor has 412 latencies."""


def gather(machine: Machine, values: Tensor) -> Tensor:
    """Return the rows of all ranks in rank order, with gradients to each; with one rank, the rows themselves."""
    if machine.ranks == 1:
        return values
    rows: Tensor = _Gathered.apply(values, machine.rank, machine.ranks)  # type: ignore[no-untyped-call]
    return rows


def broadcast(machine: Machine, value: float) -> float:
    """Return rank 0's value on every rank, so that all stop at the same epoch."""
    if machine.ranks == 1:
        return value
    shared = torch.tensor([value], dtype=torch.float64, device=machine.device)
    dist.broadcast(shared, 0)
    return float(shared.item())


def average_gradients(machine: Machine, model: nn.Module) -> None:
    """Replace every weight's gradient by its mean over the ranks, in flat buckets that are reduced concurrently.

    A weight that has none here has zeros: where parts of films are left out, a rank may have no text or no image in
    its share while others have some, and all must reduce the same. Adam's momentum moves it
    also where no rank has one.
    """
    if machine.ranks == 1:
        return
    trained = (weight for weight in model.parameters() if weight.requires_grad)
    gradients = (_gradient(weight) for weight in trained)
    started = []
    for bucket in buckets(gradients, BUCKET_BYTES):
        flat = torch.cat([gradient.reshape(-1) for gradient in bucket])
        started.append((bucket, flat, dist.all_reduce(flat, async_op=True)))
    for bucket, flat, reduction in started:
        reduction.wait()
        flat.div_(machine.ranks)
        parts = torch.split(flat, [gradient.numel() for gradient in bucket])
        torch._foreach_copy_(bucket, [part.view_as(own) for part, own in zip(parts, bucket, strict=True)])


def _gradient(weight: Tensor) -> Tensor:
    if weight.grad is None:
        weight.grad = torch.zeros_like(weight)
    return weight.grad


def buckets(gradients: Iterable[Tensor], size: int) -> Iterator[list[Tensor]]:
    """Yield the gradients in order, as many of one type together as fit into `size` bytes, and at least one."""
    bucket: list[Tensor] = []
    for gradient in gradients:
        taken = sum(own.nbytes for own in bucket)
        if bucket and (taken + gradient.nbytes > size or gradient.dtype != bucket[0].dtype):
            yield bucket
            bucket = []
        bucket.append(gradient)
    if bucket:
        yield bucket


class _Gathered(torch.autograd.Function):
    """All-gather with gradients: the gradient of a rank's rows is the sum of what every rank computed for them."""

    @staticmethod
    def forward(context: Any, values: Tensor, rank: int, ranks: int) -> Tensor:
        """Concatenate [n, ...] of each rank to [ranks * n, ...] on all."""
        context.rank, context.rows = rank, len(values)
        gathered = [torch.empty_like(values, memory_format=torch.contiguous_format) for _ in range(ranks)]
        dist.all_gather(gathered, values.contiguous())
        return torch.cat(gathered)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """Sum over the ranks: `ranks` times the gradient, as each computes the complete loss; it is averaged later."""
        total = gradients[0].contiguous()
        dist.all_reduce(total)
        return total[context.rank * context.rows : (context.rank + 1) * context.rows], None, None
