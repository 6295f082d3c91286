"""Counting the operations of a step leaves the model as it was."""

from storage.lake.lake import Lake
from training.config import SYSTEMS, Settings
from training.data.batches import FilmInputs, TrainingBatches
from training.experiments import Data
from training.loop.devices import training_flops
from training.model.retrievers import build_model


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
