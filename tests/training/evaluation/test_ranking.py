"""Ranks against brute force, with ties, in any order of the candidates."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.errors import NeedledropError
from storage.metrics.records import RANKS_SCHEMA
from training.evaluation import ranking, ranking_cuda
from training.evaluation.embedding_files import Embeddings
from training.evaluation.ranking import rank_tracks, top_tracks
from training.evaluation.ranking_cuda import count_on_device


def named(prefix, vectors):
    return Embeddings(tuple(f"{prefix}{i}" for i in range(len(vectors))), np.asarray(vectors, np.float32))


def as_dict(ranks):
    keys = zip(ranks.film_ids, ranks.track_ids, strict=True)
    return dict(zip(keys, zip(ranks.rank_lo.tolist(), ranks.rank_hi.tolist(), strict=True), strict=True))


def brute_force(films, tracks, owners):
    """Sums of fractions, which never round; the grid of 2^-25 is the method's definition of a cosine."""

    def exact(vector):
        length = np.linalg.norm(vector.astype(np.float64))
        return [Fraction(int(np.rint(x / length * 2**25)) if length else 0) for x in vector.astype(np.float64)]

    of_tracks = {t: exact(v) for t, v in zip(tracks.ids, tracks.vectors, strict=True)}
    found = {}
    for film, query in zip(films.ids, map(exact, films.vectors), strict=True):
        score = {t: sum(a * b for a, b in zip(query, v, strict=True)) for t, v in of_tracks.items()}
        for track in tracks.ids:
            if owners.get(track) == film:
                above = sum(s > score[track] for s in score.values())
                found[film, track] = (above + 1, above + sum(s == score[track] for s in score.values()))
    return found


@st.composite
def cases(draw):
    d = draw(st.integers(1, 4))
    component = st.sampled_from([-1.0, 0.0, 0.5, 1.0]) | st.floats(-3, 3, width=32)
    vector = st.lists(component, min_size=d, max_size=d)
    films = named("f", draw(st.lists(vector, min_size=1, max_size=5)))
    tracks = named("t", draw(st.lists(vector, min_size=1, max_size=12)))
    owners = {t: draw(st.sampled_from([*films.ids, "another film"])) for t in tracks.ids}
    owners[tracks.ids[0]] = films.ids[0]
    return films, tracks, owners


@given(cases())
@settings(max_examples=150, deadline=None)
def test_ranks_equal_brute_force_with_ties(case):
    assert as_dict(rank_tracks(*case)) == brute_force(*case)


