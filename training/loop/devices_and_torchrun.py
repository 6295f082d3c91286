"""The device of a run: one CPU, one GPU, or several GPUs under torchrun, and what these exchange.

On a CPU a run repeats to the same bits. On a GPU it repeats to rounding: cuDNN chooses among algorithms by their speed,
and some of them, like the backward pass of attention, add in the order in which threads arrive. The setting
`training.deterministic` asks torch for the algorithms that do not (`repeatable`).

Several GPUs exchange embeddings with their gradients, averaged gradients and shared numbers. Each of these functions is
a no-op on a single device, so that one loop serves one GPU and many.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

COLLECTIVE_TIMEOUT = timedelta(hours=2)
"""Ranks wait for rank 0 while it validates and saves; the default of ten minutes may be too short for that."""
BUCKET_BYTES = 32 * 2**20
"""Gradients reduced together: one message of 634 MB waits for its last byte, one per tensor has 412 latencies."""
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
    torch.backends.cudnn.benchmark = True  # the audio tower's shapes never change
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what `repeatable` needs, read at the first product
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
def repeatable(enabled: bool) -> Iterator[None]:
    """Let torch compute with deterministic algorithms only, which are slower on a GPU; it warns where it has none.

    Attention is then two products and a softmax: of the fused kernels, torch keeps the backward passes that add in any
    order unless the lack of an algorithm anywhere is an error.
    """
    benchmark, deterministic = torch.backends.cudnn.benchmark, torch.are_deterministic_algorithms_enabled()
    plain_attention = sdpa_kernel(SDPBackend.MATH) if enabled and torch.cuda.is_available() else nullcontext()
    if enabled:
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with plain_attention:
            yield
    finally:
        torch.backends.cudnn.benchmark = benchmark
        torch.use_deterministic_algorithms(deterministic)


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
