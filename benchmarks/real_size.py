"""Training items a second, MFU, waiting and memory of the presets at their real size, with random weights.

A step costs the same whatever the weights are, so no hub is asked: BERT-base, ViT-B/16 (`released`) or six blocks on
64 patches (`paper`) and the full audio tower, on made-up films. On a GPU an epoch goes before the one that counts;
on a CPU it is one step at batch 2, which shows that the presets build, train and measure, and little else.

    python -m benchmarks.real_size                                     # on a GPU batch 16, as the paper
    python -m benchmarks.real_size --batch 256 --steps 20              # the largest that fits
    python -m benchmarks.real_size --batch 1024 --micro-batch 128      # larger than fits: in pieces
    python -m benchmarks.real_size --compile
"""

from __future__ import annotations

import argparse
import os
import tempfile

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as `training` sets it, and torch may be imported first here

from benchmarks.made_up import made_up_lake
from storage.lake.lake import Lake
from training.data.film_inputs import FilmInputs
from training.data.splits import load_split, newest_version
from training.loop.checkpoint import Job, LoopState
from training.loop.devices_and_torchrun import Machine, open_machine
from training.loop.flops_and_compilation import compile_towers
from training.loop.train import EpochReport, Loop, LoopInputs
from training.model.retrieval_model import build_model
from training.presets import chosen_settings
from training.systems import SYSTEMS


def main() -> None:
    """Measure each preset and print what an epoch cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", action="append", choices=("paper", "released"), help="both by default")
    parser.add_argument("--system", default="All", choices=SYSTEMS)
    parser.add_argument("--batch", type=int, help="tracks a batch; 16 on a GPU and 2 on a CPU by default")
    parser.add_argument("--micro-batch", type=int, help="films or tracks encoded at once")
    parser.add_argument("--steps", type=int, help="steps that are measured; 30 on a GPU and 1 on a CPU by default")
    parser.add_argument("--compile", action="store_true", help="use torch.compile")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, open_machine() as machine:
        gpu = machine.device.type == "cuda"
        batch, steps = options.batch or (16 if gpu else 2), options.steps or (30 if gpu else 1)
        lake = made_up_lake(folder, films=batch * steps, tracks=1, segments=2)
        for preset in options.preset or ("paper", "released"):
            loop = _loop(lake, preset, options.system, batch, options.micro_batch, machine)
            if options.compile:
                compile_towers(loop.model)
            for epoch in range(2 if gpu else 1):
                loop.state = LoopState(epoch)
                loop.loss_sum.zero_()
                report = loop.run_epoch([])
            assert report is not None
            print(f"{preset:9s} {options.system} batch {batch}: {_described(report)}")


def _loop(lake: Lake, preset: str, system: str, batch: int, micro_batch: int | None, machine: Machine) -> Loop:
    """The loop of a preset whose towers have its sizes and random weights."""
    settings = chosen_settings(preset, batch=batch, micro_batch=micro_batch).changed(
        {"text.pretrained": "", "image.pretrained": ""}
    )
    version, row = newest_version(lake), SYSTEMS[system]
    splits = [load_split(lake, version, name) for name in ("train", "valid")]
    built = build_model(row, settings, splits[0], 0)
    inputs = [FilmInputs(split, row, settings, built.tokenizer, built.image_format.pixels) for split in splits]
    job = Job("benchmark", row, settings, 0, version)
    return Loop(lake, LoopInputs(job, built.model, *splits, *inputs), machine, None)


def _described(report: EpochReport) -> str:
    mfu = "unknown" if report.mfu is None else f"{100 * report.mfu:.1f} %"
    return (
        f"{report.items_per_second:8.2f} items/s   MFU {mfu}   waiting for data {100 * report.data_wait_share:.2f} %   "
        f"peak memory {report.peak_memory_bytes / 2**30:.1f} GiB   loss {report.train_loss:.3f}"
    )


if __name__ == "__main__":
    main()
