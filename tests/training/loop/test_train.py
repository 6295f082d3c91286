"""The loop: a run stopped at any moment resumes to the same bits, and early stopping."""

import dataclasses
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from storage.errors import InputError, LakeError
from storage.lake.lake import Lake
from training.data.film_inputs import FilmInputs
from training.loop.checkpoint import (
    BEST,
    CONFIG,
    FOLDER,
    LAST,
    Job,
    LoopState,
    LoopTensors,
    check_same_job,
    drop_tensors,
    load_config,
    load_last,
    load_model,
    read_state,
    save_config,
)
from training.loop.devices_and_torchrun import Machine
from training.loop.micro_batches_and_out_of_memory import explain_out_of_memory
from training.loop.optimiser_and_early_stopping import build_optimiser
from training.loop.train import EpochReport, LoopInputs, OnStep, train
from training.model.retrieval_model import build_model
from training.presets import chosen_settings, with_options
from training.settings import Settings
from training.systems import SYSTEMS
from training.training_runs import Data, valid_medr


class Trained(NamedTuple):
    """The end of a run: its loop state, the reports of its epochs, and its model with the last weights."""

    state: LoopState
    reports: list[EpochReport]
    model: nn.Module

    def weights(self) -> dict[str, torch.Tensor]:
        return dict(self.model.state_dict())


Start = Callable[..., Trained]


@pytest.fixture
def start(shared: tuple[Lake, Data], quick: Settings, machine: Machine) -> Iterator[Start]:
    """Train a run on the shared version, or resume it from its checkpoint; returns its state and epochs."""
    lake, data = shared

    def run(run_id: str, system: str = "All", on_step: OnStep | None = None, **changes: Any) -> Trained:
        settings = with_options(quick, changes)
        job = Job(run_id, SYSTEMS[system], settings, 0, data.version)
        built = build_model(job.system, settings, data.train, 0)
        save_config(lake, job, built)
        inputs = [FilmInputs(split, job.system, settings, built.tokenizer) for split in (data.train, data.valid)]
        reports, medr = [], lambda: valid_medr(built.model, data.valid, inputs[1], machine)
        of_job = LoopInputs(job, built.model, data.train, data.valid, *inputs, medr)
        return Trained(train(lake, of_job, machine, reports.append, on_step), reports, built.model)

    yield run
    shutil.rmtree(Path(lake.uri(FOLDER)), ignore_errors=True)


def _weights(lake: Lake, run_id: str, name: str) -> dict[str, torch.Tensor]:
    return load_file(lake.local_path(FOLDER, run_id, name))


def _equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_two_runs_of_one_seed_have_the_same_bits(start: Start, shared: tuple[Lake, Data]) -> None:
    assert _equal(start("first").weights(), start("second").weights())
    assert _equal(_weights(shared[0], "first", BEST), _weights(shared[0], "second", BEST))


@pytest.fixture
def sigint_enabled() -> Iterator[None]:
    """Handle SIGINT as in a terminal: tests that a script starts in the background ignore it."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


RECIPE = {
    "optimiser.text_rate": 1e-4,
    "optimiser.scale_rate": 1e-2,
    "optimiser.ema": 0.9,
    "training.stop_on": "medr",
    "data.separate_streams": True,
}


@pytest.mark.parametrize(
    ("number", "system", "changes"),
    [(1, "All", {}), (2, "All", {}), (3, "AVCA-tuned", {}), (3, "All", {"micro_batch": 3}), (3, "All", RECIPE)],
)
def test_a_run_stopped_by_ctrl_c_resumes_to_the_same_bits(
    number: int,
    system: str,
    changes: dict[str, Any],
    start: Start,
    shared: tuple[Lake, Data],
    sigint_enabled: None,
) -> None:
    uninterrupted = start("uninterrupted", system, **changes)

    def interrupt(done: int, _steps: int) -> None:
        if done == number:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        start("stopped", system, on_step=interrupt, **changes)
    state = read_state(shared[0], "stopped")
    assert (state.epoch * 2 + state.step, state.finished) == (number, False)
    assert _equal(start("stopped", system, **changes).weights(), uninterrupted.weights())
    assert _equal(_weights(shared[0], "stopped", BEST), _weights(shared[0], "uninterrupted", BEST))


def test_moments_are_read_in_the_order_in_which_their_weights_are_kept(
    start: Start, shared: tuple[Lake, Data], sigint_enabled: None
) -> None:
    """Else the fused optimiser of a GPU refuses them, and no run could be resumed there."""
    lake, _ = shared

    def interrupt(done: int, _steps: int) -> None:
        if done == 1:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        start("stopped", on_step=interrupt)
    _, built = load_config(lake, "stopped")
    optimiser = build_optimiser(built.model, chosen_settings("small"), torch.device("cpu"))
    load_last(lake, "stopped", LoopTensors(built.model, optimiser, torch.zeros((), dtype=torch.float64)))
    for weight, moments in optimiser.state.items():
        assert moments["exp_avg"].stride() == moments["exp_avg_sq"].stride() == weight.stride()
    assert any(weight.ndim == 4 and not weight.is_contiguous() for weight in optimiser.state)


RUN = """
import json, sys
from storage.lake.lake import Lake
from training.settings import settings_from_json
from training.systems import SYSTEMS
from training.loop.checkpoint import Job
from training.loop.devices_and_torchrun import open_machine
from training.training_runs import load_data, run_experiment
root, version, settings = sys.argv[1:]
job = Job("killed", SYSTEMS["All"], settings_from_json(json.loads(settings)), 0, version)
with open_machine() as machine:
    run_experiment(Lake(root), load_data(Lake(root), version), job, machine)
