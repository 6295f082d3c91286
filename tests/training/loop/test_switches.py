"""Training with every switch on, and with frozen towers: resumed to the same bits, exact in micro-batches, cached."""

import shutil
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from storage.lake.lake import Lake
from tests.training.pretrained_models import TOKENS, save_text_model
from training.data.film_inputs import FilmInputs
from training.evaluation.model_card import CARD
from training.loop import frozen_tower_cache
from training.loop.checkpoint import BEST, FOLDER, Job, load_config, read_state
from training.loop.devices_and_torchrun import Machine, gather
from training.loop.frozen_tower_cache import CACHE, cache_frozen_towers
from training.loop.micro_batches_and_out_of_memory import backward_in_micro_batches
from training.loop.train import Loop, LoopInputs, train, validation_loss
from training.model.retrieval_model import batch_loss, build_model
from training.settings import Settings
from training.systems import SYSTEMS
from training.training_runs import Data, run_experiment

Prepare = Callable[..., LoopInputs]


@pytest.fixture
def lake(shared: tuple[Lake, Data], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Lake]:
    """Return the shared lake with a cache folder of this test."""
    monkeypatch.setenv("NEEDLEDROP_CACHE", str(tmp_path / "cache"))
    lake = Lake(shared[0].root)
    yield lake
    shutil.rmtree(Path(lake.uri(FOLDER)), ignore_errors=True)


@pytest.fixture
def prepare(lake: Lake, shared: tuple[Lake, Data], switched: Settings, machine: Machine) -> Prepare:
    """Return a function: what the loop works on, with every switch on and these changes."""

    def prepared(run_id: str = "run", system: str = "All", cached: bool = True, **changes: Any) -> LoopInputs:
        settings = switched.changed({name.replace("__", "."): value for name, value in changes.items()})
        data, job = shared[1], Job(run_id, SYSTEMS[system], settings, 0, shared[1].version)
        built = build_model(job.system, settings, data.train, 0)
        inputs = [FilmInputs(split, job.system, settings, built.tokenizer) for split in (data.train, data.valid)]
        if cached:
            cache_frozen_towers(lake, built.model.films, inputs, machine)
        return LoopInputs(job, built.model, data.train, data.valid, *inputs)

    return prepared


FREEZE = {"text__frozen": True, "image__frozen": True, "data__tag_subsets": False}


@pytest.mark.parametrize(
    "changes",
    [{}, {"training__micro_batch": 3}, {"system": "AVCA-tuned"}, FREEZE, {**FREEZE, "data__tag_subsets": True}],
)
def test_a_stopped_run_with_every_switch_on_resumes_to_the_same_bits(
    changes: dict[str, Any], prepare: Prepare, lake: Lake, machine: Machine
) -> None:
    train(lake, prepare("complete", **changes), machine, lambda _report: None)
    assert Loop(lake, prepare("stopped", **changes), machine, None).run_epoch([signal.SIGINT]) is None
    shutil.rmtree(lake.cached(CACHE), ignore_errors=True)  # as on another machine
    train(lake, prepare("stopped", **changes), machine, lambda _report: None)
    _check_same_weights(lake, "complete", "stopped")


class _Killed(BaseException):
    pass


