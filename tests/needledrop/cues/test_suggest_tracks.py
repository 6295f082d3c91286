"""Tracks are divided among scenes: none twice, none too short while it can be avoided, the best sum otherwise."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from needledrop.cues.suggest_tracks import Candidates, divided

Pairs = Sequence[tuple[str, float]]
"""Tracks, named by letters, and their preferences for a scene."""


def candidates(pairs: Pairs) -> Candidates:
    ordered = sorted(pairs, key=lambda pair: -pair[1])
    tracks = np.array([ord(name) - ord("a") for name, _ in ordered], np.int32)
    preferences = np.array([preference for _, preference in ordered], np.float32)
    return Candidates(tracks, tracks, preferences, preferences, np.ones(len(ordered), bool))


def names(scenes: Sequence[Pairs], per_scene: int) -> list[list[str]]:
    chosen = divided([candidates(own) for own in scenes], per_scene, 26)
    return [[chr(ord("a") + track) for track, _ in own] for own in chosen]


def test_the_best_track_goes_where_the_sum_is_highest() -> None:
    assert names([[("a", 0.9), ("b", 0.8)], [("a", 0.85), ("b", 0.1)]], 1) == [["b"], ["a"]]


def test_all_scenes_have_a_first_choice_before_any_has_a_second() -> None:
    chosen = names([[("a", 0.9), ("b", 0.8), ("c", 0.7)]] * 2, 2)
    assert sorted(own[0] for own in chosen) == ["a", "b"]
    assert sorted(len(own) for own in chosen) == [1, 2]


def test_with_more_scenes_than_tracks_some_have_none() -> None:
    assert names([[("a", score)] for score in (0.1, 0.9, 0.5)], 1) == [[], ["a"], []]


def test_scenes_without_candidates_are_passed_over() -> None:
    assert names([[], [("a", -0.5)], []], 3) == [[], ["a"], []]
    assert names([[]], 1) == [[]]


SCORES = st.floats(-1, 1, allow_nan=False).map(lambda value: round(value, 3))


@given(st.integers(1, 4), st.integers(1, 4), st.data())
def test_no_division_has_a_higher_sum(scenes: int, tracks: int, data: st.DataObject) -> None:
    scores = [[data.draw(SCORES) for _ in range(tracks)] for _ in range(scenes)]
    found = divided([candidates([("abcd"[t], score) for t, score in enumerate(own)]) for own in scores], 1, 26)
    chosen = [one for own in found for one in own]
    assert len({track for track, _ in chosen}) == len(chosen) == min(scenes, tracks)
    table = scores if scenes <= tracks else [list(column) for column in zip(*scores, strict=True)]
    orders = itertools.permutations(range(max(scenes, tracks)), min(scenes, tracks))
    best = max(sum(own[index] for own, index in zip(table, order, strict=True)) for order in orders)
    assert sum(score for _, score in chosen) == pytest.approx(best, abs=1e-5)
