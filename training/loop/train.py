"""The training loop: one, for every system, on a CPU, a GPU or several.

    while epochs are left:  take every batch once, measure the validation loss, save, stop if it no longer falls

Every batch and every draw of dropout is a function of (seed, epoch, step), and the folder keeps weights,
optimiser and place in the epoch. So a run that was killed goes on to the same bits as one that was not.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from storage.errors import InputError
from storage.lake.lake import Lake
from training.data.batches import Batch, TrainingBatches, prefetched
from training.loop.checkpoint import LoopState, load_last, read_state, save_best, save_last
from training.loop.device import Machine, explained_memory, training_flops
from training.loop.gradient_cache import backward_in_pieces
from training.loop.interrupts import signals_after_step
from training.loop.optimiser import build_optimiser, learning_rate_at, set_learning_rate
from training.model.factory import Model
from training.model.objective import Task, batch_loss, validation_loss

SAVE_SECONDS = 600.0
"""The most work a kill can cost within a long epoch."""

OnStep = Callable[[int, int], None]
"""Told the number of steps done and the number there are."""


@dataclass(frozen=True)
class EpochReport:
    """What one epoch gave and cost; the rates count the steps since the epoch's start or resume."""

    epoch: int
    train_loss: float
    valid_loss: float
    learning_rate: float
    seconds: float
    items: int
    items_per_second: float
    data_wait_share: float
    mfu: float | None
    peak_memory_bytes: int


class Loop:
    """A run in memory: the model, its optimiser, the batches, and where it stands."""

    def __init__(self, lake: Lake, task: Task, machine: Machine, on_step: OnStep | None) -> None:
        self.lake, self.task, self.machine, self.on_step = lake, task, machine, on_step
        self.settings, self.run_id = task.job.settings, task.job.run_id
        share = (machine.rank, machine.ranks)
        self.batches = TrainingBatches(task.train, task.train_inputs, self.settings, task.job.seed, share)
        self.model = _with_shared_statistics(task.model.to(machine.device), machine)
        self.optimiser = build_optimiser(self.model, self.settings, machine.device)
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=machine.device)
        self.state, self.saved_at = LoopState(), time.monotonic()
        if read_state(lake, self.run_id) is not None:
            self.state = load_last(lake, self.run_id, self.model, self.optimiser, self.loss_sum)
        self.piece = min(self.settings.micro_batch or self.batches.share, self.batches.share)
        self.flops_per_item = _flops_per_item(self.model, machine, self.batches, self.piece)

    def run_epoch(self, received: list[int]) -> EpochReport | None:
        """Take the epoch's remaining batches and measure; None when a signal asked to stop before its end."""
        epoch, first, waited, begun = self.state.epoch, self.state.step, 0.0, time.monotonic()
        self.model.train()
        with contextlib.closing(prefetched(self._batch_of(epoch), first, self.batches.steps)) as ready:
            for step in range(first, self.batches.steps):
                waited -= time.monotonic()
                batch = self.machine.move(next(ready))
                waited += time.monotonic()
                self.loss_sum += self._update(batch, epoch * self.batches.steps + step)
                self.state = replace(self.state, step=step + 1)
                if received or time.monotonic() - self.saved_at > SAVE_SECONDS:
                    self.save()
                if received:
                    return None
        train_loss = self.machine.agree(self.loss_sum.item() / self.batches.steps)  # waits for the device
        trained = time.monotonic() - begun
        items = (self.batches.steps - first) * self.batches.batch
        valid_loss = self.machine.agree(validation_loss(self.task, self.machine))
        return EpochReport(
            epoch=epoch,
            train_loss=train_loss,
            valid_loss=valid_loss,
            learning_rate=self._rate((epoch + 1) * self.batches.steps - 1),
            seconds=time.monotonic() - begun,
            items=items,
            items_per_second=items / trained,
            data_wait_share=waited / trained,
            mfu=self._mfu(items / trained),
            peak_memory_bytes=self.machine.peak_memory_bytes(),
        )

    def finish_epoch(self, report: EpochReport) -> None:
        """Keep the weights if they are the best so far, and save the start of the next epoch."""
        stopping = self.state.stopping.after(report.epoch, report.valid_loss)
        if self.machine.is_first and stopping.best_epoch == report.epoch:
            save_best(self.lake, self.run_id, self.model, report.epoch, report.valid_loss)
        over = report.epoch + 1 >= self.settings.epochs or stopping.is_due(self.settings.patience)
        self.state = LoopState(report.epoch + 1, 0, stopping, over)
        self.loss_sum.zero_()
        self.save()

    def save(self) -> None:
        """Commit the last checkpoint."""
        if self.machine.is_first:
            save_last(self.lake, self.run_id, self.model, self.optimiser, self.loss_sum, self.state)
        self.saved_at = time.monotonic()

    def _update(self, batch: Batch, number: int) -> Tensor:
        """Optimiser step `number` of the run; returns the loss, still on the device so that nothing waits for it."""
        torch.manual_seed((self.task.job.seed << 40) + (self.machine.rank << 32) + number)
        set_learning_rate(self.optimiser, self._rate(number))
        self.optimiser.zero_grad(set_to_none=True)
        loss = self._backward(batch)
        nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip_norm)
        self.optimiser.step()
        if self.on_step:
            self.on_step(number + 1, self.settings.epochs * self.batches.steps)
        return loss

    def _backward(self, batch: Batch) -> Tensor:
        """Give every weight its gradient, in one piece or in several; returns the loss."""
        loss_of = partial(batch_loss, self.task, batch=batch, machine=self.machine)
        if self.piece < self.batches.share:
            loss = backward_in_pieces(self.model, batch, self.piece, self.machine, loss_of)
        else:
            with self.machine.autocast():
                encoded = self.model(batch)
            loss = loss_of(encoded)
            loss.backward()  # type: ignore[no-untyped-call]
        self.machine.average_gradients(self.model)
        return loss.detach()

    def _rate(self, number: int) -> float:
        return learning_rate_at(number, self.settings.epochs * self.batches.steps, self.settings)

    def _batch_of(self, epoch: int) -> Callable[[int], Batch]:
        return partial(self.batches.make, epoch)

    def _mfu(self, items_per_second: float) -> float | None:
        peak = self.machine.peak_flops
        return self.flops_per_item * items_per_second / (peak * self.machine.ranks) if peak else None


