"""The steps of `benchmarks.gpu`, each a function from the bench to its figures."""

from __future__ import annotations

import gc
import os
import platform
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as `training` sets it, and torch may be imported first here

import torch
import torch.nn.functional as F

from benchmarks.gpu_loading_and_ranking import embedding, loader, ranked, ranking
from benchmarks.made_up import made_up_lake
from storage.lake.lake import Lake
from storage.tables.tables import open_tables
from training.data.batches import Batch, TrainingBatches
from training.data.film_inputs import FilmInputs
from training.data.splits import Split, load_split, newest_version
from training.loop.checkpoint import BEST, Job, LoopState, save_config
from training.loop.devices_and_torchrun import Machine, gather, repeatable
from training.loop.flops_and_compilation import compile_towers, peak_flops
from training.loop.micro_batches_and_out_of_memory import backward_in_micro_batches
from training.loop.train import EpochReport, Loop, LoopInputs, train
from training.model.retrieval_model import Model, batch_loss, build_model
from training.presets import PRESETS, chosen_settings
from training.settings import Settings
from training.systems import SYSTEMS

Result = dict[str, Any]
STRONG = "strong" if "strong" in PRESETS else "released"
TINY = {
    "text.width": 32, "text.layers": 1, "text.heads": 2, "text.mlp": 32, "text.vocabulary": 400, "text.max_tokens": 64,
    "image.patch_pixels": 56, "image.width": 32, "image.layers": 1, "image.heads": 2, "image.mlp": 32,
    "audio.stem": (8, 16), "audio.channels": 8, "audio.blocks": 2, "audio.width": 32, "audio.layers": 1,
    "audio.heads": 2, "audio.mlp": 32, "training.batch": 4,
}  # fmt: skip


@dataclass(frozen=True)
class Bench:
    """A folder for the made-up lake, the device, and whether the sizes are tiny."""

    folder: str
    machine: Machine
    tiny: bool

    @property
    def on_gpu(self) -> bool:
        """Return whether there is a GPU."""
        return self.machine.device.type == "cuda"

    @cached_property
    def lake(self) -> Lake:
        """The made-up lake, which an earlier process of this run may have left: 1,024 tracks of two segments."""
        path, made = Path(self.folder, "lake"), Path(self.folder, "made")
        if not made.exists():
            made_up_lake(str(path), films=8 if self.tiny else 512, tracks=2, segments=2)
            made.touch()
        return open_tables(str(path))

    @cached_property
    def splits(self) -> tuple[Split, Split]:
        """The films to train on and to validate."""
        version = newest_version(self.lake)
        return load_split(self.lake, version, "train"), load_split(self.lake, version, "valid")

    def settings(self, preset: str, **changes: Any) -> Settings:
        """Return a preset with random weights in place of pretrained ones, which cost the same; tiny where asked."""
        settings = chosen_settings(preset).changed({"text.pretrained": "", "image.pretrained": ""})
        return settings.changed(
            (TINY if self.tiny else {}) | {name.replace("__", "."): v for name, v in changes.items()}
        )

    def inputs(self, settings: Settings, run_id: str = "bench", system: str = "All") -> LoopInputs:
        """Return what a loop works on: a new model, both splits, and the films as the system reads them."""
        row = SYSTEMS[system]
        built = build_model(row, settings, self.splits[0], 0)
        films = [FilmInputs(split, row, settings, built.tokenizer) for split in self.splits]
        job = Job(run_id, row, settings, 0, newest_version(self.lake))
        if run_id != "bench":
            save_config(self.lake, job, built)
        return LoopInputs(job, built.model, *self.splits, *films)

    def wait(self) -> None:
        """Wait until the device has done everything."""
        if self.on_gpu:
            torch.cuda.synchronize(self.machine.device)

    def batch(self, settings: Settings, inputs: LoopInputs) -> Batch:
        """Return the first batch of an epoch, on the device."""
        return self.machine.move(TrainingBatches(inputs.train, inputs.train_inputs, settings, 0, (0, 1)).make(0, 0))


def machine(bench: Bench) -> Result:
    """Return what the other figures depend on."""
    device = bench.machine.device
    result: Result = {"device": platform.processor(), "tiny": bench.tiny, "cores": os.cpu_count()}
    result |= {"torch": torch.__version__, "python": platform.python_version(), "peak_flops": peak_flops(bench.machine)}
    if bench.on_gpu:
        properties = torch.cuda.get_device_properties(device)
        result |= {"device": properties.name, "memory_bytes": properties.total_memory}
        result |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    return result


