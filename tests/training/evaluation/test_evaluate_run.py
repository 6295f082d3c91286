"""What is measured of a trained model: whole plots as search reads them, and every choice of parts of one model."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch

from storage.lake.lake import Lake
from storage.metrics.database import connect_metrics
from training.data.film_inputs import FilmInputs
from training.evaluation.embed_films_and_tracks import embed_films, track_owners
from training.evaluation.embeddings import TRACKS_FILE, load_embeddings
from training.evaluation.ranking import rank_tracks
from training.loop.checkpoint import FOLDER, Job, load_model
from training.loop.devices_and_torchrun import Machine
from training.model.retrieval_model import build_model
from training.retrieval.choose_run import choose_run, describe_run
from training.retrieval.dataset_search import embed_query
from training.retrieval.library_track_encoder import load_encoder
from training.retrieval.query_and_filters import FilmQuery
from training.settings import Settings
from training.systems import SYSTEMS, part_subsets
from training.training_runs import Data, load_data, plan_jobs, run_experiment

ONE_MODEL = {"All", "Im by All", "Plo by All", "Ta by All", "ImPlo by All", "ImTa by All", "TaPlo by All"}
Trained = tuple[Lake, Data, Job]


@pytest.fixture
def trained(lake: Lake, write_version: Callable[..., str], switched: Settings, machine: Machine) -> Trained:
    """A small model that answers for any parts, measured."""
    data = load_data(lake, write_version(films=4))
    (job,) = plan_jobs(data.version, [SYSTEMS["All"]], switched.changed({"training.epochs": 1}), [0])
    run_experiment(lake, data, job, machine)
    return lake, data, job


def test_one_model_has_seven_rows_each_equal_to_that_choice_of_parts(trained: Trained, machine: Machine) -> None:
    lake, data, job = trained
    with connect_metrics(lake) as connection:
        rows = connection.execute(
            "SELECT run_id, system, policy, film_id, track_id, rank_lo FROM ranks JOIN runs USING (run_id)"
        ).fetchall()
        models = connection.execute("SELECT DISTINCT model_folder, state FROM runs WHERE source = 'trained'").fetchall()
    assert {row[1] for row in rows} == ONE_MODEL and models == [(f"models/{job.run_id}", "completed")]
    assert {row[2] for row in rows} == {
        "segments1",
        *(f"segments8{ending}" for ending in ("", "-paragraphs", "-best", "-paragraphs-best")),
    }
    model, tracks = load_model(lake, job.run_id)[1], load_embeddings(lake, FOLDER, job.run_id, TRACKS_FILE)
    for parts in part_subsets(job.system):
        # by hand: films that have nothing else
        lacking = {"image": {"thumbnails": (None,) * 4}, "tags": {"tags": ((),) * 4}, "plot": {"plots": ((),) * 4}}
        less = {name: value for part in job.system.parts - parts for name, value in lacking[part].items()}
        test = dataclasses.replace(data.test, **less)
        films = embed_films(model.model, test, FilmInputs(test, job.system, job.settings, model.tokenizer), machine)
        ranks = rank_tracks(films, tracks, track_owners(test))
        name = next(row.name for row in SYSTEMS.values() if row.parts == parts)
        measured = {row[3:5]: row[5] for row in rows if row[1].split(" by ")[0] == name and row[2] == "segments8"}
        assert measured == dict(
            zip(zip(ranks.film_ids, ranks.track_ids, strict=True), ranks.rank_lo.tolist(), strict=True)
        )


def test_search_asks_one_model_with_the_parts_that_are_given_and_by_any_of_its_runs(
    trained: Trained, machine: Machine
) -> None:
    lake, data, job = trained
    (thumbnail, *_), (plot, *_), (tags, *_) = data.test.thumbnails, data.test.plots, data.test.tags
    complete = FilmQuery(plot, tags, thumbnail)
    assert complete.without("image") == FilmQuery(plot, tags) and complete.parts == {"plot", "tags", "image"}
    _, built = load_model(lake, job.run_id)
    inputs = FilmInputs(data.test, job.system, job.settings, built.tokenizer)
    for query in (complete, complete.without("image"), FilmQuery(tags=tags), FilmQuery(image=thumbnail)):
        assert choose_run(lake, query.parts) == job.run_id
        films = embed_films(built.model, data.test, inputs, machine, paragraphs="all", parts=query.parts)
        assert np.abs(embed_query(lake, job, built, query, machine).vectors - films.vectors[0]).max() < 1e-5
    assert describe_run(lake, f"Im-by-{job.run_id}").run_id == job.run_id


@pytest.mark.parametrize("name", ["All", "TaPlo", "ImTa"])
def test_whatever_stands_in_place_of_a_missing_part_has_no_effect(
    name: str, shared: tuple[Lake, Data], switched: Settings, machine: Machine
) -> None:
    data, system = shared[1], SYSTEMS[name]
    built = build_model(system, switched, data.train, 0)
    torch.nn.init.normal_(built.model.films.absent)
    changed = dataclasses.replace(data.test, thumbnails=data.test.thumbnails[::-1], plots=data.test.plots[::-1])
    for parts in part_subsets(system)[1:]:
        if "plot" in parts or ("image" in parts and "plot" not in system.parts):
            continue
        vectors = [
            embed_films(
                built.model, split, FilmInputs(split, system, switched, built.tokenizer), machine, parts=parts
            ).vectors
            for split in (
                data.test,
                changed if "image" not in parts else dataclasses.replace(changed, thumbnails=data.test.thumbnails),
            )
        ]
        assert np.array_equal(*vectors)


def test_a_whole_plot_is_the_mean_of_its_paragraphs_unless_the_model_pools_them(
    shared: tuple[Lake, Data], quick: Settings, machine: Machine
) -> None:
    data, system = shared[1], SYSTEMS["Plo"]
    model = build_model(system, quick, data.train, 0)
    inputs = FilmInputs(data.test, system, quick, model.tokenizer)
    whole = embed_films(model.model, data.test, inputs, machine, paragraphs="all").vectors
    alone = [dataclasses.replace(data.test, plots=tuple((plot[n],) for plot in data.test.plots)) for n in range(3)]
    each = [
        embed_films(model.model, split, FilmInputs(split, system, quick, model.tokenizer), machine).vectors
        for split in alone
    ]
    mean = sum(vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in each) / 3
    assert np.abs(whole - mean).max() < 1e-6
    assert np.abs(embed_films(model.model, data.test, inputs, machine).vectors - each[0]).max() < 1e-6


def test_whole_plots_are_a_policy_of_systems_that_read_plots_and_search_embeds_the_same(
    lake: Lake, write_version: Callable[..., str], quick: Settings, machine: Machine
) -> None:
    data = load_data(lake, write_version(films=3))
    jobs = plan_jobs(data.version, [SYSTEMS["Plo"], SYSTEMS["Ta"]], quick.changed({"training.epochs": 1}), [0])
    for job in jobs:
        run_experiment(lake, data, job, machine)
    with connect_metrics(lake) as connection:
        policies = connection.execute(
            "SELECT system, list(policy ORDER BY policy) FROM metrics GROUP BY ALL ORDER BY ALL"
        ).fetchall()
    of_tags = ["segments1", "segments8", "segments8-best"]
    assert policies == [("Plo", [*of_tags, "segments8-paragraphs", "segments8-paragraphs-best"]), ("Ta", of_tags)]
    saved = load_embeddings(lake, FOLDER, jobs[0].run_id, "test-films-paragraphs.parquet")
    _, built = load_model(lake, jobs[0].run_id)
    found = embed_query(lake, jobs[0], built, FilmQuery(data.test.plots[1]), machine)
    assert np.abs(found.vectors[0] - saved.vectors[1]).max() < 1e-6


def test_a_library_weighs_the_segments_of_a_track_as_evaluation_does(
    lake: Lake, write_version: Callable[..., str], switched: Settings, machine: Machine
) -> None:
    data = load_data(lake, write_version(films=4, tracks=1))
    (job,) = plan_jobs(data.version, [SYSTEMS["Ta"]], switched.changed({"training.epochs": 1}), [0])
    run_experiment(lake, data, job, machine)
    encoder, _ = load_encoder(lake, job.run_id, machine)
    saved = load_embeddings(lake, FOLDER, job.run_id, TRACKS_FILE)
    track = encoder.embed_shard(lake, data.test.mels.shards[0])
    assert np.ptp(track.weights) > 0
    mean = track.weights @ track.vectors
    assert np.abs(mean / np.linalg.norm(mean) - saved.of([data.test.track_ids[0]]).vectors[0]).max() < 1e-5
