"""Suggest tracks of libraries for scenes, with the second at which each starts so that it lasts as long as its scene.

No track is suggested twice unless asked: the tracks are divided by a matching so that no scene gets one that is too
short while another division avoids it, and then so that the sum of the scores is highest. A track begins at its best
moment for the scene, or before it where less than the scene's length would be left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from needledrop.cues.scene_list import PlacedScene
from needledrop.cues.timecode import Timebase
from storage.libraries.library import Library
from training.retrieval.query_and_filters import FilmQuery, Query, TrackFilter, TrackRow, Vector, blend
from training.retrieval.search_engines import SearchEngine
from training.retrieval.search_results import FoundTrack, LibraryIndex, Ranking

OnScene = Callable[[int, int], None]
"""Progress callback (scenes searched for, scenes in all)."""


@dataclass(frozen=True)
class Wishes:
    """What music is wanted, of all scenes alike."""

    per_scene: int = 1
    may_repeat: bool = False
    by: Ranking = "mean"
    tracks: TrackFilter = field(default_factory=TrackFilter)
    tags: tuple[str, ...] = ()
    """Of the film, next to those of a scene."""
    image: bytes | None = field(default=None, repr=False)
    like: tuple[Vector, ...] = ()
    """The recordings that the music of every scene should sound like."""
    not_like: tuple[Vector, ...] = ()
    like_weight: float = 0.5


@dataclass(frozen=True)
class Cue:
    """A track for a scene; `row` is None for a scene that has none, for the reason in its notes. In frames."""

    scene: PlacedScene
    choice: int
    """1 is the first choice."""
    notes: tuple[str, ...]
    row: TrackRow | None = None
    score: float | None = None
    percentile: float | None = None
    """The share of the training films whose queries give the track a lower score, in percent."""
    source_start: int = 0
    """Where in the track it begins."""
    frames: int = 0

    @property
    def start(self) -> int:
        """Return the frame of the film at which the music begins."""
        return self.scene.start

    @property
    def end(self) -> int:
        """Return the frame of the film after its last one."""
        return self.scene.start + self.frames


def suggest_cues(
    engine: SearchEngine,
    libraries: Sequence[Library],
    scenes: Sequence[PlacedScene],
    timebase: Timebase,
    wishes: Wishes,
    on_scene: OnScene = lambda *_: None,
) -> list[Cue]:
    """Return the cues of all scenes in their order, first choices first; every scene has at least one."""
    most = wishes.per_scene * (1 if wishes.may_repeat else len(scenes))
    recordings = _recordings(engine.open(libraries))
    queries, candidates = [], list[Candidates]()
    for number, scene in enumerate(scenes, 1):
        query = _query(engine, scene, wishes)
        queries.append(query)
        ranked = [] if query is None else _ranked(engine, libraries, query, scene, timebase, wishes, most)
        candidates.append(_candidates(engine.open(libraries), recordings, ranked, scene, timebase))
        on_scene(number, len(scenes))
    if wishes.may_repeat:
        nothing = np.zeros(len(recordings), bool)
        chosen = [chosen_of(found, found.first(wishes.per_scene, nothing)) for found in candidates]
    else:
        chosen = divided(candidates, wishes.per_scene, len(recordings))
    cues = []
    for scene, query, found, own in zip(scenes, queries, candidates, chosen, strict=True):
        for choice, (track, score) in enumerate(own, 1):
            assert query is not None
            cues.append(
                _cue(scene, choice, engine.describe(libraries, query, track, score, wishes.by, choice), timebase)
            )
        if not own:
            cues.append(Cue(scene, 1, (*scene.notes, *_why_nothing(scene, len(found)))))
    return cues


def _recordings(index: LibraryIndex) -> NDArray[np.int32]:
    """Return for each row of the index the first row of the same track, which two libraries may hold: [rows]."""
    first: dict[str, int] = {}
    same = [first.setdefault(track_id, row) for row, track_id in enumerate(index.embeddings.track_ids)]
    return np.array(same, np.int32)


def _query(engine: SearchEngine, scene: PlacedScene, wishes: Wishes) -> Query | None:
    """Return what is searched by for a scene; None where nothing is said of it."""
    if not scene.scene.is_described:
        return None
    tags = tuple(dict.fromkeys((*scene.scene.tags, *wishes.tags)))
    film = engine.embed(FilmQuery(scene.scene.paragraphs, tags, wishes.image))
    return blend(film, wishes.like, wishes.not_like, wishes.like_weight)


def _ranked(
    engine: SearchEngine,
    libraries: Sequence[Library],
    query: Query,
    scene: PlacedScene,
    timebase: Timebase,
    wishes: Wishes,
    most: int,
) -> list[Chosen]:
    """Return the tracks that come first for a scene: those that are long enough, then the others."""
    needed, (low, high) = timebase.seconds(scene.frames), wishes.tracks.seconds
    long = replace(wishes.tracks, seconds=(max(needed, low or 0), high))
    found = engine.rank(libraries, query, most, by=wishes.by, wanted=long)
    if len(found) < most:
        short = replace(wishes.tracks, seconds=(low, needed if high is None else min(needed, high)))
        found += engine.rank(libraries, query, most, by=wishes.by, wanted=short)
    return found


def _candidates(
    index: LibraryIndex,
    recordings: NDArray[np.int32],
    ranked: Sequence[Chosen],
    scene: PlacedScene,
    timebase: Timebase,
) -> Candidates:
    by_recording: dict[int, tuple[int, float, float]] = {}
    for row, score in ranked:
        frames = timebase.whole_frames(index.rows[row]["duration_seconds"])
        if frames:
            by_recording.setdefault(int(recordings[row]), (row, score, min(1.0, frames / scene.frames)))
    same = np.fromiter(by_recording, np.int32, len(by_recording))
    tracks, scores, shares = np.array(list(by_recording.values()), np.float64).reshape(-1, 3).T
    preferences, is_long = scores + 2 * shares, shares == 1
    order = np.lexsort((-preferences, ~is_long))
    return Candidates(
        tracks=tracks[order].astype(np.int32),
        recordings=same[order],
        scores=scores[order].astype(np.float32),
        preferences=preferences[order].astype(np.float32),
        is_long=is_long[order],
    )


def _cue(scene: PlacedScene, choice: int, found: FoundTrack, timebase: Timebase) -> Cue:
    available = timebase.whole_frames(found.row["duration_seconds"])
    frames, notes = min(scene.frames, available), scene.notes
    if frames < scene.frames:
        missing, end = timebase.seconds(scene.frames - frames), timebase.label(scene.start + frames)
        notes = (*notes, f"the track is {missing:.1f} s shorter than the scene: its music ends at {end}")
    return Cue(
        scene=scene,
        choice=choice,
        notes=notes,
        row=found.row,
        score=found.score,
        percentile=found.percentile,
        source_start=min(timebase.nearest_frame(found.best_second), available - frames),
        frames=frames,
    )


def _why_nothing(scene: PlacedScene, found: int) -> tuple[str, ...]:
    """Return why a scene has no track, as a sentence; none for a scene without text, whose notes say so."""
    if not scene.scene.is_described:
        return ()
    if not found:
        return ("no track of the libraries passes the filters; widen them",)
    return (f"all {found} tracks that pass are suggested for other scenes; --repeat lets tracks recur",)


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
