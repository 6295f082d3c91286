"""Batches are made ahead by a thread that ends with its iterator; shards are read ahead of it."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from storage.errors import InputError
from storage.lake.lake import Lake
from training.data.batches import BATCHES_READ_AHEAD, TrainingBatches
from training.data.film_inputs import FilmInputs
from training.loop.devices_and_torchrun import Machine
from training.loop.prefetch import READY_BATCHES, encode_prefetched, prefetched
from training.settings import Settings
from training.systems import SYSTEMS
from training.training_runs import Data


def prefetching_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "batches"]


def test_items_come_in_order_and_a_few_are_made_ahead(machine: Machine) -> None:
    made: list[int] = []

    def count() -> Iterator[int]:
        for number in range(20):
            made.append(number)
            yield number

    ready = prefetched(count(), machine)
    assert next(ready) == 0
    while len(made) < READY_BATCHES + 2:
        time.sleep(0.01)
    assert list(ready) == list(range(1, 20)) and not prefetching_threads()


def test_an_error_of_the_thread_is_raised_and_closing_early_ends_the_thread(machine: Machine) -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise InputError("no image")

    with pytest.raises(InputError, match="no image"):
        list(prefetched(failing(), machine))
    endless = prefetched(iter(int, 1), machine)
    assert next(endless) == 0
    endless.close()
    assert not prefetching_threads()


def test_a_full_gpu_halves_the_call_and_loses_no_item(machine: Machine) -> None:
    calls: list[list[int]] = []

    def encode(items: list[int]) -> None:
        if len(items) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        calls.append(items)

    encode_prefetched(lambda start, stop: list(range(start, stop)), encode, 10, 8, machine)
    assert [item for items in calls for item in items] == list(range(10)) and max(map(len, calls)) == 2


def test_segments_are_asked_from_disk_four_batches_before_they_are_copied(
    shared: tuple[Lake, Data], quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, settings, log = shared[1].train, quick.changed({"training.batch": 2}), list[tuple[str, tuple[int, ...]]]()
    for name in ("read_ahead", "gather"):
        original = getattr(train.mels, name)

        def logged(positions: np.ndarray, *out: np.ndarray, name: str = name, original: object = original) -> None:
            log.append((name, tuple(positions.tolist())))
            original(positions, *out)  # type: ignore[operator]

        monkeypatch.setattr(train.mels, name, logged)
    list(TrainingBatches(train, FilmInputs(train, SYSTEMS["Im"], settings, None), settings, 0, (0, 1)).epoch(0, 0))
    copied = [positions for name, positions in log if name == "gather"]
    asked = [positions for name, positions in log if name == "read_ahead"]
    assert asked == copied[1:] and len(copied) == 8
    for number, positions in enumerate(asked[BATCHES_READ_AHEAD:], start=1):
        assert log.index(("read_ahead", positions)) < log.index(("gather", copied[number]))
