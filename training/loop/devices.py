"""The device of a run: one CPU, one GPU, or several GPUs under torchrun; its arithmetic and its memory limits.

On a CPU a run repeats to the same bits. On a GPU it repeats to rounding: cuDNN chooses among algorithms by their speed,
and some of them, like the backward pass of attention, add in the order in which threads arrive. The setting
`training.deterministic` asks torch for the algorithms that do not (`repeatable`).
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from storage.errors import InputError
from training.config import Settings

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


@contextmanager
def explain_out_of_memory(settings: Settings, ranks: int = 1) -> Iterator[None]:
    """Turn a GPU's out-of-memory error into an `InputError` that names the settings to change."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        batch = settings.training.batch
        at_once = min(settings.training.micro_batch or batch, max(batch // ranks, 1))
        smaller = f"give --micro-batch {at_once // 2}, which encodes the batch in parts and keeps its negatives, or "
        raise InputError(
            f"The GPU ran out of memory at batch {batch}, {at_once} at once; {smaller if at_once > 1 else ''}"
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