@given(cases(), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_permuting_films_and_candidates_changes_nothing(case, random):
    films, tracks, owners = case
    a, b = random.sample(range(len(films)), len(films)), random.sample(range(len(tracks)), len(tracks))
    films2 = Embeddings(tuple(films.ids[i] for i in a), films.vectors[a])
    tracks2 = Embeddings(tuple(tracks.ids[i] for i in b), tracks.vectors[b])
    assert as_dict(rank_tracks(films2, tracks2, owners)) == as_dict(rank_tracks(films, tracks, owners))


def test_permuting_many_candidates_keeps_every_score_to_the_last_bit():
    random = np.random.default_rng(0)
    films, tracks = named("f", random.normal(size=(130, 64))), named("t", random.normal(size=(9001, 64)))
    owners = {t: f"f{i % 130}" for i, t in enumerate(tracks.ids)}
    order = random.permutation(9001)
    shuffled = rank_tracks(films, Embeddings(tuple(tracks.ids[i] for i in order), tracks.vectors[order]), owners)
    ranks = rank_tracks(films, tracks, owners)
    assert as_dict(shuffled) == as_dict(ranks)
    assert sorted(shuffled.score) == sorted(ranks.score)


def test_the_path_for_a_gpu_gives_the_same_ranks_and_scores():
    random = np.random.default_rng(3)
    vectors = random.normal(size=(3000, 32))
    vectors[1500:] = vectors[:1500]
    films, tracks = named("f", random.normal(size=(100, 32))), named("t", vectors)
    owners = {t: f"f{i % 90}" for i, t in enumerate(tracks.ids)}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pairs = ranking._pairs(films, tracks, owners)
    grid = ranking._on_grid(films.vectors), ranking._on_grid(tracks.vectors)
    there = count_on_device(*grid, pairs.starts, pairs.tracks, device)
    here = rank_tracks(films, tracks, owners)
    assert np.array_equal(there[0] + 1, here.rank_lo) and np.array_equal(there[0] + there[1], here.rank_hi)
    assert np.array_equal(there[2], here.score)


def test_a_gpu_without_room_leaves_ranking_to_the_cpu(monkeypatch):
    def full(*_given):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(ranking_cuda, "count_on_device", full)
    case = named("f", np.eye(3)), named("t", np.eye(3)), {"t0": "f0", "t2": "f1"}
    assert as_dict(rank_tracks(*case, device="cuda")) == as_dict(rank_tracks(*case))


def test_copies_of_one_track_are_tied_wherever_they_stand():
    random = np.random.default_rng(1)
    vectors = random.normal(size=(5000, 48))
    copies = [3, 1234, 2047, 4096, 4999]
    vectors[copies] = vectors[3]
    ranks = rank_tracks(named("f", random.normal(size=(1, 48))), named("t", vectors), {f"t{i}": "f0" for i in copies})
    assert set(zip(ranks.rank_lo, ranks.rank_hi, strict=True)) == {(ranks.rank_lo[0], ranks.rank_lo[0] + 4)}


def test_a_collapsed_model_ties_every_track():
    ranks = rank_tracks(named("f", np.ones((3, 8))), named("t", np.ones((50, 8))), {"t7": "f1", "t8": "f1"})
    assert as_dict(ranks) == {("f1", "t7"): (1, 50), ("f1", "t8"): (1, 50)}


def test_a_film_without_tracks_has_no_rows_and_a_track_without_film_is_a_candidate():
    ranks = rank_tracks(named("f", np.eye(2)), named("t", np.eye(2)), {"t1": "f0"})
    assert as_dict(ranks) == {("f0", "t1"): (2, 2)}


def test_a_recording_that_two_films_share_is_ranked_for_both():
    ranks = rank_tracks(named("f", np.eye(2)), named("t", np.eye(2)), [("t0", "f0"), ("t0", "f1")])
    assert as_dict(ranks) == {("f0", "t0"): (1, 1), ("f1", "t0"): (2, 2)}


def test_top_tracks_are_those_of_the_best_ranks():
    random = np.random.default_rng(2)
    films, tracks = named("f", random.normal(size=(4, 6))), named("t", random.normal(size=(30, 6)))
    top = top_tracks(films, tracks, 5)
    everything = rank_tracks(films, tracks, [(t, f) for t in tracks.ids for f in films.ids])
    ranked = {key: lo for key, (lo, _) in as_dict(everything).items()}
    assert all(ranked[film, track] == place for film in top for place, (track, _) in enumerate(top[film], 1))


def test_equal_top_tracks_stand_in_order_of_their_ids():
    tracks = Embeddings(("t3", "t1", "t2"), np.ones((3, 2), np.float32))
    assert [track for track, _ in top_tracks(named("f", np.ones((1, 2))), tracks, 2)["f0"]] == ["t1", "t2"]


def test_embeddings_of_two_models_are_refused():
    with pytest.raises(NeedledropError, match="embed both with one model"):
        rank_tracks(named("f", np.ones((1, 3))), named("t", np.ones((1, 4))), {"t0": "f0"})


def test_nothing_to_rank_is_an_error():
    with pytest.raises(NeedledropError, match="nothing to rank"):
        rank_tracks(named("f", np.ones((1, 3))), named("t", np.ones((1, 3))), {})


def test_ranks_become_the_table_that_metrics_take():
    table = rank_tracks(named("f", np.eye(2)), named("t", np.eye(2)), {"t0": "f0"}).to_arrow("segments8")
    assert set(table.column_names) == set(RANKS_SCHEMA.names)