"""


def test_a_killed_run_resumes_to_the_same_bits(start: Start, shared: tuple[Lake, Data], quick: Settings) -> None:
    (lake, data), settings = shared, quick.changed({"training.epochs": 12})
    arguments = [lake.root, data.version, json.dumps(settings.as_json())]
    with subprocess.Popen([sys.executable, "-c", RUN, *arguments], cwd=Path(__file__).parents[3]) as process:
        while (state := read_state(lake, "killed")) is None or state.epoch < 2:
            time.sleep(0.01)
        process.kill()
    assert not read_state(lake, "killed").finished
    assert _equal(start("killed", epochs=12).weights(), start("uninterrupted", epochs=12).weights())


def test_training_stops_early_and_keeps_the_best_epoch(start: Start, shared: tuple[Lake, Data]) -> None:
    state, reports, _ = start("patient", epochs=30, patience=2, learning_rate=0.3)  # a rate that is far too high
    assert state.finished
    assert len(reports) < 30
    assert state.stopping.epochs_since == 2
    best = min(reports, key=lambda report: report.valid_loss)
    assert (state.stopping.best_epoch, state.stopping.best_loss) == (best.epoch, best.valid_loss)


def test_a_finished_run_keeps_no_optimiser_and_trains_no_further(start: Start, shared: tuple[Lake, Data]) -> None:
    first = start("finished")
    assert _weights(shared[0], "finished", LAST) == {}
    again = start("finished")
    assert (again.state, again.reports) == (first.state, [])


def test_a_run_that_an_earlier_version_finished_loses_its_optimiser(start: Start, shared: tuple[Lake, Data]) -> None:
    lake, state = shared[0], start("old").state
    tensors, described = {"optimiser.0.exp_avg": torch.ones(9)}, json.dumps(dataclasses.asdict(state))
    save_file(tensors, lake.local_path(FOLDER, "old", LAST), {"state": described})
    drop_tensors(lake, "old")
    assert _weights(lake, "old", LAST) == {}
    assert read_state(lake, "old") == state


def test_an_unfinished_run_keeps_its_optimiser(start: Start, shared: tuple[Lake, Data], sigint_enabled: None) -> None:
    with pytest.raises(KeyboardInterrupt):
        start("unfinished", on_step=lambda _done, _steps: os.kill(os.getpid(), signal.SIGINT))
    before = _weights(shared[0], "unfinished", LAST)
    drop_tensors(shared[0], "unfinished")
    assert before.keys() == _weights(shared[0], "unfinished", LAST).keys()


def test_averaged_weights_are_validated_and_kept(start: Start, shared: tuple[Lake, Data]) -> None:
    own, averaged = start("own"), start("averaged", **{"optimiser.ema": 0.5})
    assert _equal(own.weights(), averaged.weights())  # the average changes no step
    assert [r.train_loss for r in own.reports] == [r.train_loss for r in averaged.reports]
    assert averaged.reports[0].valid_loss != own.reports[0].valid_loss
    assert not _equal(_weights(shared[0], "own", BEST), _weights(shared[0], "averaged", BEST))


def test_training_stops_on_the_median_rank_of_the_whole_validation_split(start: Start) -> None:
    state, reports, _ = start("ranked", epochs=6, patience=2, **{"training.stop_on": "medr"})
    ranks = [report.valid_medr for report in reports]
    assert (state.stopping.best_loss, state.stopping.best_epoch) == (min(ranks), ranks.index(min(ranks)))
    assert len(ranks) == min(6, ranks.index(min(ranks)) + 3)


@pytest.mark.parametrize("changes", [{"head.form": "paper"}, {"head.form": "code", "micro_batch": 1}])
def test_a_batch_of_one_film_ends_no_run(start: Start, changes: dict[str, Any]) -> None:
    reports = start("pairs", batch=2, epochs=3, **changes).reports
    assert all(math.isfinite(report.train_loss) for report in reports)


def test_an_epoch_reports_its_costs(start: Start) -> None:
    first = start("measured").reports[0]
    assert (first.items, first.mfu) == (16, None)  # a CPU has no known peak
    assert first.items_per_second > 0
    assert 0 <= first.data_wait_share <= 1
    assert first.peak_memory_bytes > 1e6


def test_a_checkpoint_of_another_configuration_is_an_error_that_names_the_differences(
    start: Start, shared: tuple[Lake, Data], quick: Settings
) -> None:
    start("mine")
    other = Job("mine", SYSTEMS["Im"], quick.changed({"training.batch": 4}), 0, shared[1].version)
    with pytest.raises(InputError, match=r"system, training.batch differ"):
        check_same_job(shared[0], other)


def test_weights_that_do_not_fit_their_configuration_are_an_error(start: Start, shared: tuple[Lake, Data]) -> None:
    start("mine")
    start("other", "Im")
    shared[0].write_bytes(shared[0].read_bytes(FOLDER, "other", BEST), FOLDER, "mine", BEST)
    with pytest.raises(InputError, match="another configuration"):
        load_model(shared[0], "mine")


def test_a_damaged_checkpoint_or_configuration_is_an_error(start: Start, shared: tuple[Lake, Data]) -> None:
    start("mine")
    shared[0].write_bytes(b"not tensors", FOLDER, "mine", BEST)
    with pytest.raises(LakeError, match=r"mine/best.safetensors is damaged"):
        load_model(shared[0], "mine")
    last = shared[0].read_bytes(FOLDER, "mine", LAST)
    for damaged in (b"", last[: len(last) // 2], b"not tensors"):
        shared[0].write_bytes(damaged, FOLDER, "mine", LAST)
        with pytest.raises(LakeError, match=r"mine/last.safetensors is damaged"):
            start("mine")
    shared[0].write_bytes(b"{}", FOLDER, "mine", CONFIG)
    with pytest.raises(LakeError, match=r"config.json does not describe"):
        load_model(shared[0], "mine")


@pytest.mark.parametrize("stop_on", ["loss", "medr"])
def test_diverged_training_is_an_error_and_saves_no_model(
    stop_on: str, start: Start, shared: tuple[Lake, Data]
) -> None:
    with pytest.raises(InputError, match="give a lower --learning-rate"):
        start("diverged", learning_rate=1e30, **{"training.stop_on": stop_on})
    assert not shared[0].exists(FOLDER, "diverged", BEST)


@pytest.mark.parametrize(
    ("batch", "micro_batch", "ranks", "sentence"),
    [
        (64, None, 1, "--micro-batch 32, .* --batch 32"),
        (64, None, 4, "--micro-batch 8, "),
        (64, 6, 1, "--micro-batch 3, "),
        (64, 1, 1, "1 at once; give a smaller batch, such as --batch 32, or spread"),
    ],
)
def test_a_gpu_out_of_memory_names_the_settings_to_change(
    batch: int, micro_batch: int | None, ranks: int, sentence: str
) -> None:
    settings = chosen_settings("small", batch=batch, micro_batch=micro_batch)
    with pytest.raises(InputError, match=sentence), explain_out_of_memory(settings, ranks):
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_a_machine_out_of_memory_is_a_sentence_and_another_error_stays(quick: Settings) -> None:
    with pytest.raises(InputError, match="The machine ran out of memory at batch 8"), explain_out_of_memory(quick):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory")
    with pytest.raises(RuntimeError, match="shapes"), explain_out_of_memory(quick):
        raise RuntimeError("shapes")


def test_a_gpu_that_runs_out_of_memory_in_training_ends_the_run_with_that_error(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = torch.Tensor.to

    def full(values: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
        if values.dtype == torch.uint8:  # mels and images
            raise torch.OutOfMemoryError("CUDA out of memory")
        return move(values, *args, **options)

    monkeypatch.setattr(torch.Tensor, "to", full)
    with pytest.raises(InputError, match="--micro-batch 4"):
        start("full")
