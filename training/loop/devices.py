"""The device of a run: one CPU, one GPU, or several GPUs under torchrun; its memory limits and its speed.

What several GPUs exchange is here too: embeddings with their gradients, averaged gradients, shared numbers. Each of
these functions is a no-op on a single device, so that one loop serves one GPU and many.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from storage.errors import InputError
from training.config import Settings
from training.data.batches import Batch, split_batch

PEAK_FLOPS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12, "4090": 165e12}
"""Dense bfloat16 operations per second by the makers' data sheets; a device not listed here has no MFU."""
COLLECTIVE_TIMEOUT = timedelta(hours=2)
"""Ranks wait for rank 0 while it validates and saves; the default of ten minutes may be too short for that."""

T = TypeVar("T")


@dataclass(frozen=True)
class Machine:
    """The device of this process, its rank, and the number of ranks."""

    device: torch.device
    rank: int = 0
    ranks: int = 1

    @property
    def is_first(self) -> bool:
        """Return whether this rank is the one that writes files and evaluates."""
        return self.rank == 0

    @property
    def peak_flops(self) -> float | None:
        """Return the peak bfloat16 operations per second of one device, or None if unknown."""
        if self.device.type != "cuda":
            return None
        name = torch.cuda.get_device_name(self.device)
        return next((peak for part, peak in PEAK_FLOPS.items() if part in name), None)

    def autocast(self) -> torch.autocast:
        """Return bfloat16 autocast on a GPU; float32 on a CPU, where bfloat16 is seldom faster and less exact."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")

    def move(self, value: T) -> T:
        """Copy a batch (nested dataclasses of tensors) to the device, asynchronously."""
        return cast("T", self._moved(value))

    def _moved(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            pinned = value.pin_memory() if self.device.type == "cuda" else value
            return pinned.to(self.device, non_blocking=True)
        if is_dataclass(value):
            return replace(value, **{field.name: self._moved(getattr(value, field.name)) for field in fields(value)})  # type: ignore[type-var]
        return value

    def peak_memory_bytes(self) -> int:
        """Return the peak memory of this process: allocated on the GPU, or resident on a CPU."""
        if self.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self.device))
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextmanager
def open_machine() -> Iterator[Machine]:
    """Open the GPU if there is one, else the CPU; under torchrun, join the process group as this rank."""
    cuda = torch.cuda.is_available()
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device("cuda", local_rank) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    if ranks == 1:
        yield Machine(device)
        return
    dist.init_process_group("nccl" if cuda else "gloo", timeout=COLLECTIVE_TIMEOUT)
    try:
        yield Machine(device, dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


@contextmanager
def explain_out_of_memory(settings: Settings, ranks: int = 1) -> Iterator[None]:
    """Turn a GPU's out-of-memory error into an `InputError` that names the settings to change."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        at_once = min(settings.micro_batch or settings.batch, max(settings.batch // ranks, 1))
        smaller = f"give --micro-batch {at_once // 2}, which encodes the batch in parts and keeps its negatives, or "
        raise InputError(
            f"The GPU ran out of memory at batch {settings.batch}, {at_once} at once; {smaller if at_once > 1 else ''}"
            f"give a smaller batch, such as --batch {max(settings.batch // 2, 2)}, or spread the run over more GPUs "
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


def training_flops(model: Any, batch: Batch, size: int, trained_share: float) -> float:
    """Count the floating-point operations of one training step on this batch, encoded `size` items at a time.

    Counted on a forward pass; a backward pass costs twice the forward of what is trained, and `trained_share` is that
    share of the weights (frozen towers cost their forward alone). A compiled model is counted uncompiled: the
    compiler permanently gives up on whatever it first meets under a counter.
    """
    was_training = model.training
    model.eval()
    counter: Any = FlopCounterMode(display=False)
    with torch.no_grad(), torch.compiler.set_stance("force_eager"), counter:
        for films in split_batch(batch.films, size):
            model.encode_query(films)
        for tracks in split_batch(batch.tracks, size):
            model.encode_audio(tracks)
    model.train(was_training)
    return float(counter.get_total_flops()) * (1 + 2 * trained_share)


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
    """Replace every weight's gradient by its mean over the ranks; all reductions run concurrently."""
    if machine.ranks == 1:
        return
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    for reduction in [dist.all_reduce(gradient, async_op=True) for gradient in gradients]:
        reduction.wait()
    for gradient in gradients:
        gradient.div_(machine.ranks)


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
