"""A run and an audio encoder as engines: blended queries, unusual scores, several libraries as one, texts alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from storage.errors import InputError
from storage.lake.lake import Lake
from storage.libraries.library import Library, add_folder
from storage.libraries.library_embeddings import (
    TrackEmbedding,
    append_embeddings,
    embedding_encoders,
    embedding_runs,
    register_encoder,
)
from storage.tables.tables import open_tables
from tests.lakes import JPEG
from tests.small_encoders import save_ast, save_clap
from training.audio_encoders.embed_audio_and_text import Encoder
from training.audio_encoders.model_files import remember_model
from training.loop.devices_and_torchrun import Machine
from training.retrieval.library_track_encoder import load_library_encoder
from training.retrieval.query_and_filters import FilmQuery, Query, blend
from training.retrieval.search_engines import Retriever, ZeroShotRetriever, open_zero_shot

PLOT = FilmQuery(plot=("A chase through the night.",))
UNIT = np.eye(4, dtype=np.float32)
RATE = 48_000


def library(lake: Lake, folder: Path, name: str, run: str, tracks: dict[str, list[np.ndarray]]) -> Library:
    """A library of tracks with these segments, all of one album."""
    folder.mkdir(parents=True, exist_ok=True)
    made, at = add_folder(lake, name, folder)
    described = {"tempo_bpm": 90.0, "loudness_lufs": -14.0}
    for track_id, segments in tracks.items():
        file = {"folder": at.id, "path": f"{track_id}.wav", "track_id": track_id, "state": "present", "album": name}
        made.record(made.tracks, [{"track_id": track_id, "duration_seconds": 30.0, **described}], "test")
        made.record(made.files, [{**file, "title": track_id}], "test")
        heard = TrackEmbedding(np.stack(segments).astype(np.float32), np.ones(len(segments), np.float32))
        append_embeddings(made, run, [(track_id, heard)])
    return made


def test_several_libraries_are_searched_as_one(retriever: Retriever, trained: Lake, tmp_path: Path) -> None:
    query = retriever.embed(PLOT)
    other = np.roll(query.vector, 1)
    one = library(trained, tmp_path / "a", "one", retriever.run_id, {"t1": [other, query.vector, other]})
    two = library(trained, tmp_path / "b", "two", retriever.run_id, {"t2": [query.vector], "t3": [other]})
    found = retriever.search([one, two], query, 5)
    assert [(track.library, track.track_id) for track in found] == [("two", "t2"), ("one", "t1"), ("two", "t3")]
    assert found[0].score == pytest.approx(1, abs=1e-5)
    assert found[1].best_second == pytest.approx(9.92, abs=0.01)
    assert [track.track_id for track in retriever.search([one, two], query, 5, most_per_album=1)] == ["t2", "t1"]


def test_a_track_that_suits_every_film_has_a_low_percentile(
    retriever: Retriever, trained: Lake, tmp_path: Path
) -> None:
    query, films = retriever.embed(PLOT), retriever.training_films
    assert films is not None
    everyones = films.vectors.mean(axis=0)
    special = query.vector - everyones
    vectors = {name: [one / np.linalg.norm(one)] for name, one in (("common", everyones), ("special", special))}
    made = library(trained, tmp_path / "c", "three", retriever.run_id, vectors)
    by_name = {track.track_id: track for track in retriever.search([made], query, 2)}
    assert by_name["special"].percentile > by_name["common"].percentile  # type: ignore[operator]
    liked = retriever.search([made], blend(query, [vectors["special"][0]], [], 0.5), 2)
    assert [track.percentile for track in liked] == [None, None]  # a recording's scores are not those of films
    for track in by_name.values():
        expected = (films.vectors @ vectors[track.track_id][0] < track.score).mean() * 100
        assert track.percentile == pytest.approx(expected, abs=1e-6)


def test_the_nearest_training_films_are_those_of_the_highest_cosine(retriever: Retriever) -> None:
    films = retriever.training_films
    assert films is not None
    near = retriever.nearest_films(Query(films.vectors[2]), 2)
    assert near[0].cosine == pytest.approx(1, abs=1e-5)
    assert near[0].cosine >= near[1].cosine


def test_a_blend_weighs_the_film_and_the_reference() -> None:
    film = Query(UNIT[0], {"plot": UNIT[1]})
    mixed = blend(film, [UNIT[2]], [], 0.25)
    assert mixed.vector[[0, 2]] == pytest.approx(np.array([0.75, 0.25]) / np.hypot(0.75, 0.25), abs=1e-6)
    assert mixed.without["plot"][[1, 2]] == pytest.approx(mixed.vector[[0, 2]], abs=1e-6)
    assert blend(film, [UNIT[2]], [], 1.0).vector == pytest.approx(UNIT[2], abs=1e-6)
    assert blend(None, [UNIT[2], UNIT[3]], [], 0.0).vector[2:] == pytest.approx([0.5**0.5] * 2, abs=1e-6)


def test_what_it_should_not_be_like_is_subtracted() -> None:
    away = blend(Query(UNIT[0]), [], [UNIT[1]], 0.5).vector
    assert away[1] < 0 < away[0]


def test_nothing_to_search_by_is_an_error() -> None:
    with pytest.raises(InputError, match="nothing to search by"):
        blend(None, [], [UNIT[1]], 0.5)


@pytest.fixture(scope="module")
def clap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_clap(tmp_path_factory.mktemp("models") / "clap")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_tables(str(tmp_path / "lake"))


@pytest.fixture
def zero_shot(lake: Lake, clap: Path, machine: Machine) -> ZeroShotRetriever:
    return ZeroShotRetriever(lake, Encoder(str(clap), machine.device))


def heard(zero_shot: ZeroShotRetriever, folder: Path, tracks: dict[str, list[np.ndarray]]) -> Library:
    made = library(zero_shot.lake, folder, "mine", zero_shot.engine, tracks)
    register_encoder(made, zero_shot.card)
    remember_model(zero_shot.lake, zero_shot.card, str(folder.parent / "absent"))
    return made


def test_a_plot_finds_the_tracks_that_are_nearest_to_its_text(zero_shot: ZeroShotRetriever, tmp_path: Path) -> None:
    query = zero_shot.embed(FilmQuery(plot=("a chase through", "the night")))
    away = -query.vector
    made = heard(zero_shot, tmp_path / "a", {"near": [away, query.vector], "far": [away]})
    found = zero_shot.search([made], query, 5, by="best")
    assert [track.track_id for track in found] == ["near", "far"]
    assert (found[0].score, found[0].best_second) == (pytest.approx(1, abs=1e-5), pytest.approx(9.92, abs=0.01))
    assert (found[0].percentile, found[0].support) == (None, {})
    assert (embedding_runs(made), list(embedding_encoders(made))) == ([], [zero_shot.engine])


def test_plot_and_tags_are_texts_of_equal_weight_each_of_which_can_be_left_out(zero_shot: ZeroShotRetriever) -> None:
    plot, tags = FilmQuery(plot=("a chase",)), FilmQuery(tags=("horror films", "war films"))
    alone = [zero_shot.embed(one).vector for one in (plot, tags)]
    both = zero_shot.embed(FilmQuery(plot=plot.plot, tags=tags.tags))
    assert both.vector == pytest.approx(sum(alone) / np.linalg.norm(sum(alone)), abs=1e-5)
    assert both.without["tags"] == pytest.approx(alone[0], abs=1e-5)
    assert both.without["plot"] == pytest.approx(alone[1], abs=1e-5)


def test_a_picture_is_not_looked_at_and_alone_is_an_error(zero_shot: ZeroShotRetriever) -> None:
    with_picture = zero_shot.embed(FilmQuery(plot=("a chase",), image=JPEG)).vector
    assert with_picture == pytest.approx(zero_shot.embed(FilmQuery(plot=("a chase",))).vector, abs=1e-6)
    with pytest.raises(InputError, match="clap looks at no picture; give a plot or tags"):
        zero_shot.embed(FilmQuery(image=JPEG))


def test_an_encoder_without_a_text_side_can_not_answer_a_plot(machine: Machine, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ast reads no text, so it can answer neither a plot nor tags; give a CLAP"):
        load_library_encoder(str(save_ast(tmp_path / "ast")), machine)


def test_a_recording_is_the_mean_of_its_whole_segments(zero_shot: ZeroShotRetriever) -> None:
    size = round(9.92 * RATE)
    noise = np.random.default_rng(0).integers(-9000, 9000, 2 * size + 1000, np.int16)
    assert zero_shot.embed_sound(noise) == pytest.approx(zero_shot.embed_sound(noise[: 2 * size]), abs=1e-5)
    assert np.linalg.norm(zero_shot.embed_sound(noise[:1000])) == pytest.approx(1, abs=1e-5)


def test_the_model_of_a_folder_is_found_again_by_its_name(
    zero_shot: ZeroShotRetriever, clap: Path, machine: Machine, tmp_path: Path
) -> None:
    made = heard(zero_shot, tmp_path / "a", {"one": [zero_shot.embed(FilmQuery(plot=("x",))).vector]})
    with pytest.raises(InputError, match="clap is not on this machine"):
        open_zero_shot(zero_shot.lake, [made], "clap", machine)
    open_zero_shot(zero_shot.lake, [made], str(clap), machine)
    assert open_zero_shot(zero_shot.lake, [made], "clap", machine).card == zero_shot.card


def test_a_library_that_the_encoder_has_not_indexed_says_how_to(
    zero_shot: ZeroShotRetriever, clap: Path, machine: Machine, tmp_path: Path
) -> None:
    made = library(zero_shot.lake, tmp_path / "a", "mine", "run-1", {"one": [np.eye(4)[0]]})
    with pytest.raises(
        InputError, match=f"not indexed by {clap}; run `needledrop library index mine --encoder {clap}`"
    ):
        open_zero_shot(zero_shot.lake, [made], str(clap), machine)
    with pytest.raises(InputError, match="name one with --library"):
        open_zero_shot(zero_shot.lake, [], str(clap), machine)


def test_other_weights_of_the_same_name_never_join_the_embeddings(
    zero_shot: ZeroShotRetriever, machine: Machine, tmp_path: Path
) -> None:
    made = heard(zero_shot, tmp_path / "a", {"one": [zero_shot.embed(FilmQuery(plot=("x",))).vector]})
    with pytest.raises(InputError, match="were made with other weights of clap"):
        register_encoder(made, replace(zero_shot.card, weights_sha256="other"))
    with pytest.raises(InputError, match="weights of clap are not those that made its embeddings"):
        open_zero_shot(zero_shot.lake, [made], str(save_clap(tmp_path / "clap", window_seconds=5)), machine)
