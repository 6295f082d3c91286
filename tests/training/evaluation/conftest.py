"""A measured version without any training: one system that finds each film's own corner of the space, one of noise."""

import numpy as np
import pyarrow as pa
import pytest

from storage.datasets import versions as datasets
from storage.metrics.records import Epoch, Run, record_epoch, record_ranks, record_run
from storage.tables.tables import open_tables
from training.evaluation.baseline_rankings import HeldOut
from training.evaluation.baselines import record_controls
from training.evaluation.confidence import record_confidence
from training.evaluation.embeddings import Embeddings, save_embeddings
from training.evaluation.ranking import rank_tracks

FILMS, TRACKS_EACH = 24, 4
LANGUAGES = ("Tamil", "Hindi", "English")
VERSION = "v1"


@pytest.fixture(scope="session")
def held_out():
    owners = tuple((f"t{i}-{j}", f"f{i}") for i in range(FILMS) for j in range(TRACKS_EACH))
    language = {f"f{i}": LANGUAGES[i % 3] for i in range(FILMS)}
    return HeldOut(VERSION, "segments8", tuple(sorted(owners)), language, language, frozenset())


@pytest.fixture(scope="session")
def measured(tmp_path_factory, held_out):
    lake = open_tables(str(tmp_path_factory.mktemp("measured")))
    write_version(lake, held_out)
    random = np.random.default_rng(0)
    corner = {film: random.normal(size=16) for film in held_out.films}
    owner = dict(held_out.owners)
    tracks = np.array([corner[owner[track]] + 1.5 * random.normal(size=16) for track in held_out.tracks])
    for system in ("All", "Im"):
        queries = [corner[film] if system == "All" else random.normal(size=16) for film in held_out.films]
        films = Embeddings(held_out.films, queries)
        noisier = tracks + 2 * random.normal(size=tracks.shape)
        record(lake, held_out, system, films, Embeddings(held_out.tracks, tracks), Embeddings(held_out.tracks, noisier))
    record_controls(lake, VERSION)
    record_confidence(lake, VERSION, draws=300)
    return lake


def write_version(lake, held_out):
    films = [
        {"film_id": f, "title": f'Film {f} <b>"&', "year": 2023 + i % 2, "split": "test", "url": "javascript:alert(1)"}
        | {"tags": [f"2023 {held_out.language[f]}-language films"]}
        for i, f in enumerate(held_out.films)
    ]
    films += [
        {"film_id": f"train-{name}", "title": name, "year": 2020, "split": "train", "tags": [f"{name}-language films"]}
        for name in LANGUAGES
    ]
    tracks = [{"track_id": t, "film_id": f, "title": f"Theme {t}", "split": "test"} for t, f in held_out.owners]
    for file in datasets.FILES:
        rows = {"films.parquet": films, "tracks.parquet": tracks}.get(file.name, [])
        lake.write_table(pa.Table.from_pylist(rows, file.schema), f"datasets/{VERSION}/{file.name}")
    lake.write_json({}, f"datasets/{VERSION}/manifest.json")


def record(lake, held_out, system, films, tracks, from_one_segment):
    run = Run(f"{system}-run", system, "small", 0, VERSION, state="completed", model_folder=f"models/{system}-run")
    save_embeddings(lake, films, f"models/{run.run_id}/test-films.parquet")
    save_embeddings(lake, films, f"models/{run.run_id}/test-films-years.parquet")
    save_embeddings(lake, tracks, f"models/{run.run_id}/test-tracks.parquet")
    save_embeddings(lake, from_one_segment, f"models/{run.run_id}/test-tracks-segments1.parquet")
    record_run(lake, run)
    for epoch in range(4):
        record_epoch(lake, Epoch(run.run_id, epoch, train_loss=3 - 0.5 * epoch, valid_loss=3.2 - 0.4 * epoch))
    for policy, embedded in (("segments8", tracks), ("segments1", from_one_segment)):
        record_ranks(lake, run.run_id, rank_tracks(films, embedded, held_out.owners).to_arrow(policy))
