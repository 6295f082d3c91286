"""The training loop: one for every system, on a CPU, a GPU or several.

    for each epoch:  train on every batch once, measure the validation loss, save, stop early if it no longer falls

Every batch and every dropout mask is a function of (seed, epoch, step), and the checkpoint holds weights, optimiser
and the position in the epoch. So on a CPU a run that was killed resumes to the same bits as one that was not; what
holds on a GPU is in `training.loop.devices_and_torchrun`.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from storage.errors import InputError
from storage.lake.lake import Lake
from storage.processes_and_signals import defer_signals
from training.data.batches import Batch, TrainingBatches, validation_batches
from training.data.film_inputs import FilmInputs
from training.data.splits import Split
from training.loop.checkpoint import (
    SAVE_SECONDS,
    Job,
    LoopState,
    LoopTensors,
    load_last,
    read_state,
    save_best,
    save_last,
)
from training.loop.devices_and_torchrun import Machine, average_gradients, broadcast, gather, repeatable
from training.loop.flops_and_compilation import FlopCount, peak_flops
from training.loop.micro_batches_and_out_of_memory import (
    backward_in_micro_batches,
    encode_in_micro_batches,
    explain_out_of_memory,
)
from training.loop.optimiser_and_early_stopping import (
    WeightAverage,
    build_optimiser,
    learning_rate_at,
    limit_scale,
    set_learning_rates,
)
from training.loop.prefetch import prefetched
from training.model.retrieval_model import Model, batch_loss

OnStep = Callable[[int, int], None]
"""Progress callback (completed steps, total steps)."""


@dataclass(frozen=True)
class LoopInputs:
    """What the loop works on: the job, its model, and both splits as the system reads them."""

    job: Job
    model: Model
    train: Split
    valid: Split
    train_inputs: FilmInputs
    valid_inputs: FilmInputs
    valid_medr: Callable[[], float] | None = None
    """Rank the validation split with the model as it is, for a run that stops on that."""


@dataclass(frozen=True)
class EpochReport:
    """Losses and costs of one epoch; speeds are over the steps since the epoch's start or its resumption."""

    epoch: int
    train_loss: float
    valid_loss: float
    valid_medr: float | None
    learning_rate: float
    seconds: float
    items: int
    items_per_second: float
    data_wait_share: float
    mfu: float | None
    peak_memory_bytes: int


class Loop:
    """A run in memory: the model, its optimiser, the batches, and the loop state."""

    def __init__(self, lake: Lake, inputs: LoopInputs, machine: Machine, on_step: OnStep | None) -> None:
        self.lake, self.inputs, self.machine, self.on_step = lake, inputs, machine, on_step
        self.settings, self.run_id, self.seed = inputs.job.settings, inputs.job.run_id, inputs.job.seed
        share = (machine.rank, machine.ranks)
        self.batches = TrainingBatches(inputs.train, inputs.train_inputs, self.settings, self.seed, share)
        self.peak = peak_flops(machine)
        self.flops = FlopCount(inputs.model) if self.peak else None
        self.model = _with_synchronised_batch_norm(inputs.model.to(machine.device), machine)
        self.optimiser = build_optimiser(self.model, self.settings, machine.device)
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=machine.device)
        decay = self.settings.optimiser.ema
        self.average = WeightAverage(self.model, decay) if decay else None
        self.tensors = LoopTensors(self.model, self.optimiser, self.loss_sum, self.average)
        self.state, self.saved_at = read_state(lake, self.run_id) or LoopState(), time.monotonic()
        if self.state != LoopState() and not self.state.finished:
            load_last(lake, self.run_id, self.tensors)
        self.micro_batch = min(self.settings.training.micro_batch or self.batches.share, self.batches.share)

    def run_epoch(self, received: list[int]) -> EpochReport | None:
        """Train on the epoch's remaining batches and validate; None when a signal in `received` stopped it earlier."""
        epoch, first, waited, flops, started = self.state.epoch, self.state.step, 0.0, 0.0, time.monotonic()
        self.model.train()
        with contextlib.closing(prefetched(self.batches.epoch(epoch, first), self.machine)) as batches:
            for step in range(first, self.batches.steps):
                waited -= time.monotonic()
                batch = next(batches)
                waited += time.monotonic()
                flops += self.flops.of(batch) if self.flops else 0.0
                self.loss_sum += self.update(batch, epoch * self.batches.steps + step)
                self.state = replace(self.state, step=step + 1)
                if received or time.monotonic() - self.saved_at > SAVE_SECONDS:
                    self.save()
                if received:
                    return None
        train_loss = broadcast(self.machine, self.loss_sum.item() / self.batches.steps)  # waits for the device
        trained = time.monotonic() - started
        items = (self.batches.steps - first) * self.batches.batch
        valid_loss, valid_medr = self._validate()
        return EpochReport(
            epoch=epoch,
            train_loss=train_loss,
            valid_loss=valid_loss,
            valid_medr=valid_medr,
            learning_rate=self._rate((epoch + 1) * self.batches.steps - 1),
            seconds=time.monotonic() - started,
            items=items,
            items_per_second=items / trained,
            data_wait_share=waited / trained,
            mfu=flops / trained / self.peak if self.peak else None,
            peak_memory_bytes=self.machine.peak_memory_bytes(),
        )

    def finish_epoch(self, report: EpochReport) -> None:
        """Save the weights if they are the best so far, and the loop state at the start of the next epoch."""
        measured = report.valid_loss if report.valid_medr is None else report.valid_medr
        stopping = self.state.stopping.after(report.epoch, measured)
        if self.machine.is_first and stopping.best_epoch == report.epoch:
            with self._averaged():
                save_best(self.lake, self.run_id, self.model, report.epoch, report.valid_loss)
        finished = report.epoch + 1 >= self.settings.training.epochs or stopping.is_due(self.settings.training.patience)
        self.state = LoopState(report.epoch + 1, 0, stopping, finished)
        self.loss_sum.zero_()
        self.save()

    def save(self) -> None:
        """Commit last.safetensors."""
        if self.machine.is_first:
            save_last(self.lake, self.run_id, self.tensors, self.state)
        self.saved_at = time.monotonic()

    def update(self, batch: Batch, number: int) -> Tensor:
        """Take optimiser step `number` of the run; returns the loss on the device, so that nothing waits for it."""
        torch.manual_seed((self.seed << 40) + (self.machine.rank << 32) + number)
        set_learning_rates(self.optimiser, number, self.settings.training.epochs * self.batches.steps, self.settings)
        self.optimiser.zero_grad(set_to_none=True)
        loss = self._backward(batch)
        if self.settings.optimiser.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.optimiser.clip_norm)
        self.optimiser.step()
        limit_scale(self.model)
        if self.average is not None:
            self.average.update(number)
        if self.on_step:
            self.on_step(number + 1, self.settings.training.epochs * self.batches.steps)
        return loss

    def _validate(self) -> tuple[float, float | None]:
        """Return the validation loss, and the median rank if training stops on it, of the averaged weights if any."""
        with self._averaged():
            loss = broadcast(self.machine, validation_loss(self.inputs, self.machine))
            if self.inputs.valid_medr is None or self.settings.training.stop_on == "loss":
                return loss, None
            if math.isnan(loss):
                return loss, math.nan  # which counts as no improvement; what is not a number has no rank
            return loss, broadcast(self.machine, self.inputs.valid_medr())

    def _averaged(self) -> contextlib.AbstractContextManager[None]:
        return self.average.applied() if self.average is not None else contextlib.nullcontext()

    def _backward(self, batch: Batch) -> Tensor:
        """Compute every weight's gradient, at once or in micro-batches; returns the loss."""
        gather_rows = partial(gather, self.machine)
        loss_of = partial(batch_loss, self.model, self.settings, batch=batch, gather=gather_rows)
        if self.micro_batch < self.batches.share:
            loss = backward_in_micro_batches(self.model, batch, self.micro_batch, self.machine, loss_of)
        else:
            with self.machine.autocast():
                encoded = self.model(batch)
            loss = loss_of(encoded)
            loss.backward()  # type: ignore[no-untyped-call]
        average_gradients(self.machine, self.model)
        return loss.detach()

    def _rate(self, number: int) -> float:
        return learning_rate_at(number, self.settings.training.epochs * self.batches.steps, self.settings)


