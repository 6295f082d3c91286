"""The loop: it can be stopped anywhere and goes on to the same bits, and it stops by itself when it should."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from storage.errors import InputError, LakeError
from training.config import SYSTEMS, chosen_settings
from training.data.batches import FilmInputs
from training.loop.checkpoint import (
    BEST,
    CONFIG,
    FOLDER,
    LAST,
    Job,
    check_same_job,
    load_model,
    read_state,
    save_config,
)
from training.loop.device import Machine, explain_out_of_memory
from training.loop.train import train
from training.model.factory import build_model
from training.loop.train import LoopInputs


@pytest.fixture
def start(shared, quick, machine):
    """Trains a run on the shared version (going on from its checkpoint, if any) and returns what it left."""
    lake, data = shared

    def run(run_id: str, system: str = "All", on_step=None, **changes):
        settings = dataclasses.replace(quick, **changes)
        job = Job(run_id, SYSTEMS[system], settings, 0, data.version)
        built = build_model(job.system, settings, data.train, 0)
        save_config(lake, job, built)
        inputs = [FilmInputs(split, job.system, settings, built.tokenizer) for split in (data.train, data.valid)]
        reports = []
        state = train(lake, LoopInputs(job, built.model, data.train, data.valid, *inputs), machine, reports.append, on_step)
        return state, reports

    yield run
    shutil.rmtree(Path(lake.uri(FOLDER)), ignore_errors=True)


def _weights(lake, run_id: str, name: str = LAST) -> dict[str, torch.Tensor]:
    return load_file(lake.local_path(FOLDER, run_id, name))


def _equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_two_runs_of_one_seed_end_in_the_same_bits(start, shared):
    start("first")
    start("second")
    assert _equal(_weights(shared[0], "first"), _weights(shared[0], "second"))
    assert _equal(_weights(shared[0], "first", BEST), _weights(shared[0], "second", BEST))


@pytest.fixture
def hears_ctrl_c():
    """SIGINT as in a terminal: a test run that a script started in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("number", "system", "micro_batch"), [(1, "All", None), (2, "All", None), (3, "AVCA-tuned", None), (3, "All", 3)]
)
def test_a_run_stopped_by_ctrl_c_goes_on_to_the_same_bits(number, system, micro_batch, start, shared, hears_ctrl_c):
    start("whole", system, micro_batch=micro_batch)

    def interrupt(done: int, _steps: int) -> None:
        if done == number:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        start("stopped", system, on_step=interrupt, micro_batch=micro_batch)
    state = read_state(shared[0], "stopped")
    assert (state.epoch * 2 + state.step, state.finished) == (number, False)
    start("stopped", system, micro_batch=micro_batch)
    assert _equal(_weights(shared[0], "stopped"), _weights(shared[0], "whole"))
    assert _equal(_weights(shared[0], "stopped", BEST), _weights(shared[0], "whole", BEST))


RUN = """
import json, sys
from storage.lake.lake import Lake
from training.loop.checkpoint import Job
from training.loop.device import open_machine
from training.experiments import load_data, run_experiment
from training.config import SYSTEMS, settings_from_json
root, version, settings = sys.argv[1:]
job = Job("killed", SYSTEMS["All"], settings_from_json(json.loads(settings)), 0, version)
with open_machine() as machine:
    run_experiment(Lake(root), load_data(Lake(root), version), job, machine)
"""


def test_a_run_killed_at_some_moment_goes_on_to_the_same_bits(start, shared, quick):
    (lake, data), settings = shared, dataclasses.replace(quick, epochs=12)
    arguments = [lake.root, data.version, json.dumps(dataclasses.asdict(settings))]
    with subprocess.Popen([sys.executable, "-c", RUN, *arguments], cwd=Path(__file__).parents[3]) as process:
        while (state := read_state(lake, "killed")) is None or state.epoch < 2:
            time.sleep(0.01)
        process.kill()
    assert not read_state(lake, "killed").finished
    start("killed", epochs=12)
    start("whole", epochs=12)
    assert _equal(_weights(lake, "killed"), _weights(lake, "whole"))


def test_training_stops_by_patience_and_keeps_the_best_epoch(start, shared):
    state, reports = start("patient", epochs=30, patience=2, learning_rate=0.3)  # far too high a rate
    assert state.finished
    assert len(reports) < 30
    assert state.stopping.epochs_since == 2
    best = min(reports, key=lambda report: report.valid_loss)
    assert (state.stopping.best_epoch, state.stopping.best_loss) == (best.epoch, best.valid_loss)


def test_an_epoch_reports_what_it_cost(start):
    _, (first, _) = start("measured")
    assert (first.items, first.mfu) == (16, None)  # no peak is known for a CPU
    assert first.items_per_second > 0
    assert 0 <= first.data_wait_share <= 1
    assert first.peak_memory_bytes > 1e6


def test_a_checkpoint_of_another_configuration_is_refused_with_what_differs(start, shared, quick):
    start("mine")
    other = Job("mine", SYSTEMS["Im"], dataclasses.replace(quick, batch=4), 0, shared[1].version)
    with pytest.raises(InputError, match=r"system, settings.batch differ"):
        check_same_job(shared[0], other)


def test_weights_that_do_not_fit_their_configuration_are_refused(start, shared):
    start("mine")
    start("other", "Im")
    shared[0].write_bytes(shared[0].read_bytes(FOLDER, "other", BEST), FOLDER, "mine", BEST)
    with pytest.raises(InputError, match="another configuration"):
        load_model(shared[0], "mine")


def test_a_damaged_checkpoint_or_configuration_is_one_sentence(start, shared):
    start("mine")
    shared[0].write_bytes(b"not tensors", FOLDER, "mine", BEST)
    with pytest.raises(LakeError, match=r"mine/best.safetensors is damaged"):
        load_model(shared[0], "mine")
    shared[0].write_bytes(b"{}", FOLDER, "mine", CONFIG)
    with pytest.raises(LakeError, match=r"config.json does not describe"):
        load_model(shared[0], "mine")


def test_training_that_diverges_is_a_sentence_and_not_a_model(start, shared):
    with pytest.raises(InputError, match="give a lower --learning-rate"):
        start("diverged", learning_rate=1e30)
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
def test_a_gpu_out_of_memory_names_the_settings_to_change(batch, micro_batch, ranks, sentence):
    settings = chosen_settings("small", batch=batch, micro_batch=micro_batch)
    with pytest.raises(InputError, match=sentence), explain_out_of_memory(settings, ranks):
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_a_device_that_fills_up_in_training_ends_the_run_with_that_sentence(start, monkeypatch):
    def full(_machine, _batch):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Machine, "move", full)
    with pytest.raises(InputError, match="--micro-batch 4"):
        start("full")
