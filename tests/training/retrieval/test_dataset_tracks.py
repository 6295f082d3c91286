"""The tracks of a data set are searched as those of a library are, by the embeddings that evaluation has measured."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from storage.datasets import versions as datasets
from storage.errors import InputError, LakeError
from storage.lake.lake import Lake
from storage.mels.settings_and_shard_format import MelSettings
from storage.tables.tables import open_tables
from storage.takedown_list_and_erasure import blank_embeddings, record_takedown
from training.evaluation.embeddings import TRACKS_FILE, load_embeddings
from training.loop.checkpoint import FOLDER
from training.loop.devices_and_torchrun import Machine
from training.presets import chosen_settings
from training.retrieval import dataset_search
from training.retrieval.choose_run import choose_indexed_run
from training.retrieval.dataset_search import DatasetTracks, known_tracks, load_dataset_tracks
from training.retrieval.library_track_encoder import TrackEncoder
from training.retrieval.query_and_filters import FilmQuery, TrackFilter
from training.retrieval.search_engines import Retriever
from training.systems import ALL_PARTS, SYSTEMS
from training.training_runs import load_data, plan_jobs, run_experiment

PLOT = FilmQuery(plot=("A chase through the night.",))
FILMS, TRACKS, SEGMENTS = 6, 2, 10


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, write_into: Callable[..., str], machine: Machine) -> Lake:
    lake = open_tables(str(tmp_path_factory.mktemp("dataset-tracks") / "lake"))
    data = load_data(lake, write_into(lake, films=FILMS, tracks=TRACKS, segments=SEGMENTS))
    for job in plan_jobs(data.version, [SYSTEMS["Plo"]], chosen_settings("small", epochs=1), [0]):
        run_experiment(lake, data, job, machine)
    return lake


@pytest.fixture(scope="module")
def retriever(trained: Lake, machine: Machine) -> Retriever:
    return Retriever(trained, choose_indexed_run(trained, [], ALL_PARTS), machine)


@pytest.fixture(scope="module")
def music(trained: Lake, retriever: Retriever) -> DatasetTracks:
    return DatasetTracks(trained, retriever.version)


def test_their_means_are_those_of_the_evaluation(retriever: Retriever, music: DatasetTracks) -> None:
    progress = list[tuple[int, int]]()
    index = retriever.open([music], lambda done, total: progress.append((done, total)))
    assert len(index) == 3 * FILMS * TRACKS
    assert progress[-1] == (len(index), len(index))
    evaluated = load_embeddings(music.lake, FOLDER, retriever.run_id, TRACKS_FILE)
    for name, vector in zip(evaluated.ids, evaluated.vectors, strict=True):
        row = index.row_of(name)
        assert row is not None
        assert index.mean_of(row) == pytest.approx(vector / np.linalg.norm(vector), abs=1e-4)


def test_an_interrupted_start_goes_on_with_its_parts(
    trained: Lake, retriever: Retriever, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(str(shutil.copytree(trained.root, tmp_path / "lake")))
    music = DatasetTracks(lake, retriever.version)
    lake.remove(FOLDER, retriever.run_id, music.file)
    monkeypatch.setattr(dataset_search, "TRACKS_PER_PART", 10)

    def killed(done: int, _total: int) -> None:
        if done == 15:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Retriever(lake, retriever.run_id, machine).open([music], killed)
    assert len(lake.list(FOLDER, retriever.run_id, music.parts)) == 1
    progress = list[int]()
    again = Retriever(lake, retriever.run_id, machine)
    index = again.open([music], lambda done, _total: progress.append(done))
    assert progress == list(range(11, 3 * FILMS * TRACKS + 1))
    assert lake.list(FOLDER, retriever.run_id, music.parts) == []
    whole = retriever.open([DatasetTracks(trained, retriever.version)])
    assert index.embeddings.track_ids == whole.embeddings.track_ids
    assert index.embeddings.vectors == pytest.approx(whole.embeddings.vectors, abs=1e-5)


def test_they_are_embedded_once(retriever: Retriever, music: DatasetTracks, machine: Machine) -> None:
    retriever.open([music])
    again, progress = Retriever(music.lake, retriever.run_id, machine), list[int]()
    assert len(again.open([music], lambda done, _total: progress.append(done))) == 3 * FILMS * TRACKS
    assert progress == []


def test_a_hit_has_its_film_and_the_second_of_an_evaluated_segment(retriever: Retriever, music: DatasetTracks) -> None:
    for hit in retriever.search([music], retriever.embed(PLOT), 5, by="best"):
        assert hit.row["film"].split()[0] in ("dread", "joy", "grief", "speed")
        assert hit.best_second / MelSettings().segment_seconds == pytest.approx(round(hit.best_second / 9.92), abs=0.01)
        assert hit.best_second <= 9.92 * (SEGMENTS - 1) + 0.1


def test_a_property_that_a_data_set_does_not_know_leaves_its_tracks_out(
    retriever: Retriever, music: DatasetTracks
) -> None:
    query = retriever.embed(PLOT)
    assert retriever.search([music], query, 5, wanted=TrackFilter(tempo_bpm=(60, 200))) == []
    assert len(retriever.search([music], query, 5)) == 5


def test_one_track_is_looked_up_by_its_id(music: DatasetTracks, retriever: Retriever) -> None:
    found = retriever.search([music], retriever.embed(PLOT), 1)[0]
    assert list(known_tracks(music, [found.track_id])) == [found.track_id]
    assert known_tracks(music, ["absent"]) == {}


def test_mels_of_another_kind_than_the_run_hears_are_refused(retriever: Retriever, music: DatasetTracks) -> None:
    other, encoder = MelSettings(mel_scale="htk"), TrackEncoder(retriever._built.model, retriever._machine)
    with pytest.raises(InputError, match="not like those that the run hears"):
        load_dataset_tracks(music, "another-run", encoder, other, 8)


def test_a_takedown_blanks_every_segment_of_a_recording(retriever: Retriever, music: DatasetTracks) -> None:
    [first] = retriever.search([music], retriever.embed(PLOT), 1)
    path = music.lake.local_path(FOLDER, retriever.run_id, music.file)
    kept = path.read_bytes()
    assert blank_embeddings(music.lake, {first.track_id})
    rows = pq.read_table(path).to_pylist()
    assert {any(row["vector"]) for row in rows if row["id"] == first.track_id} == {False}
    assert all(any(row["vector"]) for row in rows if row["id"] != first.track_id)
    path.write_bytes(kept)


def test_a_damaged_file_says_what_to_delete(retriever: Retriever, music: DatasetTracks) -> None:
    music.lake.write_bytes(b"no parquet", FOLDER, "damaged-run", music.file)
    encoder = TrackEncoder(retriever._built.model, retriever._machine)
    with pytest.raises(LakeError, match=r"models/damaged-run/.* is damaged .*delete it and search again"):
        load_dataset_tracks(music, "damaged-run", encoder, retriever.mel_settings, 8)


def test_what_was_taken_down_is_not_found(retriever: Retriever, music: DatasetTracks) -> None:
    query = retriever.embed(PLOT)
    first, second = retriever.search([music], query, 2)
    record_takedown(music.lake, first.track_id, "asked for", "test")
    assert retriever.search([music], query, 1)[0].track_id == second.track_id
    record_takedown(music.lake, first.track_id, "asked for", "test", is_active=False)
    assert retriever.search([music], query, 1)[0].track_id == first.track_id


def test_a_version_that_was_deleted_is_a_sentence(retriever: Retriever, trained: Lake) -> None:
    assert datasets.current(trained) is not None
    with pytest.raises((InputError, LakeError), match="v000"):
        retriever.open([DatasetTracks(trained, "v000")])
