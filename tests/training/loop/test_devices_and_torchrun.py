"""Two processes have the loss and gradients of one with the complete batch, averaged in flat buckets."""

import re
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from storage.lake.lake import Lake
from training.data.batches import TrainingBatches
from training.data.film_inputs import FilmInputs
from training.loop.checkpoint import FOLDER, LAST, Job, read_state, save_config
from training.loop.devices_and_torchrun import Machine, buckets, gather, repeatable
from training.model.retrieval_model import Built, batch_loss, build_model
from training.settings import Settings
from training.systems import SYSTEMS
from training.training_runs import Data

PROGRAM = """
import sys
from pathlib import Path
import torch
from safetensors.torch import save_file
from storage.lake.lake import Lake
from training.data.batches import TrainingBatches
from training.data.film_inputs import FilmInputs
from training.loop.checkpoint import load_config
from training.data.splits import load_split
from functools import partial
from training.loop import devices_and_torchrun
from training.loop.devices_and_torchrun import average_gradients, gather, open_machine
from training.loop.micro_batches_and_out_of_memory import backward_in_micro_batches
from training.loop.train import LoopInputs
from training.model.retrieval_model import batch_loss
from training.loop.train import train
root, folder, *run_ids = sys.argv[1:]
devices_and_torchrun.BUCKET_BYTES = 20_000  # several buckets, and tensors larger than one
lake = Lake(root)

def measure(run_id, machine):
    job, built = load_config(lake, run_id)
    built.model.load_state_dict(torch.load(f"{folder}/{run_id}.weights"))
    splits = [load_split(lake, job.dataset, name) for name in ("train", "valid")]
    inputs = [FilmInputs(split, job.system, job.settings, built.tokenizer) for split in splits]
    loop_inputs = LoopInputs(job, built.model, *splits, *inputs)
    share = (machine.rank, machine.ranks)
    batch = TrainingBatches(splits[0], inputs[0], job.settings, job.seed, share).make(0, 0)
    built.model.eval()  # no dropout, and batch norm with its running statistics
    size = job.settings.training.micro_batch
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
        save_file({**grads, "the.loss": loss.detach()}, f"{folder}/{run_id}")
    built.model.zero_grad()
    train(lake, loop_inputs, machine, lambda report: print(run_id, report, flush=True))
    print("WEIGHTS", run_id, sum(weight.double().abs().sum().item() for weight in built.model.parameters()), flush=True)

with open_machine() as machine:
    for run_id in run_ids:
        measure(run_id, machine)
# a thread of the process group that outlives it would abort the rank at the end of the interpreter
print("THREADS", [name.read_text().strip() for name in Path("/proc/self/task").glob("*/comm")])
"""


CASES = (("All", None), ("AVCA-tuned", None), ("All", 3), ("ImPlo", None))
"""Systems, and the films of a micro-batch."""
DROPPED = {"data.modality_dropout": 0.6, "training.batch": 2}
"""Settings of ImPlo, with which one of two ranks has no image in its share of the first batch."""


@dataclass(frozen=True)
class TwoRanks:
    """The runs that two ranks trained in one launch, each with its model as it was before, and what they left."""

    runs: dict[tuple[str, int | None], tuple[Job, Built]]
    folder: Path
    printed: str


@pytest.fixture(scope="module")
def two_ranks(shared: tuple[Lake, Data], quick: Settings, tmp_path_factory: pytest.TempPathFactory) -> TwoRanks:
    """Measure and train every case on two ranks: starting them takes as long as all of it."""
    (lake, data), folder, runs = shared, tmp_path_factory.mktemp("ranks"), {}
    for name, size in CASES:
        changes = {"training.epochs": 1, "training.micro_batch": size} | (DROPPED if name == "ImPlo" else {})
        settings = quick.changed(changes)
        job = Job(f"ranks-{name}-{size}", SYSTEMS[name], settings, 0, data.version)
        built = build_model(job.system, settings, data.train, 0)
        save_config(lake, job, built)
        torch.save(built.model.state_dict(), folder / f"{job.run_id}.weights")
        runs[name, size] = (job, built)
    program = folder / "rank.py"
    program.write_text(f"import sys; sys.path.insert(0, {str(Path(__file__).parents[3])!r})\n" + PROGRAM)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", program]
    arguments = [lake.root, folder, *(job.run_id for job, _ in runs.values())]
    finished = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return TwoRanks(runs, folder, finished.stdout)


@pytest.mark.parametrize(("name", "micro_batch"), CASES)
def test_two_ranks_have_the_loss_and_gradients_of_one_rank(
    name: str, micro_batch: int | None, two_ranks: TwoRanks, shared: tuple[Lake, Data], machine: Machine
) -> None:
    (lake, data), (job, built) = shared, two_ranks.runs[name, micro_batch]
    inputs = FilmInputs(data.train, job.system, job.settings, built.tokenizer)
    built.model.eval()
    batch = TrainingBatches(data.train, inputs, job.settings, 0, (0, 1)).make(0, 0)
    loss = batch_loss(built.model, job.settings, built.model(batch), batch, partial(gather, machine))
    loss.backward()
    of_two_ranks = load_file(two_ranks.folder / job.run_id)
    if name == "ImPlo":
        shares = [TrainingBatches(data.train, inputs, job.settings, 0, (rank, 2)).make(0, 0) for rank in (0, 1)]
        assert sorted(share.films.pixels is None for share in shares) == [False, True]
    assert torch.allclose(of_two_ranks.pop("the.loss"), loss, rtol=1e-5)
    of_one_rank = {part: weight.grad for part, weight in built.model.named_parameters() if weight.grad is not None}
    assert of_two_ranks.keys() == of_one_rank.keys()
    for part, gradient in of_one_rank.items():
        assert torch.allclose(of_two_ranks[part], gradient, rtol=1e-4, atol=1e-6), part
    assert read_state(lake, job.run_id).finished
    assert lake.exists(FOLDER, job.run_id, LAST)
    assert two_ranks.printed.count(f"{job.run_id} EpochReport") == 1  # one rank reports
    assert len(set(re.findall(f"WEIGHTS {job.run_id} (.*)", two_ranks.printed))) == 1


def test_ranks_end_without_a_thread_of_their_process_group(two_ranks: TwoRanks) -> None:
    assert two_ranks.printed.count("THREADS") == 2
    assert "gloo" not in two_ranks.printed


def test_a_bucket_holds_gradients_of_one_type_up_to_its_size() -> None:
    half = torch.zeros(2, dtype=torch.float16)
    gradients = [torch.zeros(4), torch.zeros(4), torch.zeros(100), torch.zeros(1), half, half]
    assert [len(bucket) for bucket in buckets(gradients, 32)] == [2, 1, 1, 2]
    assert list(buckets([], 32)) == []


def test_deterministic_arithmetic_ends_with_its_block() -> None:
    before = torch.backends.cudnn.benchmark
    with repeatable(enabled=True):
        assert torch.are_deterministic_algorithms_enabled() and not torch.backends.cudnn.benchmark
    assert not torch.are_deterministic_algorithms_enabled() and torch.backends.cudnn.benchmark is before
    with repeatable(enabled=False):
        assert not torch.are_deterministic_algorithms_enabled()
