"""From a trained model to ranks: embeddings, complete experiments, and errors instead of invalid ranks."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from storage.errors import InputError, LakeError, NeedledropError
from storage.lake.lake import Lake
from storage.metrics.database import connect_metrics
from storage.tables.tables import open_tables
from training.data.film_inputs import FilmInputs
from training.evaluation.embed_films_and_tracks import embed_films, embed_tracks, track_owners
from training.evaluation.embeddings import load_embeddings
from training.loop.checkpoint import load_model
from training.loop.devices_and_torchrun import Machine
from training.model.retrieval_model import Model, build_model
from training.settings import Settings
from training.systems import SYSTEMS
from training.training_runs import Data, is_done, load_data, next_repetition, plan_jobs, run_experiment


@pytest.fixture
def model(shared: tuple[Lake, Data], quick: Settings) -> Model:
    return build_model(SYSTEMS["Im"], quick, shared[1].train, 0).model


def test_a_track_is_the_mean_of_its_normalised_segments(
    shared: tuple[Lake, Data], model: Model, machine: Machine
) -> None:
    test = shared[1].test
    both = embed_tracks(model, test, 2, machine)
    ends = [dataclasses.replace(test, positions=test.positions[end::3], first_segment=np.arange(17)) for end in (0, 2)]
    single = [embed_tracks(model, split, 1, machine).vectors for split in ends]
    mean = torch.nn.functional.normalize(torch.from_numpy(sum(single)), dim=-1)
    assert both.ids == test.track_ids
    assert np.abs(both.vectors - mean.numpy()).max() < 1e-5


def test_embeddings_do_not_depend_on_the_other_items(shared: tuple[Lake, Data], model: Model, machine: Machine) -> None:
    test = shared[1].test
    few = dataclasses.replace(
        test, track_ids=test.track_ids[:3], owner=test.owner[:3], first_segment=test.first_segment[:4]
    )
    alone = embed_tracks(model, few, 8, machine).vectors
    assert np.abs(alone - embed_tracks(model, test, 8, machine).vectors[:3]).max() < 1e-5


@pytest.fixture
def device_memory(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Limit the images or mels that a device accepts at once: the fixture is a function of that number."""
    move = torch.Tensor.to

    def limit(items: int) -> None:
        def limited(values: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
            if values.dtype == torch.uint8 and len(values) > items:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return move(values, *args, **options)

        monkeypatch.setattr(torch.Tensor, "to", limited)

    return limit


def test_a_full_gpu_embeds_fewer_at_once_with_the_same_result(
    shared: tuple[Lake, Data], model: Model, quick: Settings, machine: Machine, device_memory: Callable[[int], None]
) -> None:
    test, inputs, done = shared[1].test, FilmInputs(shared[1].test, SYSTEMS["Im"], quick, None), list[int]()
    films, tracks = embed_films(model, test, inputs, machine), embed_tracks(model, test, 2, machine)
    device_memory(3)
    assert np.abs(embed_films(model, test, inputs, machine).vectors - films.vectors).max() < 1e-5
    assert np.abs(embed_tracks(model, test, 2, machine, done.append).vectors - tracks.vectors).max() < 1e-5
    assert (sum(done), max(done)) == (32, 2)


def test_a_gpu_too_small_for_one_item_is_an_error_that_names_the_way_to_the_cpu(
    shared: tuple[Lake, Data], model: Model, machine: Machine, device_memory: Callable[[int], None]
) -> None:
    device_memory(0)
    with pytest.raises(InputError, match="CUDA_VISIBLE_DEVICES= before the command"):
        embed_tracks(model, shared[1].test, 2, machine)


def test_a_recording_that_two_films_share_is_one_candidate(
    shared: tuple[Lake, Data], model: Model, machine: Machine
) -> None:
    test = shared[1].test
    twice = dataclasses.replace(test, track_ids=(*test.track_ids[:-1], test.track_ids[0]))
    embedded = embed_tracks(model, twice, 1, machine)
    assert len(embedded) == len(test.track_ids) - 1
    owners = track_owners(twice)
    assert {film for track, film in owners if track == test.track_ids[0]} == {test.film_ids[0], test.film_ids[-1]}


def test_nan_weights_are_an_error(shared: tuple[Lake, Data], model: Model, quick: Settings, machine: Machine) -> None:
    with torch.no_grad():
        model.query_head[0].bias[0] = float("nan")
    inputs = FilmInputs(shared[1].test, SYSTEMS["Im"], quick, None)
    with pytest.raises(NeedledropError, match="not a number"):
        embed_films(model, shared[1].test, inputs, machine)


def test_a_run_is_trained_ranked_and_recorded_once(
    lake: Lake, write_version: Callable[..., str], quick: Settings, machine: Machine
) -> None:
    data = load_data(lake, write_version(films=4))
    (job,) = plan_jobs(data.version, [SYSTEMS["TaPlo"]], quick, [3])
    run_experiment(lake, data, job, machine)
    assert is_done(lake, job.run_id)
    assert next_repetition(lake, job).run_id == f"{job.run_id}-2"
    with connect_metrics(lake) as connection:
        ((system, seed, state),) = connection.execute("SELECT system, seed, state FROM runs").fetchall()
        ranks = connection.execute("SELECT policy, count(*), max(candidates) FROM ranks GROUP BY ALL ORDER BY ALL")
        ranks = ranks.fetchall()
        epochs = connection.execute("SELECT count(*) FROM epochs").fetchall()
    assert (system, seed, state) == ("TaPlo", 3, "completed")
    policies = ("segments1", "segments8", "segments8-best", "segments8-paragraphs", "segments8-paragraphs-best")
    assert (ranks, epochs) == ([(policy, 8, 8) for policy in policies], [(2,)])


def test_the_saved_model_embeds_the_test_films_as_the_run_did(
    lake: Lake, write_version: Callable[..., str], quick: Settings, machine: Machine
) -> None:
    data = load_data(lake, write_version(films=3))
    (job,) = plan_jobs(data.version, [SYSTEMS["All"]], quick, [0])
    run_experiment(lake, data, job, machine)
    _, built = load_model(lake, job.run_id)
    inputs = FilmInputs(data.test, job.system, job.settings, built.tokenizer)
    saved = load_embeddings(lake, "models", job.run_id, "test-films.parquet")
    assert np.array_equal(embed_films(built.model, data.test, inputs, machine).vectors, saved.vectors)


def test_a_run_that_fails_is_recorded_as_failed(
    lake: Lake, write_version: Callable[..., str], quick: Settings, machine: Machine
) -> None:
    data = load_data(lake, write_version(films=3, change=lambda row: row.update(thumbnail=b"no image")))
    (job,) = plan_jobs(data.version, [SYSTEMS["Im"]], quick, [0])
    with pytest.raises(NeedledropError):
        run_experiment(lake, data, job, machine)
    with connect_metrics(lake) as connection:
        ((state, message),) = connection.execute("SELECT state, message FROM runs").fetchall()
    assert state == "failed"
    assert "is not an image" in message
    assert not is_done(lake, job.run_id)


def test_float16_mels_give_almost_the_embeddings_of_uint8_mels(
    tmp_path: Path, write_into: Callable[..., str], quick: Settings, machine: Machine
) -> None:
    vectors = []
    for encoding in ("uint8", "float16"):
        lake = open_tables(str(tmp_path / encoding))
        data = load_data(lake, write_into(lake, films=4, encoding=encoding))
        (job,) = plan_jobs(data.version, [SYSTEMS["Ta"]], quick, [0])
        run_experiment(lake, data, job, machine)
        saved = load_embeddings(lake, "models", job.run_id, "test-tracks.parquet")
        vectors.append(saved.of(sorted(saved.ids)).vectors)
    assert data.train.mels.settings.encoding == "float16"
    assert np.abs(vectors[0] - vectors[1]).max() < 0.05  # decibels differ by the precision of float16


def test_shards_of_two_encodings_in_one_version_are_an_error(lake: Lake, write_version: Callable[..., str]) -> None:
    version = write_version(films=2, change=lambda row: row.update(encoding=("uint8", "float16")[row["number"]]))
    with pytest.raises(LakeError, match=r"was written with encoding='float16'; use the same settings, or delete it"):
        load_data(lake, version)


def test_a_first_shard_that_is_missing_or_damaged_is_an_error(lake: Lake, write_version: Callable[..., str]) -> None:
    version = write_version(films=1)
    shard = next(lake.local_path("mels").rglob("*.parquet"))
    shard.write_bytes(b"nothing")
    with pytest.raises(LakeError, match=r"is damaged .* delete it and collect soundtracks again"):
        load_data(lake, version)
    shard.unlink()
    with pytest.raises(LakeError, match="is not in the lake; collect soundtracks again"):
        load_data(lake, version)
