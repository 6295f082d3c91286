"""Two processes have the loss and gradients of one with the complete batch; counting operations changes no model."""

import dataclasses
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from storage.lake.lake import Lake
from training.config import SYSTEMS, Job, Settings
from training.data.batches import FilmInputs, TrainingBatches
from training.experiments import Data
from training.loop.checkpoint import FOLDER, LAST, read_state, save_config
from training.loop.devices import Machine, gather, training_flops
from training.model.losses import batch_loss
from training.model.retrievers import build_model

PROGRAM = """
import sys
from pathlib import Path
import torch
from safetensors.torch import save_file
from storage.lake.lake import Lake
from training.data.batches import FilmInputs, TrainingBatches
from training.loop.checkpoint import load_config
from training.data.splits import load_split
from functools import partial
from training.loop.devices import average_gradients, gather
from training.loop.devices import open_machine
from training.loop.optimisation import backward_in_micro_batches
from training.loop.train import LoopInputs
from training.model.losses import batch_loss
from training.loop.train import train
root, run_id, out = sys.argv[1:]
lake = Lake(root)
job, built = load_config(lake, run_id)
built.model.load_state_dict(torch.load(out + ".weights"))
splits = [load_split(lake, job.dataset, name) for name in ("train", "valid")]
inputs = [FilmInputs(split, job.system, job.settings, built.tokenizer) for split in splits]
with open_machine() as machine:
    loop_inputs = LoopInputs(job, built.model, *splits, *inputs)
    share = (machine.rank, machine.ranks)
    batch = TrainingBatches(splits[0], inputs[0], job.settings, job.seed, share).make(0, 0)
    built.model.eval()  # no dropout, and batch norm with its running statistics
    size = job.settings.micro_batch
    loss_of = lambda encoded: batch_loss(built.model, job.settings, encoded, batch, partial(gather, machine))
    if size:
        loss = backward_in_micro_batches(built.model, batch, size, machine, loss_of)
    else:
        loss = loss_of(built.model(batch))
        loss.backward()
    average_gradients(machine, built.model)
    if machine.is_first:
        trained = [(name, weight) for name, weight in built.model.named_parameters() if weight.grad is not None]
        grads = {name: weight.grad.contiguous() for name, weight in trained}
        save_file({**grads, "the.loss": loss.detach()}, out)
    built.model.zero_grad()
    train(lake, loop_inputs, machine, lambda report: print(report))
    print("WEIGHTS", sum(weight.double().abs().sum().item() for weight in built.model.parameters()))
# a thread of the process group that outlives it would abort the rank at the end of the interpreter
print("THREADS", [name.read_text().strip() for name in Path("/proc/self/task").glob("*/comm")])
"""


def test_counting_operations_leaves_a_compiled_model_compiled(shared: tuple[Lake, Data], quick: Settings) -> None:
    graphs, train, system = [], shared[1].train, SYSTEMS["Ta"]
    built = build_model(system, quick, train, 0)
    inputs = FilmInputs(train, system, quick, built.tokenizer)
    batch = TrainingBatches(train, inputs, quick, 0, (0, 1)).make(0, 0)
    built.model.compile(backend=lambda graph, _inputs: graphs.append(graph) or graph.forward)
    assert training_flops(built.model, batch, 3, 1.0) == 3 * training_flops(built.model, batch, 8, 0.0) > 0
    assert not graphs
    built.model(batch)
    assert graphs


@pytest.mark.parametrize(("name", "micro_batch"), [("All", None), ("AVCA-tuned", None), ("All", 3)])
def test_two_ranks_have_the_loss_and_gradients_of_one_rank(
    name: str, micro_batch: int | None, shared: tuple[Lake, Data], quick: Settings, machine: Machine, tmp_path: Path
) -> None:
    lake, data = shared
    settings, system = dataclasses.replace(quick, epochs=1, micro_batch=micro_batch), SYSTEMS[name]
    job = Job(f"ranks-{name}-{micro_batch}", system, settings, 0, data.version)
    built = build_model(system, settings, data.train, 0)
    save_config(lake, job, built)
    torch.save(built.model.state_dict(), tmp_path / "grads.weights")
    program = tmp_path / "rank.py"
    program.write_text(f"import sys; sys.path.insert(0, {str(Path(__file__).parents[3])!r})\n" + PROGRAM)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", program]
    finished = subprocess.run(
        [*command, lake.root, job.run_id, tmp_path / "grads"], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr

    inputs = FilmInputs(data.train, system, settings, built.tokenizer)
    built.model.eval()
    batch = TrainingBatches(data.train, inputs, settings, 0, (0, 1)).make(0, 0)
    loss = batch_loss(built.model, settings, built.model(batch), batch, partial(gather, machine))
    loss.backward()
    of_two_ranks = load_file(tmp_path / "grads")
    assert torch.allclose(of_two_ranks.pop("the.loss"), loss, rtol=1e-5)
    of_one_rank = {part: weight.grad for part, weight in built.model.named_parameters() if weight.grad is not None}
    assert of_two_ranks.keys() == of_one_rank.keys()
    for part, gradient in of_one_rank.items():
        assert torch.allclose(of_two_ranks[part], gradient, rtol=1e-4, atol=1e-6), part
    assert read_state(lake, job.run_id).finished
    assert lake.exists(FOLDER, job.run_id, LAST)
    assert finished.stdout.count("EpochReport") == 1  # one rank reports
    assert len(set(re.findall("WEIGHTS (.*)", finished.stdout))) == 1
    assert "gloo" not in finished.stdout