def parity(bench: Bench) -> Result:
    """Return how far embeddings on the device are from those of the CPU, in float32 and as trained; and equal ranks."""
    settings = bench.settings("paper", training__batch=4)
    inputs = bench.inputs(settings)
    model, batch = (
        inputs.model.eval(),
        TrainingBatches(inputs.train, inputs.train_inputs, settings, 0, (0, 1)).make(0, 0),
    )
    allowed = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    result: Result = {}
    with torch.no_grad():
        expected = [model.encode_query(batch.films), model.encode_audio(batch.tracks)]
        model.to(bench.machine.device)
        moved = bench.machine.move(batch)
        for name, exact in (("float32", True), ("as trained", False)):
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = not exact
            with torch.autocast(bench.machine.device.type, torch.bfloat16, enabled=bench.on_gpu and not exact):
                found = [model.encode_query(moved.films).cpu(), model.encode_audio(moved.tracks).cpu()]
            pairs = list(zip(found, expected, strict=True))
            result[f"{name}: largest difference"] = max(float((a - b).abs().max()) for a, b in pairs)
            result[f"{name}: lowest cosine"] = min(float(F.cosine_similarity(a, b).min()) for a, b in pairs)
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = allowed
    on_device, on_cpu = (ranked(60, 900, device)[0] for device in (str(bench.machine.device), "cpu"))
    return result | {"ranks_equal": on_device.rank_lo.tolist() == on_cpu.rank_lo.tolist()}


def _trained(bench: Bench, preset: str, compiled: bool, **changes: Any) -> Result:
    """Return the figures of a measured epoch after one that warms up: compiles, chooses algorithms, decodes images."""
    settings = bench.settings(preset, **changes)
    loop = Loop(bench.lake, bench.inputs(settings), bench.machine, None)
    if compiled:
        compile_towers(loop.model, **({"backend": "eager"} if bench.tiny else {}))
    began = time.perf_counter()
    if bench.on_gpu:
        torch.cuda.reset_peak_memory_stats(bench.machine.device)
    reports = [_epoch(loop, number) for number in range(1 if bench.tiny and not compiled else 2)]
    report, warm_up = reports[-1], time.perf_counter() - began - reports[-1].seconds
    names = ("items_per_second", "mfu", "data_wait_share", "peak_memory_bytes", "train_loss")
    result = {name: getattr(report, name) for name in names}
    step = settings.training.batch / report.items_per_second
    result |= {"batch": loop.batches.batch, "steps": loop.batches.steps, "step_seconds": step, "warm_up": warm_up}
    batch, steps = bench.batch(settings, loop.inputs), 1 if bench.tiny else 8
    _steps(bench, loop, batch, 1)
    host, seconds = _steps(bench, loop, batch, steps)
    return result | {"one batch: step_seconds": seconds / steps, "one batch: host_seconds": host / steps}


def _epoch(loop: Loop, number: int) -> EpochReport:
    loop.state = LoopState(number)
    loop.loss_sum.zero_()
    report = loop.run_epoch([])
    assert report is not None
    return report


def strong(bench: Bench, compiled: bool) -> Result:
    """Return the figures of the best preset at its batch, in pieces of 64 where it has none and the batch is larger."""
    settings = chosen_settings(STRONG).training
    at_least = {} if bench.tiny else {"training__batch": max(settings.batch, 256)}
    pieces = {"training__micro_batch": settings.micro_batch or (2 if bench.tiny else 64)}
    return {"preset": STRONG} | _trained(bench, STRONG, compiled, **at_least, **pieces)


def waits(bench: Bench) -> Result:
    """Return where one training step makes the host wait for the device; there should be no such place."""
    settings = bench.settings("paper")
    loop = Loop(bench.lake, bench.inputs(settings), bench.machine, None)
    batch = bench.batch(settings, loop.inputs)
    loop.update(batch, 0)
    if not bench.on_gpu:
        return {"waits": None}
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            loop.update(batch, 1)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return {"waits": len(caught), "where": sorted({f"{w.filename}:{w.lineno}" for w in caught})}


def profile(bench: Bench) -> Result:
    """Return what a step of `paper` from one batch spends on the host and on the GPU, and the kernels that take most.

    `host_seconds` is the time to launch a step: where it is as long as the step, the GPU waits for the host.
    """
    settings = bench.settings("paper")
    loop = Loop(bench.lake, bench.inputs(settings), bench.machine, None)
    batch, steps = bench.batch(settings, loop.inputs), 2 if bench.tiny else 10
    _steps(bench, loop, batch, 1 if bench.tiny else 3)
    host, seconds = _steps(bench, loop, batch, steps)
    activities = [torch.profiler.ProfilerActivity.CPU]
    activities += [torch.profiler.ProfilerActivity.CUDA] if bench.on_gpu else []
    with torch.profiler.profile(activities=activities, record_shapes=True) as recorded:
        _steps(bench, loop, batch, steps)
    rows = recorded.key_averages()
    on_gpu = [row for row in rows if row.device_type == torch.autograd.DeviceType.CUDA]
    kernels = [row for row in on_gpu if not row.is_user_annotation]  # which spans kernels that have rows of their own
    busy = sum(row.self_device_time_total for row in kernels) / 1e6 / steps
    names = ("cudaLaunchKernel", "cuLaunchKernel", "cudaGraphLaunch")
    launches = sum(row.count for row in rows if row.key.startswith(names)) / steps
    result: Result = {"step_seconds": seconds / steps, "host_seconds": host / steps, "gpu_seconds": busy}
    result |= {"busy": busy * steps / seconds, "launches": launches}
    by_shape = recorded.key_averages(group_by_input_shape=True)
    operations = [row for row in by_shape if row.device_type == torch.autograd.DeviceType.CPU]
    result |= {"kernels": _longest(kernels, steps), "operations": _longest(operations, steps)}
    return result | {"on the host": _longest(rows, steps, "self_cpu_time_total")}