def train(
    lake: Lake,
    inputs: LoopInputs,
    machine: Machine,
    on_epoch: Callable[[EpochReport], None],
    on_step: OnStep | None = None,
) -> LoopState:
    """Train until validation no longer improves or the last epoch; resumes from the last checkpoint if there is one.

    SIGINT and SIGTERM take effect after the current step, with a checkpoint saved. Raises `InputError` when
    the GPU is too small for the batch or the validation loss is NaN in every epoch.
    """
    settings = inputs.job.settings
    with (
        defer_signals() as received,
        explain_out_of_memory(settings, machine.ranks),
        repeatable(settings.training.deterministic),
    ):
        loop = Loop(lake, inputs, machine, on_step)
        while not loop.state.finished:
            report = loop.run_epoch(received)
            if report is None:
                break
            if machine.is_first:
                on_epoch(report)
            loop.finish_epoch(report)
    if loop.state.finished and loop.state.stopping.best_epoch < 0:
        raise InputError("The loss was NaN in every epoch: training diverged; give a lower --learning-rate")
    return loop.state


def validation_loss(inputs: LoopInputs, machine: Machine) -> float:
    """Return the mean loss per track over the validation split, in one fixed order with nothing drawn at random.

    Every rank validates the complete split alone, with no more items at once than in training; infinite if the split
    has no batch of two tracks.
    """
    model, settings, alone = inputs.model, inputs.job.settings, Machine(machine.device)
    size = settings.training.micro_batch or max(settings.training.batch // machine.ranks, 1)
    model.eval()
    batches, largest, items = validation_batches(inputs.valid, inputs.valid_inputs, settings.training.batch), 0, 0
    total = torch.zeros((), dtype=torch.float64, device=machine.device)
    with torch.no_grad(), contextlib.closing(prefetched(batches, alone)) as ready:
        for batch in ready:
            largest = max(largest, len(batch.owner))
            # the last batch may be smaller: not worth a compilation of its own
            stance = "default" if len(batch.owner) == largest else "force_eager"
            with machine.autocast(), torch.compiler.set_stance(stance):
                encoded = encode_in_micro_batches(model, batch, size)
            total += batch_loss(model, settings, encoded, batch, partial(gather, alone)).double() * len(batch.owner)
            items += len(batch.owner)
    return total.item() / items if items else float("inf")


def _with_synchronised_batch_norm(model: Model, machine: Machine) -> Model:
    """Return the model with batch norm over all GPUs' batch; on CPUs torch has no such layer."""
    if machine.ranks > 1 and machine.device.type == "cuda":
        return cast("Model", nn.SyncBatchNorm.convert_sync_batchnorm(model))  # type: ignore[no-untyped-call]
    return model
