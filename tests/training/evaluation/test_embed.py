"""From a trained model to ranks: embeddings by id, and an error instead of a rank where they are no numbers."""

import dataclasses

import numpy as np
import pytest
import torch

from storage.errors import InputError, LakeError, NeedledropError
from storage.metrics.records import connect_metrics
from storage.tables.tables import open_tables
from training.config import SYSTEMS
from training.data.batches import FilmInputs
from training.evaluation.embeddings import embed_films, embed_tracks, track_owners
from training.evaluation.embedding_files import load_embeddings
from training.experiments import next_repetition, is_done, load_data, plan_jobs, run_experiment
from training.loop.checkpoint import load_model
from training.loop.device import Machine
from training.model.factory import build_model


@pytest.fixture
def model(shared, quick):
    return build_model(SYSTEMS["Im"], quick, shared[1].train, 0).model


def test_a_track_is_the_mean_of_its_normalised_segments(shared, model, machine):
    test = shared[1].test
    both = embed_tracks(model, test, 2, machine)
    ends = [dataclasses.replace(test, positions=test.positions[end::3], first_segment=np.arange(17)) for end in (0, 2)]
    parts = [embed_tracks(model, split, 1, machine).vectors for split in ends]
    mean = torch.nn.functional.normalize(torch.from_numpy(sum(parts)), dim=-1)
    assert both.ids == test.track_ids
    assert np.abs(both.vectors - mean.numpy()).max() < 1e-5


def test_embeddings_do_not_hang_on_what_else_is_embedded(shared, model, machine):
    test = shared[1].test
    few = dataclasses.replace(
        test, track_ids=test.track_ids[:3], owner=test.owner[:3], first_segment=test.first_segment[:4]
    )
    alone = embed_tracks(model, few, 8, machine).vectors
    assert np.abs(alone - embed_tracks(model, test, 8, machine).vectors[:3]).max() < 1e-5


@pytest.fixture
def room_for(monkeypatch):
    """A device that holds so many films or segments and no more."""

    def limit(items: int) -> None:
        def move(_machine, value):
            rows = value.pixels if hasattr(value, "pixels") else value.codes
            if len(rows) > items:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return value

        monkeypatch.setattr(Machine, "move", move)

    return limit


def test_a_full_gpu_embeds_fewer_at_once_and_the_same(shared, model, quick, machine, room_for):
    test, inputs, seen = shared[1].test, FilmInputs(shared[1].test, SYSTEMS["Im"], quick, None), []
    films, tracks = embed_films(model, test, inputs, machine), embed_tracks(model, test, 2, machine)
    room_for(3)
    assert np.abs(embed_films(model, test, inputs, machine).vectors - films.vectors).max() < 1e-5
    assert np.abs(embed_tracks(model, test, 2, machine, seen.append).vectors - tracks.vectors).max() < 1e-5
    assert (sum(seen), max(seen)) == (32, 2)


def test_a_gpu_without_room_for_one_item_says_how_to_go_on_without_it(shared, model, machine, room_for):
    room_for(0)
    with pytest.raises(InputError, match="CUDA_VISIBLE_DEVICES= before the command"):
        embed_tracks(model, shared[1].test, 2, machine)


def test_a_recording_that_two_films_share_is_one_candidate(shared, model, machine):
    test = shared[1].test
    twice = dataclasses.replace(test, track_ids=(*test.track_ids[:-1], test.track_ids[0]))
    embedded = embed_tracks(model, twice, 1, machine)
    assert len(embedded) == len(test.track_ids) - 1
    owners = track_owners(twice)
    assert {film for track, film in owners if track == test.track_ids[0]} == {test.film_ids[0], test.film_ids[-1]}


def test_weights_that_are_no_numbers_are_an_error_and_never_a_rank(shared, model, quick, machine):
    with torch.no_grad():
        model.query_head[0].bias[0] = float("nan")
    inputs = FilmInputs(shared[1].test, SYSTEMS["Im"], quick, None)
    with pytest.raises(NeedledropError, match="not a number"):
        embed_films(model, shared[1].test, inputs, machine)


def test_a_run_is_trained_ranked_and_recorded_once(lake, write_version, quick, machine):
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
    assert (ranks, epochs) == ([("segments1", 8, 8), ("segments8", 8, 8)], [(2,)])


def test_the_kept_model_embeds_the_test_films_as_the_run_did(lake, write_version, quick, machine):
    data = load_data(lake, write_version(films=3))
    (job,) = plan_jobs(data.version, [SYSTEMS["All"]], quick, [0])
    run_experiment(lake, data, job, machine)
    _, built = load_model(lake, job.run_id)
    inputs = FilmInputs(data.test, job.system, job.settings, built.tokenizer)
    kept = load_embeddings(lake, "models", job.run_id, "test-films.parquet")
    assert np.array_equal(embed_films(built.model, data.test, inputs, machine).vectors, kept.vectors)


def test_a_run_that_fails_is_recorded_as_failed(lake, write_version, quick, machine):
    data = load_data(lake, write_version(films=3, change=lambda row: row.update(thumbnail=b"no picture")))
    (job,) = plan_jobs(data.version, [SYSTEMS["Im"]], quick, [0])
    with pytest.raises(NeedledropError):
        run_experiment(lake, data, job, machine)
    with connect_metrics(lake) as connection:
        ((state, message),) = connection.execute("SELECT state, message FROM runs").fetchall()
    assert state == "failed"
    assert "is not a picture" in message
    assert not is_done(lake, job.run_id)


def test_a_lake_of_float16_mels_is_trained_and_ranked_like_one_of_uint8(tmp_path, write_into, quick, machine):
    ranks = []
    for encoding in ("uint8", "float16"):
        lake = open_tables(str(tmp_path / encoding))
        data = load_data(lake, write_into(lake, films=4, encoding=encoding))
        (job,) = plan_jobs(data.version, [SYSTEMS["Ta"]], quick, [0])
        run_experiment(lake, data, job, machine)
        kept = load_embeddings(lake, "models", job.run_id, "test-tracks.parquet")
        ranks.append(kept.of(sorted(kept.ids)).vectors)
    assert data.train.mels.settings.encoding == "float16"
    assert np.abs(ranks[0] - ranks[1]).max() < 0.05  # decibels differ by float16's steps alone


def test_shards_of_two_encodings_in_one_version_are_refused(lake, write_version):
    version = write_version(films=2, change=lambda row: row.update(encoding=("uint8", "float16")[row["number"]]))
    with pytest.raises(LakeError, match=r"was written with encoding='float16'; ask for the same, or delete it"):
        load_data(lake, version)


def test_a_first_shard_that_is_missing_or_damaged_is_one_sentence(lake, write_version):
    version = write_version(films=1)
    shard = next(lake.local_path("mels").rglob("*.parquet"))
    shard.write_bytes(b"nothing")
    with pytest.raises(LakeError, match=r"is damaged .* delete it and collect soundtracks again"):
        load_data(lake, version)
    shard.unlink()
    with pytest.raises(LakeError, match="is not in the lake; collect soundtracks again"):
        load_data(lake, version)
