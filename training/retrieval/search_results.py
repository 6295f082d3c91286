"""Rank the tracks of libraries for a query: by their mean or by their best moment, and not ten of one album.

Exact: every segment of every track is compared with the query. The mean of a track is what evaluation measures; its
best moment is the segment with the highest cosine, which is where a player should start. What is found has a percentile
among the training films, and the support of each part of the query. Imports no torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from storage.libraries.library_embeddings import LibraryEmbeddings
from storage.mels.settings_and_shard_format import MelSettings
from training.retrieval.query_and_filters import Query, TrackRow, Vector

SEGMENT_SECONDS = MelSettings().segment_seconds
Ranking = Literal["mean", "best"]


@dataclass(frozen=True)
class Hit:
    """A track for a query: its score, and its best segment with that segment's score."""

    track: int
    """Its row in the index."""
    score: float
    segment: int
    segment_score: float


class LibraryIndex:
    """The tracks of one or several libraries in memory, as one run hears them, and what is known of each."""

    def __init__(self, embeddings: LibraryEmbeddings, rows: Sequence[TrackRow], segments: int) -> None:
        """`rows`: one per track, in the order of the embeddings; `segments`: how many a track's mean is made from."""
        self.embeddings, self.rows = embeddings, rows
        self._means = mean_vectors(embeddings, segments)

    def __len__(self) -> int:
        return len(self.embeddings)

    def row_of(self, track_id: str) -> int | None:
        """Return the row of a track; None where there is none of this id."""
        found = np.flatnonzero(np.array(self.embeddings.track_ids, dtype=object) == track_id)
        return int(found[0]) if len(found) else None

    def mean_of(self, track: int) -> NDArray[np.float32]:
        """Return the mean vector of a track, of length 1."""
        mean: NDArray[np.float32] = self._means[track]
        return mean

    def search(
        self,
        query: NDArray[np.float32],
        count: int,
        *,
        by: Ranking = "mean",
        allows: Callable[[TrackRow], bool] | None = None,
        most_per_album: int | None = None,
    ) -> list[Hit]:
        """Return the `count` tracks with the highest scores, best first; `query` [d] of length 1.

        `allows` leaves tracks out; of one album at most `most_per_album` are returned, and a recording that several
        libraries hold is returned once.
        """
        ranked = self.rank(query, count, by=by, allows=allows, most_per_album=most_per_album)
        return [self.hit(track, score, query) for track, score in ranked]

    def rank(
        self,
        query: NDArray[np.float32],
        count: int,
        *,
        by: Ranking = "mean",
        allows: Callable[[TrackRow], bool] | None = None,
        most_per_album: int | None = None,
    ) -> list[tuple[int, float]]:
        """Return the rows of the tracks that `search` returns, and their scores."""
        if not len(self):
            return []
        first, vectors = self.embeddings.first, self.embeddings.vectors
        scores = self._means @ query if by == "mean" else np.maximum.reduceat(vectors @ query, first[:-1])
        ranked: list[tuple[int, float]] = []
        albums: Counter[tuple[str, str]] = Counter()
        recordings = set[str]()
        for track in _in_order(scores, count):
            row, recording = self.rows[track], self.embeddings.track_ids[track]
            album = _album(row)
            is_full = most_per_album is not None and album[0] and albums[album] >= most_per_album
            if is_full or recording in recordings or (allows is not None and not allows(row)):
                continue
            albums[album] += 1
            recordings.add(recording)
            ranked.append((int(track), float(scores[track])))
            if len(ranked) == count:
                break
        return ranked

    def hit(self, track: int, score: float, query: NDArray[np.float32]) -> Hit:
        """Return a ranked track with its best segment."""
        first, last = self.embeddings.first[track : track + 2]
        own = self.embeddings.vectors[first:last] @ query
        segment = int(own.argmax())
        return Hit(track, score, segment, float(own[segment]))

    def scores_of(self, hit: Hit, queries: NDArray[np.float32], by: Ranking) -> NDArray[np.float32]:
        """Return the scores that a hit's track has for other queries [n, d], by the same ranking: [n]."""
        if by == "mean":
            scores: NDArray[np.float32] = queries @ self._means[hit.track]
            return scores
        first, last = self.embeddings.first[hit.track : hit.track + 2]
        best: NDArray[np.float32] = (queries @ self.embeddings.vectors[first:last].T).max(axis=1)
        return best