def _steps(bench: Bench, loop: Loop, batch: Batch, steps: int) -> tuple[float, float]:
    """Take so many training steps; returns the seconds until all are launched, and until all are done."""
    bench.wait()
    began = time.perf_counter()
    for number in range(steps):
        loop.update(batch, number)
    launched = time.perf_counter()
    bench.wait()
    return launched - began, time.perf_counter() - began


def _longest(rows: Any, steps: int, time_of: str = "self_device_time_total") -> list[Result]:
    """Return the rows of a profile that take longest: milliseconds and calls per step, with their shapes."""
    longest = sorted(rows, key=lambda row: -getattr(row, time_of))[:15]
    return [
        {
            "name": row.key[:120],
            "milliseconds": getattr(row, time_of) / 1e3 / steps,
            "calls": row.count / steps,
            "shapes": str(row.input_shapes)[:200],
        }
        for row in longest
    ]


def gradients(bench: Bench) -> Result:
    """Return how far the gradients of a cached and of a compiled batch are from those of the whole batch at once."""
    settings = bench.settings("paper", training__batch=4 if bench.tiny else 16)
    inputs = bench.inputs(settings)
    model = inputs.model.to(bench.machine.device).eval()  # neither dropout nor the statistics of a micro-batch
    batch = bench.batch(settings, inputs)
    whole = _gradient(bench, model, settings, batch, None)
    result: Result = {"cached": _apart(_gradient(bench, model, settings, batch, 2), whole)}
    compile_towers(model, **({"backend": "eager"} if bench.tiny else {}))
    result["compiled"] = _apart(_gradient(bench, model, settings, batch, None), whole)
    return result | {"cached and compiled": _apart(_gradient(bench, model, settings, batch, 4), whole)}


def _gradient(bench: Bench, model: Model, settings: Settings, batch: Batch, size: int | None) -> torch.Tensor:
    model.zero_grad(set_to_none=True)
    loss_of = partial(batch_loss, model, settings, batch=batch, gather=partial(gather, bench.machine))
    if size:
        backward_in_micro_batches(model, batch, size, bench.machine, loss_of)
    else:
        with bench.machine.autocast():
            encoded = model(batch)
        loss_of(encoded).backward()  # type: ignore[no-untyped-call]
    return torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])


def _apart(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def resume(bench: Bench) -> Result:
    """Return whether two runs, and one that was stopped and resumed, end in the same bits: by default and asked to."""
    result: Result = {}
    for name, deterministic in (("by default", False), ("deterministic", True)):
        settings = bench.settings("small", training__epochs=2, training__deterministic=deterministic)
        if not bench.tiny:
            settings = settings.changed({"training.batch": 64})
        ends = [_end(bench, settings, f"{run}-{deterministic}", stop) for run, stop in (("a", 0), ("b", 0), ("c", 3))]
        result |= {f"{name}: repeated": ends[0] == ends[1], f"{name}: resumed": ends[0] == ends[2]}
    return result


class _Stopped(Exception):
    pass


def _end(bench: Bench, settings: Settings, run_id: str, stop_at: int) -> bytes:
    """Return the best weights of a run, which is stopped and resumed after some steps if `stop_at` is not 0."""

    def stop(done: int, _steps: int) -> None:
        if done == stop_at:
            raise _Stopped

    inputs = bench.inputs(settings, run_id)
    if stop_at:
        loop = Loop(bench.lake, inputs, bench.machine, stop)
        with repeatable(settings.training.deterministic):
            try:
                loop.run_epoch([])
            except _Stopped:
                loop.state = LoopState(0, stop_at)
                loop.save()
        inputs = bench.inputs(settings, run_id)
    train(bench.lake, inputs, bench.machine, lambda _report: None)
    path = Path(bench.lake.local_path("models", run_id, BEST))
    return path.read_bytes()


def _freed(step: Callable[[Bench], Result], bench: Bench) -> Result:
    """Run a step, then give back the memory that it took, so that the next one's peak is its own."""
    try:
        return step(bench)
    finally:
        gc.collect()
        torch.compiler.reset()
        if bench.on_gpu:
            torch.cuda.empty_cache()


STEPS: dict[str, Callable[[Bench], Result]] = {
    name: partial(_freed, step)
    for name, step in {
        "machine": machine,
        "parity": parity,
        "resume": resume,
        "paper eager": partial(_trained, preset="paper", compiled=False),
        "waits": waits,
        "profile": profile,
        "loader": loader,
        "embedding": embedding,
        "ranking": ranking,
        "paper compiled": partial(_trained, preset="paper", compiled=True),
        "strong eager": partial(strong, compiled=False),
        "gradients": gradients,
        "strong compiled": partial(strong, compiled=True),
    }.items()
}
