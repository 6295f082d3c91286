"""Tracks are ranked by their mean or their best moment, filtered, and not all from one album."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from storage.libraries.library_embeddings import LibraryEmbeddings
from training.data.splits import Split
from training.retrieval.query_and_filters import ANY, TrackFilter
from training.retrieval.search_results import LibraryIndex, mean_vectors

RNG = np.random.default_rng(0)


def embeddings(*lengths: int, d: int = 4) -> LibraryEmbeddings:
    vectors = RNG.standard_normal((sum(lengths), d)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = tuple(f"t{number}" for number in range(len(lengths)))
    first = np.r_[0, np.cumsum(lengths)].astype(np.int64)
    return LibraryEmbeddings(names, first, vectors, np.ones(len(vectors), np.float32))


def rows(count: int, **values: Any) -> list[dict[str, Any]]:
    row = {"album": None, "artist": None, "licence": None, "year": None, "duration_seconds": 100.0}
    return [{**row, "tempo_bpm": 90.0, "loudness_lufs": -14.0, **values} for _ in range(count)]


@pytest.mark.parametrize("segments", [1, 2, 3, 8])
def test_the_mean_takes_the_segments_that_evaluation_takes(segments: int) -> None:
    given = embeddings(1, 2, 5, 8, 9, 20, 37)
    split = Split("x", (), (), (), (), (), given.track_ids, given.first[:0], given.first, np.arange(82), None)  # type: ignore[arg-type]
    for track, mean in enumerate(mean_vectors(given, segments)):
        expected = given.vectors[split.even_segments(track, segments)].sum(axis=0)
        assert mean == pytest.approx(expected / np.linalg.norm(expected), abs=1e-6)


def test_weights_count_in_the_mean() -> None:
    given = embeddings(2)
    weighted = LibraryEmbeddings(given.track_ids, given.first, given.vectors, np.array([1, 0], np.float32))
    assert mean_vectors(weighted, 8)[0] == pytest.approx(given.vectors[0], abs=1e-6)


def test_the_best_moment_is_the_segment_nearest_to_the_query() -> None:
    index = LibraryIndex(given := embeddings(5, 5, 5), rows(3), 8)
    [hit] = index.search(given.vectors[7], 1, by="best")
    assert (hit.track, hit.segment) == (1, 2)
    assert hit.score == pytest.approx(1, abs=1e-6)


def test_both_rankings_equal_those_of_all_cosines() -> None:
    index = LibraryIndex(given := embeddings(*RNG.integers(1, 20, 300)), rows(300), 8)
    query = embeddings(1).vectors[0]
    by_mean = [hit.track for hit in index.search(query, 300)]
    assert by_mean == np.argsort(-(mean_vectors(given, 8) @ query), kind="stable").tolist()
    best = np.maximum.reduceat(given.vectors @ query, given.first[:-1])
    assert [hit.track for hit in index.search(query, 25, by="best")] == np.argsort(-best, kind="stable")[:25].tolist()


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (TrackFilter(), [0, 1, 2]),
        (TrackFilter(seconds=(60, None)), [1, 2]),
        (TrackFilter(seconds=(None, 60)), [0]),
        (TrackFilter(tempo_bpm=(80, 100)), [0, 1]),
        (TrackFilter(loudness_lufs=(-20, -10)), [0]),
        (TrackFilter(year=(2000, 2010)), [2]),
        (TrackFilter(licence="cc by"), [0, 1]),
        (TrackFilter(licence="cc by", artist="ANN"), [1]),
    ],
)
def test_a_filter_leaves_out_what_does_not_fit_or_is_not_known(wanted: TrackFilter, found: list[int]) -> None:
    [one, two, three] = rows(3)
    one |= {"duration_seconds": 59.9, "licence": "CC BY 4.0", "loudness_lufs": -14.0}
    two |= {"licence": "CC BY-SA", "artist": "Ann Lee", "loudness_lufs": None, "year": None}
    three |= {"tempo_bpm": None, "year": 2005, "loudness_lufs": -23.0}
    assert [number for number, row in enumerate([one, two, three]) if wanted.allows(row)] == found


@pytest.mark.parametrize(
    ("tag", "typed"), [("Beyonc\u00e9", "BEYONCE\u0301"), ("Bjo\u0308rk", "bj\u00f6r"), ("Straße", "STRASSE")]
)
def test_a_name_is_found_however_its_accents_are_stored(tag: str, typed: str) -> None:
    assert TrackFilter(artist=typed).allows(rows(1, artist=tag)[0])


def test_an_unlimited_range_also_takes_what_is_not_known() -> None:
    assert TrackFilter(tempo_bpm=ANY).allows(rows(1, tempo_bpm=None)[0])


def test_a_filter_that_leaves_out_nearly_all_finds_the_rest() -> None:
    index = LibraryIndex(given := embeddings(*[1] * 1000), rows(1000), 8)
    last = np.argsort(-(given.vectors @ given.vectors[0]), kind="stable")[-2:].tolist()
    allowed = [index.rows[track] for track in last]
    hits = index.search(given.vectors[0], 5, allows=lambda row: any(row is one for one in allowed))
    assert [hit.track for hit in hits] == last


@pytest.mark.parametrize(
    ("own", "found"),
    [
        ([{"album": "Greatest", "artist": "Ann"}] * 6, 2),
        ([{"album": "Tones", "artist": f"Player {number}"} for number in range(6)], 2),
        ([{"album": "Tones", "album_artist": "Ann" if number % 2 else "Bo"} for number in range(6)], 4),
        ([{"artist": "Ann"}] * 6, 6),
    ],
)
def test_one_album_does_not_fill_the_list_and_tracks_without_one_do(own: list[dict[str, Any]], found: int) -> None:
    index = LibraryIndex(given := embeddings(*[1] * 6), [rows(1, **values)[0] for values in own], 8)
    assert len(index.search(given.vectors[0], 6, most_per_album=2)) == found


def test_a_recording_that_two_libraries_hold_is_found_once_where_it_passes() -> None:
    one = embeddings(*[2] * 4)
    ids, first = (*one.track_ids, *one.track_ids), np.arange(0, 17, 2)
    both = LibraryEmbeddings(ids, first, np.tile(one.vectors, (2, 1)), np.tile(one.weights, 2))
    index = LibraryIndex(both, [*rows(4, licence="CC BY"), *rows(4, licence="CC0")], 8)
    found = index.search(one.vectors[0], 8)
    assert sorted(ids[hit.track] for hit in found) == ["t0", "t1", "t2", "t3"]
    free = index.search(one.vectors[0], 8, allows=TrackFilter(licence="CC0").allows)
    assert sorted(hit.track for hit in free) == [4, 5, 6, 7]


def test_scores_for_other_queries_are_those_of_a_search() -> None:
    index = LibraryIndex(given := embeddings(3, 4, 5), rows(3), 2)
    others = embeddings(1, 1).vectors
    for by in ("mean", "best"):
        hits = index.search(given.vectors[0], 3, by=by)  # type: ignore[arg-type]
        for number, query in enumerate(others):
            again = {hit.track: hit.score for hit in index.search(query, 3, by=by)}  # type: ignore[arg-type]
            for hit in hits:
                assert index.scores_of(hit, others, by)[number] == pytest.approx(again[hit.track], abs=1e-6)  # type: ignore[arg-type]


def test_an_empty_library_finds_nothing() -> None:
    index = LibraryIndex(embeddings(), [], 8)
    assert index.search(np.ones(4, np.float32), 5) == []
