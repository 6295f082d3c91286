"""Ranks against brute force, with ties, in any order of the candidates and on any device."""

from fractions import Fraction
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from storage.errors import NeedledropError
from storage.metrics.run_files import RANKS_SCHEMA
from training.evaluation.embeddings import Embeddings, SegmentEmbeddings
from training.evaluation.ranking import Ranks, rank_tracks, top_tracks

Case = tuple[Embeddings, Embeddings, dict[str, str]]


def named(prefix: str, vectors: ArrayLike) -> Embeddings:
    return Embeddings(tuple(f"{prefix}{i}" for i in range(len(vectors))), np.asarray(vectors, np.float32))


def as_dict(ranks: Ranks) -> dict[tuple[str, str], tuple[int, int]]:
    keys = zip(ranks.film_ids, ranks.track_ids, strict=True)
    return dict(zip(keys, zip(ranks.rank_lo.tolist(), ranks.rank_hi.tolist(), strict=True), strict=True))


def brute_force(
    films: Embeddings, tracks: Embeddings, owners: dict[str, str]
) -> dict[tuple[str, str], tuple[int, int]]:
    """Rank with fractions, which are never rounded; the grid of 2^-25 is part of the definition of a score."""

    def exact(vector: NDArray[np.float32]) -> list[Fraction]:
        length = np.linalg.norm(vector.astype(np.float64))
        return [Fraction(int(np.rint(x / length * 2**25)) if length else 0) for x in vector.astype(np.float64)]

    of_tracks = {t: exact(v) for t, v in zip(tracks.ids, tracks.vectors, strict=True)}
    ranks = {}
    for film, query in zip(films.ids, map(exact, films.vectors), strict=True):
        score = {t: sum(a * b for a, b in zip(query, v, strict=True)) for t, v in of_tracks.items()}
        for track in tracks.ids:
            if owners.get(track) == film:
                above = sum(s > score[track] for s in score.values())
                ranks[film, track] = (above + 1, above + sum(s == score[track] for s in score.values()))
    return ranks


@st.composite
def cases(draw: st.DrawFn) -> Case:
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
def test_ranks_equal_brute_force_with_ties(case: Case) -> None:
    assert as_dict(rank_tracks(*case)) == brute_force(*case)


@given(cases(), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_the_order_of_films_and_candidates_does_not_change_ranks(case: Case, random: Random) -> None:
    films, tracks, owners = case
    a, b = random.sample(range(len(films)), len(films)), random.sample(range(len(tracks)), len(tracks))
    films2 = Embeddings(tuple(films.ids[i] for i in a), films.vectors[a])
    tracks2 = Embeddings(tuple(tracks.ids[i] for i in b), tracks.vectors[b])
    assert as_dict(rank_tracks(films2, tracks2, owners)) == as_dict(rank_tracks(films, tracks, owners))


def test_the_order_of_many_candidates_does_not_change_any_bit_of_a_score() -> None:
    random = np.random.default_rng(0)
    films, tracks = named("f", random.normal(size=(130, 64))), named("t", random.normal(size=(9001, 64)))
    owners = {t: f"f{i % 130}" for i, t in enumerate(tracks.ids)}
    order = random.permutation(9001)
    shuffled = rank_tracks(films, Embeddings(tuple(tracks.ids[i] for i in order), tracks.vectors[order]), owners)
    ranks = rank_tracks(films, tracks, owners)
    assert as_dict(shuffled) == as_dict(ranks)
    assert sorted(shuffled.score) == sorted(ranks.score)


def test_a_torch_device_gives_the_ranks_and_scores_of_the_cpu() -> None:
    random = np.random.default_rng(3)
    vectors = random.normal(size=(3000, 32))
    vectors[1500:] = vectors[:1500]
    films, tracks = named("f", random.normal(size=(100, 32))), named("t", vectors)
    owners = {t: f"f{i % 90}" for i, t in enumerate(tracks.ids)}
    done: list[int] = []
    device = "cuda" if torch.cuda.is_available() else "cpu:0"  # "cpu" alone is numba's kernel
    on_device = rank_tracks(films, tracks, owners, device, done.append)
    on_cpu = rank_tracks(films, tracks, owners)
    assert as_dict(on_device) == as_dict(on_cpu)
    assert np.array_equal(on_device.score, on_cpu.score)
    assert sum(done) == 100


def segmented(prefix: str, vectors: list[list[list[float]]]) -> SegmentEmbeddings:
    first = np.cumsum([0, *map(len, vectors)]).astype(np.int64)
    ids = tuple(f"{prefix}{i}" for i in range(len(vectors)))
    return SegmentEmbeddings(ids, first, np.concatenate(vectors).astype(np.float32))


@given(cases(), st.data())
@settings(max_examples=80, deadline=None)
def test_the_best_segment_of_a_track_counts(case: Case, data: st.DataObject) -> None:
    films, tracks, owners = case
    lengths = [data.draw(st.integers(1, 3)) for _ in tracks.ids]
    worse = [
        [(-vector).tolist()] * (length - 1) + [vector.tolist()]
        for vector, length in zip(tracks.vectors, lengths, strict=True)
    ]
    segments = segmented("t", worse)
    each = [
        rank_tracks(Embeddings((film,), films.vectors[[number]]), best_of(films.vectors[number], segments), owners)
        for number, film in enumerate(films.ids)
        if film in owners.values()
    ]
    expected = {key: bounds for ranks in each for key, bounds in as_dict(ranks).items()}
    assert as_dict(rank_tracks(films, segments, owners)) == expected
    assert as_dict(rank_tracks(films, segments, owners, "cpu:0")) == expected


def best_of(query: NDArray[np.float32], segments: SegmentEmbeddings) -> Embeddings:
    """Each track's segment that is closest to a query, by fractions of cosines on the grid."""

    def exact(vector: NDArray[np.float32]) -> list[int]:
        length = np.linalg.norm(vector.astype(np.float64))
        return [int(np.rint(x / length * 2**25)) if length else 0 for x in vector.astype(np.float64)]

    chosen = []
    for begin, end in zip(segments.first[:-1], segments.first[1:], strict=True):
        own = segments.vectors[begin:end]
        chosen.append(max(own, key=lambda one: sum(a * b for a, b in zip(exact(query), exact(one), strict=True))))
    return Embeddings(segments.ids, np.stack(chosen))


def test_one_segment_per_track_ranks_as_its_vector() -> None:
    random = np.random.default_rng(5)
    films, vectors = named("f", random.normal(size=(70, 16))), random.normal(size=(900, 16))
    owners = {f"t{i}": f"f{i % 70}" for i in range(900)}
    alone = rank_tracks(films, segmented("t", vectors[:, None].tolist()), owners)
    assert as_dict(alone) == as_dict(rank_tracks(films, named("t", vectors), owners))


def test_ranking_on_a_full_gpu_continues_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    allocations: list[str] = []

    def full(*_args: Any, **_options: Any) -> torch.Tensor:
        allocations.append("refused")
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.Tensor, "to", full)
    case = named("f", np.eye(3)), named("t", np.eye(3)), {"t0": "f0", "t2": "f1"}
    assert as_dict(rank_tracks(*case, device="cuda")) == as_dict(rank_tracks(*case))
    assert allocations == ["refused"]


