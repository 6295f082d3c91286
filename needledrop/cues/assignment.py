"""Divide tracks among scenes so that none comes twice: a matching of the highest sum, long enough tracks first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching


@dataclass(frozen=True)
class Candidates:
    """The tracks that may be suggested for a scene, those that come first at the beginning.

    A script may have a thousand scenes and as many candidates for each: they are numbers, and only those that are
    suggested are described.
    """

    tracks: NDArray[np.int32]
    """[n]: rows of the index."""
    recordings: NDArray[np.int32]
    """[n]: the first row of the same recording, which two libraries may hold."""
    scores: NDArray[np.float32]
    """[n]"""
    preferences: NDArray[np.float32]
    """[n]: what of a scene's length each track fills, from 0 to 1, twice, and its score."""
    is_long: NDArray[np.bool_]
    """[n]: whether a track is as long as its scene: each such track comes before all others."""

    def __len__(self) -> int:
        return len(self.tracks)

    def first(self, count: int, taken: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the positions of the first tracks that are not taken; `taken` [rows of the index]."""
        return np.flatnonzero(~taken[self.recordings])[:count]


Chosen = tuple[int, float]
"""A track's row of the index, and its score."""


def divided(candidates: Sequence[Candidates], per_scene: int, tracks: int) -> list[list[Chosen]]:
    """Divide tracks among scenes so that none is chosen twice: all first choices, then all second ones, and so on.

    `tracks`: the rows of the index.
    """
    chosen: list[list[Chosen]] = [[] for _ in candidates]
    taken = np.zeros(tracks, bool)
    for _ in range(per_scene):
        # One of a scene's first tracks, as many as there are scenes, is always left: the others take fewer.
        left = [found.first(len(candidates), taken) for found in candidates]
        for scene, position in _matched(candidates, left):
            chosen[scene] += chosen_of(candidates[scene], [position])
            taken[candidates[scene].recordings[position]] = True
    return chosen


def chosen_of(found: Candidates, positions: Sequence[int] | NDArray[np.int64]) -> list[Chosen]:
    """Return the tracks at positions of the candidates, with their scores."""
    return [(int(found.tracks[position]), float(found.scores[position])) for position in positions]


def _matched(candidates: Sequence[Candidates], left: Sequence[NDArray[np.int64]]) -> list[tuple[int, int]]:
    """Return one position per scene, all of different tracks: for as many scenes as can be, with the highest sum.

    Each scene may also have nothing, an edge of its own that weighs less than any track is worth; a track that is long
    enough weighs more than all scenes could gain by others.
    """
    scenes, lengths = len(candidates), [len(own) for own in left]
    if not sum(lengths):
        return []
    pairs = list(zip(candidates, left, strict=True))
    rows = np.repeat(np.arange(scenes, dtype=np.int32), lengths)
    columns, numbers = np.unique(np.concatenate([found.recordings[own] for found, own in pairs]), return_inverse=True)
    is_long = np.concatenate([found.is_long[own] for found, own in pairs])
    weights = np.concatenate([found.preferences[own] for found, own in pairs]).astype(np.float64)
    weights += is_long * 4.0 * scenes
    weights += 1 - weights.min()
    weights += weights.max() * scenes
    graph = csr_array(
        (
            np.r_[weights, np.ones(scenes)],
            (np.r_[rows, np.arange(scenes)], np.r_[numbers, len(columns) + np.arange(scenes)]),
        ),
        shape=(scenes, len(columns) + scenes),
    )
    matching = zip(*(one.tolist() for one in min_weight_full_bipartite_matching(graph, maximize=True)), strict=True)
    return [
        (scene, _position(candidates[scene], left[scene], columns[column]))
        for scene, column in matching
        if column < len(columns)
    ]


def _position(found: Candidates, left: NDArray[np.int64], recording: int) -> int:
    return int(left[np.flatnonzero(found.recordings[left] == recording)[0]])