def test_a_killed_run_reads_of_frozen_towers_what_they_return_and_not_what_random_weights_do(
    lake: Lake, shared: tuple[Lake, Data], switched: Settings, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = switched.changed({name.replace("__", "."): value for name, value in FREEZE.items()})
    complete, killed = (Job(name, SYSTEMS["All"], settings, 0, shared[1].version) for name in ("complete", "killed"))
    run_experiment(lake, shared[1], complete, machine)

    def kill(_description: str, done: int, _total: int) -> None:
        if done == 2:
            raise _Killed

    monkeypatch.setattr("training.loop.train.SAVE_SECONDS", -1)
    with pytest.raises(_Killed):
        run_experiment(lake, shared[1], killed, machine, on_progress=kill)
    assert (state := read_state(lake, "killed")) is not None and state.step == 1
    run_experiment(lake, shared[1], killed, machine)
    _check_same_weights(lake, "complete", "killed")


def test_a_run_stores_the_licence_of_its_pretrained_weights(
    lake: Lake, shared: tuple[Lake, Data], quick: Settings, machine: Machine, tmp_path: Path
) -> None:
    save_text_model("bert", tmp_path)
    (tmp_path / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    settings = quick.changed({"text.pretrained": str(tmp_path), "text.max_tokens": TOKENS, "training.epochs": 1})
    run_experiment(lake, shared[1], Job("licensed", SYSTEMS["Ta"], settings, 0, shared[1].version), machine)
    assert load_config(lake, "licensed")[1].towers["licences"] == {"text": "apache-2.0"}
    assert f"from `{tmp_path}` (apache-2.0), whose own" in lake.read_bytes(FOLDER, "licensed", CARD).decode()


def _check_same_weights(lake: Lake, one: str, other: str) -> None:
    """Fail unless two runs kept weights of the same bits; a finished run keeps only those of its best epoch."""
    first, second = (load_file(lake.local_path(FOLDER, name, BEST)) for name in (one, other))
    assert first and first.keys() == second.keys()
    assert all(torch.equal(second[name], value) for name, value in first.items())


@pytest.mark.parametrize(("system", "size"), [("All", 3), ("TaPlo", 3), ("AVCA-tuned", 3), ("All", 1)])
def test_micro_batches_have_the_gradient_of_the_complete_batch(
    system: str, size: int, prepare: Prepare, lake: Lake, machine: Machine
) -> None:
    inputs = prepare(system=system, data__modality_dropout=0.8 if size == 1 else 0.4)
    model, batch = inputs.model.eval(), Loop(lake, inputs, machine, None).batches.make(0, 0)
    assert size > 1 or 0 in batch.films.text_counts  # a micro-batch without any text
    loss_of = partial(batch_loss, model, inputs.job.settings, batch=batch, gather=partial(gather, machine))
    complete = loss_of(model(batch))
    complete.backward()  # type: ignore[no-untyped-call]
    expected = {name: weight.grad for name, weight in model.named_parameters()}
    model.zero_grad()
    loss = backward_in_micro_batches(model, batch, size, machine, loss_of)
    assert loss.item() == pytest.approx(complete.item(), rel=1e-5)
    for name, weight in model.named_parameters():
        assert weight.grad is not None and torch.allclose(weight.grad, expected[name], rtol=1e-3, atol=1e-6), name


def _never(*_args: object) -> torch.Tensor:
    raise AssertionError("a frozen tower was run again")


def test_frozen_towers_are_run_once_and_then_read_from_the_cache(
    prepare: Prepare, lake: Lake, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    live, cached = prepare(cached=False, **FREEZE), prepare(**FREEZE)
    assert validation_loss(cached, machine) == pytest.approx(validation_loss(live, machine), rel=1e-5)
    for inputs in (live, cached):
        inputs.model.eval()
    batches = [Loop(lake, inputs, machine, None).batches.make(0, 0) for inputs in (live, cached)]
    with torch.no_grad():
        outputs = [inputs.model(batch) for inputs, batch in zip((live, cached), batches, strict=True)]
    assert batches[1].films.tokens is None and batches[1].films.pixels is None
    assert torch.allclose(outputs[0].query, outputs[1].query, atol=1e-6)
    monkeypatch.setattr(type(cached.model.films), "encode_texts", _never)
    monkeypatch.setattr(type(cached.model.films), "encode_images", _never)
    train(lake, prepare("again", **FREEZE), machine, lambda _report: None)


def test_other_weights_texts_or_images_have_another_file(prepare: Prepare, lake: Lake, machine: Machine) -> None:
    inputs = prepare(**FREEZE)
    before = {path.name for path in lake.cached(CACHE).iterdir()}
    assert len(before) == 4  # texts and images of two splits
    with torch.no_grad():
        next(inputs.model.films.text.parameters()).add_(1)  # type: ignore[union-attr]
    cache_frozen_towers(lake, inputs.model.films, [inputs.train_inputs], machine)
    assert len(list(lake.cached(CACHE).iterdir())) == 5


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"neither", None])
def test_a_damaged_file_of_the_cache_is_computed_again(content: bytes | None, prepare: Prepare, lake: Lake) -> None:
    prepare(**FREEZE)
    before = {path: path.read_bytes() for path in lake.cached(CACHE).iterdir()}
    for path, whole in before.items():
        path.write_bytes(whole[:-8] if content is None else content)
    prepare(**FREEZE)
    assert {path: path.read_bytes() for path in lake.cached(CACHE).iterdir()} == before


def test_the_cache_drops_what_was_used_longest_ago(
    prepare: Prepare, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frozen_tower_cache, "CACHED_BYTES", 0)
    inputs = prepare(**FREEZE)
    assert len(list(lake.cached(CACHE).iterdir())) == 1
    assert inputs.train_inputs.gather(np.array([0]), [inputs.train_inputs.fixed_draw(0)]).image_features is not None


def test_frozen_towers_keep_their_weights_and_the_rest_is_trained(
    prepare: Prepare, lake: Lake, machine: Machine
) -> None:
    inputs = prepare(**FREEZE)
    before = {name: value.clone() for name, value in inputs.model.state_dict().items()}
    train(lake, inputs, machine, lambda _report: None)
    changed = {name for name, value in inputs.model.named_parameters() if not torch.equal(value, before[name])}
    assert not [name for name in changed if name.startswith(("films.text.", "films.image."))]
    assert {
        "query_head.0.weight",
        "films.absent",
        "films.text_scores.out.weight",
        "segment_scores.out.weight",
    } <= changed