def test_copies_of_a_track_are_tied_at_any_position() -> None:
    random = np.random.default_rng(1)
    vectors = random.normal(size=(5000, 48))
    copies = [3, 1234, 2047, 4096, 4999]
    vectors[copies] = vectors[3]
    ranks = rank_tracks(named("f", random.normal(size=(1, 48))), named("t", vectors), {f"t{i}": "f0" for i in copies})
    assert set(zip(ranks.rank_lo, ranks.rank_hi, strict=True)) == {(ranks.rank_lo[0], ranks.rank_lo[0] + 4)}


def test_a_collapsed_model_ties_every_track() -> None:
    ranks = rank_tracks(named("f", np.ones((3, 8))), named("t", np.ones((50, 8))), {"t7": "f1", "t8": "f1"})
    assert as_dict(ranks) == {("f1", "t7"): (1, 50), ("f1", "t8"): (1, 50)}


def test_a_film_without_tracks_has_no_rows_and_a_track_without_film_is_a_candidate() -> None:
    ranks = rank_tracks(named("f", np.eye(2)), named("t", np.eye(2)), {"t1": "f0"})
    assert as_dict(ranks) == {("f0", "t1"): (2, 2)}


def test_a_recording_that_two_films_share_is_ranked_for_both() -> None:
    ranks = rank_tracks(named("f", np.eye(2)), named("t", np.eye(2)), [("t0", "f0"), ("t0", "f1")])
    assert as_dict(ranks) == {("f0", "t0"): (1, 1), ("f1", "t0"): (2, 2)}


def test_top_tracks_have_the_best_ranks() -> None:
    random = np.random.default_rng(2)
    films, tracks = named("f", random.normal(size=(4, 6))), named("t", random.normal(size=(30, 6)))
    top = top_tracks(films, tracks, 5)
    everything = rank_tracks(films, tracks, [(t, f) for t in tracks.ids for f in films.ids])
    ranked = {key: lo for key, (lo, _) in as_dict(everything).items()}
    assert all(ranked[film, track] == rank for film in top for rank, (track, _) in enumerate(top[film], 1))


def test_tied_top_tracks_are_in_order_of_their_ids() -> None:
    tracks = Embeddings(("t3", "t1", "t2"), np.ones((3, 2), np.float32))
    assert [track for track, _ in top_tracks(named("f", np.ones((1, 2))), tracks, 2)["f0"]] == ["t1", "t2"]


def test_embeddings_of_two_models_are_an_error() -> None:
    with pytest.raises(NeedledropError, match="embed both with one model"):
        rank_tracks(named("f", np.ones((1, 3))), named("t", np.ones((1, 4))), {"t0": "f0"})


def test_nothing_to_rank_is_an_error() -> None:
    with pytest.raises(NeedledropError, match="nothing to rank"):
        rank_tracks(named("f", np.ones((1, 3))), named("t", np.ones((1, 3))), {})


def test_ranks_become_the_table_that_metrics_take() -> None:
    table = rank_tracks(named("f", np.eye(2)), named("t", np.eye(2)), {"t0": "f0"}).to_arrow("segments8")
    assert set(table.column_names) == set(RANKS_SCHEMA.names)
