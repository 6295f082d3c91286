"""A resident retriever blends queries, states how unusual a score is, and reads several libraries as one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from storage.errors import InputError
from storage.lake.lake import Lake
from storage.libraries.embeddings import TrackEmbedding, append_embeddings
from storage.libraries.library import Library, add_folder
from training.retrieval.blended_query import Query, blend
from training.retrieval.film_query import FilmQuery
from training.retrieval.retriever import Retriever

PLOT = FilmQuery(plot=("A chase through the night.",))
UNIT = np.eye(4, dtype=np.float32)


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
