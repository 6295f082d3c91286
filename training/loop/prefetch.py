"""Batches made ahead by a thread: read from disk, assembled, pinned and copied to the device while it computes.

    disk     the system reads the segments of the batch four steps on (`TrainingBatches.epoch`)
    thread   assembles the next batch; reading mapped segments and decoding images release the interpreter lock
    stream   pins it and copies it to the GPU on a stream of its own, in the same thread
    loop     waits for the copy on the device only, never on the host

One thread is enough, and it keeps the order of batches and draws the same on any machine.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from training.loop.devices_and_torchrun import Machine
from training.loop.micro_batches_and_out_of_memory import halve_until_it_fits

READY_BATCHES = 4
"""Batches on the device that wait to be used: of 256 tracks each, 280 MB."""
T = TypeVar("T")


@dataclass(frozen=True)
class _Made(Generic[T]):
    value: T
    copied: Any = None
    """The CUDA event after the copy."""


def prefetched(batches: Iterator[T], machine: Machine) -> Generator[T, None, None]:
    """Yield the batches of an iterator on the device; a thread makes them in order and works a few ahead.

    Closing the iterator ends the thread; an error of the thread is raised here.
    """
    ready: queue.Queue[_Made[T] | BaseException | None] = queue.Queue(READY_BATCHES)
    stopped = threading.Event()

    def work() -> None:
        try:
            copy = _copier(machine)
            for batch in batches:
                if stopped.is_set():
                    return
                ready.put(copy(batch))
            ready.put(None)
        except BaseException as error:  # noqa: BLE001 - the consumer raises it
            ready.put(error)

    thread = threading.Thread(target=work, name="batches", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield _arrived(item, machine)
    finally:
        stopped.set()
        while thread.is_alive():  # a full queue blocks the thread: empty it until the thread has seen the flag
            try:
                ready.get(timeout=0.05)
            except queue.Empty:
                continue


def encode_prefetched(
    make: Callable[[int, int], T], encode: Callable[[T], None], count: int, at_once: int, machine: Machine
) -> None:
    """Call `encode(make(start, stop))` over `count` items, with the next inputs made and copied meanwhile.

    For inference. Where the GPU is full, the rest is encoded in smaller calls without any made ahead. Raises
    `InputError` when not even one item fits.
    """
    done = 0
    made = (make(start, min(start + at_once, count)) for start in range(0, count, at_once))
    try:
        with contextlib.closing(prefetched(made, machine)) as ready:
            for inputs in ready:
                encode(inputs)
                done = min(done + at_once, count)
    except torch.OutOfMemoryError:
        first = done
        smaller = max(at_once // 2, 1)
        halve_until_it_fits(lambda a, b: encode(machine.move(make(first + a, first + b))), count - first, smaller)


def _copier(machine: Machine) -> Callable[[T], _Made[T]]:
    """Return what moves a batch to the device: on a GPU on a stream of its own, which this thread then owns."""
    if machine.device.type != "cuda":
        return lambda value: _Made(machine.move(value))
    torch.cuda.set_device(machine.device)
    stream: Any = torch.cuda.Stream(machine.device)  # type: ignore[no-untyped-call]

    def copy(value: T) -> _Made[T]:
        with torch.cuda.stream(stream):
            moved = machine.move(value)
            return _Made(moved, stream.record_event())

    return copy


def _arrived(made: _Made[T], machine: Machine) -> T:
    """Return a batch that the device will not read before it is there, nor free while it still computes with it."""
    if made.copied is not None:
        stream = torch.cuda.current_stream(machine.device)
        stream.wait_event(made.copied)
        for tensor in _tensors(made.value):
            tensor.record_stream(stream)
    return made.value


def _tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors of a batch, in nested dataclasses or tuples."""
    if isinstance(value, Tensor):
        yield value
    elif is_dataclass(value):
        for field in fields(value):
            yield from _tensors(getattr(value, field.name))
    elif isinstance(value, tuple):
        for each in value:
            yield from _tensors(each)