def train(
    lake: Lake, task: Task, machine: Machine, on_epoch: Callable[[EpochReport], None], on_step: OnStep | None = None
) -> LoopState:
    """Train until validation no longer improves or the epochs are over; goes on from a last checkpoint if there is one.

    SIGINT and SIGTERM take effect after the step at hand, with everything saved. Raises `InputError` when
    the GPU is too small for the batch or no epoch brought a validation loss that is a number.
    """
    with signals_after_step() as received, explained_memory(task.job.settings, machine.ranks):
        loop = Loop(lake, task, machine, on_step)
        while not loop.state.finished:
            report = loop.run_epoch(received)
            if report is None:
                break
            if machine.is_first:
                on_epoch(report)
            loop.finish_epoch(report)
    if loop.state.finished and loop.state.stopping.best_epoch < 0:
        raise InputError("The loss was not a number in any epoch: training diverged; give a lower --learning-rate")
    return loop.state


def _with_shared_statistics(model: Model, machine: Machine) -> Model:
    """The model, with batch norm over the whole batch where several GPUs share it; on a CPU torch has no such layer."""
    if machine.ranks > 1 and machine.device.type == "cuda":
        return cast("Model", nn.SyncBatchNorm.convert_sync_batchnorm(model))  # type: ignore[no-untyped-call]
    return model


def _flops_per_item(model: Model, machine: Machine, batches: TrainingBatches, piece: int) -> float:
    """Floating-point operations of training on one track, counted on the first batch; 0 where no peak is known."""
    if machine.peak_flops is None:
        return 0.0
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    share = trained / sum(weight.numel() for weight in model.parameters())
    return training_flops(model, machine.move(batches.make(0, 0)), piece, share) / batches.share