def _album(row: TrackRow) -> tuple[str, str]:
    """Return what tells an album from others: its name, and its artist where the tags name one."""
    return (row["album"] or "").casefold().strip(), (row.get("album_artist") or "").casefold().strip()


def mean_vectors(embeddings: LibraryEmbeddings, segments: int) -> NDArray[np.float32]:
    """Return each track's mean over at most `segments` evenly spaced segments, normalised: [tracks, d].

    The segments are those that evaluation takes (`training.data.splits.Split.even_segments`).
    """
    first, last = embeddings.first[:-1], embeddings.first[1:]
    sums = np.zeros((len(first), embeddings.vectors.shape[1]), np.float32)
    for rows, counts in _even_rows(first, last - first, segments):
        chosen = rows[counts]
        sums[counts] += embeddings.vectors[chosen] * embeddings.weights[chosen, None]
    lengths = np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return np.asarray(sums / lengths, np.float32)


def _even_rows(
    first: NDArray[np.int64], lengths: NDArray[np.int64], count: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.bool_]]]:
    """Yield a row of every track and whether it counts, so that a track's rows are `count` evenly spaced ones.

    First and last are included; a count of 1 takes the middle one, and a shorter track has all of its rows.
    """
    if count == 1:
        yield first + (lengths - 1) // 2, np.ones(len(first), bool)
        return
    for number in range(count):
        spaced = np.round(number * ((lengths - 1) / (count - 1))).astype(np.int64)
        yield first + np.where(lengths <= count, number, spaced), (lengths > count) | (number < lengths)


def _in_order(scores: NDArray[np.float32], count: int) -> Any:
    """Yield rows by falling score; the first few are found without sorting all."""
    sure = min(len(scores), max(20 * count, 200))
    top = np.argpartition(-scores, sure - 1)[:sure]
    yield from top[np.argsort(-scores[top], kind="stable")]
    if sure < len(scores):  # the filters left out more than they usually do
        rest = np.argsort(-scores, kind="stable")
        is_new = np.ones(len(scores), bool)
        is_new[top] = False
        yield from rest[is_new[rest]]


@dataclass(frozen=True)
class FoundTrack:
    """A track of a library for a query."""

    rank: int
    library: str
    track_id: str
    row: TrackRow
    """Its file's tags and its description: title, artist, licence, path, duration_seconds, tempo_bpm, …"""
    score: float
    best_second: float
    """Where its best moment begins."""
    best_score: float
    percentile: float | None
    """The share of the training films whose queries give this track a lower score, in percent; None for an engine that
    no films have trained, and where the query has a recording that it should, or should not, sound like. A track that
    suits every film has a high score and a low percentile."""
    support: dict[str, float]
    """Part of the query -> by how much the score falls without it."""


def found_track(
    index: LibraryIndex, rank: int, hit: Hit, query: Query, by: Ranking, films: Vector | None
) -> FoundTrack:
    """Return a hit with what is known of its track, and what its score says."""
    row = index.rows[hit.track]
    percentile = _percentile(index, hit, query, by, films)
    support = {part: hit.score - float(index.scores_of(hit, left[None], by)[0]) for part, left in query.without.items()}
    return FoundTrack(
        rank=rank,
        library=row["library"],
        track_id=row["track_id"],
        row=row,
        score=hit.score,
        best_second=_second_of(row, hit.segment),
        best_score=hit.segment_score,
        percentile=percentile,
        support=support,
    )


def _percentile(index: LibraryIndex, hit: Hit, query: Query, by: Ranking, films: Vector | None) -> float | None:
    if films is None or not query.is_film:
        return None
    return float(100 * (index.scores_of(hit, films, by) < hit.score).mean())


def _second_of(row: TrackRow, segment: int) -> float:
    """Return where a segment begins; of a data set's track only some segments are in the index."""
    starts = row.get("segment_starts")
    return segment * SEGMENT_SECONDS if starts is None else float(starts[segment])
