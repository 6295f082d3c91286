"""Music in memory as one engine hears it: libraries and tracks of data sets, searched with one query after another.

An engine is what embeds both the music and the query: a trained run (`retriever`), or an audio encoder (`zero_shot`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from storage.lake.lake import Lake
from storage.libraries.embeddings import LibraryEmbeddings, load_library_embeddings
from storage.libraries.library import Library
from storage.mels.settings import MelSettings
from storage.records.takedown_list import HiddenTracks
from training.retrieval.blended_query import Query, Vector
from training.retrieval.dataset_tracks import DatasetTracks, OnTrack
from training.retrieval.film_query import FilmQuery
from training.retrieval.library_search import Hit, LibraryIndex, Ranking, TrackFilter, TrackRow

SEGMENT_SECONDS = MelSettings().segment_seconds
INDEXES_KEPT = 3
"""Combinations of libraries in memory: a hundred thousand tracks take half a gigabyte."""
DESCRIBED = (
    "track_id", "duration_seconds", "segments", "codec", "sample_rate_hz", "loudness_lufs", "loudness_range_lu",
    "tempo_bpm", "brightness_hz", "silent_share",
)  # fmt: skip
"""What is held in memory of a track's description: its energy and its fingerprint would be most of it."""

Music = Library | DatasetTracks
"""What can be searched: a library, or the tracks of a data-set version."""


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


Loaded = tuple[LibraryEmbeddings, list[TrackRow]]
"""Embeddings of tracks, and what is known of each."""


class SearchEngine(ABC):
    """What embeds a film's query and ranks music for it, with the music that was searched in memory."""

    def __init__(self, lake: Lake, engine: str, segments: int) -> None:
        """`engine`: its name in a library's embeddings; `segments`: how many a track's mean is made from."""
        self.lake, self.engine, self._segments = lake, engine, segments
        self._indexes: dict[tuple[str, ...], tuple[list[str], LibraryIndex]] = {}
        self._hidden = HiddenTracks(lake)

    @abstractmethod
    def embed(self, query: FilmQuery) -> Query:
        """Embed a film's query, and what is left of it without each part where the engine can do without."""

    @abstractmethod
    def _load(self, music: Music, on_progress: OnTrack | None) -> Loaded:
        """Read what is not in memory yet."""

    @property
    def film_queries(self) -> Vector | None:
        """Return the queries [n, d] with which a score is compared, for an engine that knows some."""
        return None

    def open(self, music: Sequence[Music], on_progress: OnTrack | None = None) -> LibraryIndex:
        """Return the tracks of libraries, or of a data-set version, in memory.

        They are read again when their files in the lake have changed. A version's tracks are embedded the first time,
        which `on_progress` follows (tracks done, tracks in all).
        """
        names = tuple(one.name for one in music)
        files = [file for one in music for file in one.stored_files(self.engine)]
        if names not in self._indexes or self._indexes[names][0] != files:
            loaded = [self._load(one, on_progress) for one in music]
            rows = [row for _, known in loaded for row in known]
            index = LibraryIndex(_joined([embeddings for embeddings, _ in loaded]), rows, self._segments)
            self._indexes.pop(names, None)
            self._indexes = dict([*self._indexes.items()][1 - INDEXES_KEPT :]) | {names: (files, index)}
        return self._indexes[names][1]

    def hidden(self, music: Sequence[Music]) -> frozenset[str]:
        """Return the tracks that must not be found, because they, their film or their channel were taken down."""
        return self._hidden.read([one.version for one in music if isinstance(one, DatasetTracks)])

    def search(
        self,
        music: Sequence[Music],
        query: Query,
        count: int,
        *,
        by: Ranking = "mean",
        wanted: TrackFilter | None = None,
        most_per_album: int | None = None,
    ) -> list[FoundTrack]:
        """Return the tracks that suit a query best, by their mean, as evaluated, or by their best moment.

        Tracks that were taken down are not found.
        """
        ranked = self.rank(music, query, count, by=by, wanted=wanted, most_per_album=most_per_album)
        return [self.describe(music, query, track, score, by, rank) for rank, (track, score) in enumerate(ranked, 1)]

    def rank(
        self,
        music: Sequence[Music],
        query: Query,
        count: int,
        *,
        by: Ranking = "mean",
        wanted: TrackFilter | None = None,
        most_per_album: int | None = None,
    ) -> list[tuple[int, float]]:
        """Return the rows in `open(music)` of the tracks that `search` finds, and their scores: of many, at no cost."""
        index, hidden, chosen = self.open(music), self.hidden(music), wanted or TrackFilter()

        def allows(row: TrackRow) -> bool:
            return row["track_id"] not in hidden and chosen.allows(row)

        return index.rank(query.vector, count, by=by, allows=allows, most_per_album=most_per_album)

    def describe(
        self, music: Sequence[Music], query: Query, track: int, score: float, by: Ranking, rank: int
    ) -> FoundTrack:
        """Return a track that `rank` has returned, with its best moment and what its score says."""
        index = self.open(music)
        return _found(index, rank, index.hit(track, score, query.vector), query, by, self.film_queries)


def _percentile(index: LibraryIndex, hit: Hit, query: Query, by: Ranking, films: Vector | None) -> float | None:
    if films is None or not query.is_film:
        return None
    return float(100 * (index.scores_of(hit, films, by) < hit.score).mean())


def _found(index: LibraryIndex, rank: int, hit: Hit, query: Query, by: Ranking, films: Vector | None) -> FoundTrack:
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


def load_library(library: Library, engine: str) -> Loaded:
    """Read a library's embeddings and what is known of its tracks, one row per track that has a file."""
    embeddings, known = load_library_embeddings(library, engine), _track_rows(library)
    kept = [number for number, track_id in enumerate(embeddings.track_ids) if track_id in known]
    return _subset(embeddings, kept), [known[embeddings.track_ids[number]] for number in kept]


def _second_of(row: TrackRow, segment: int) -> float:
    """Return where a segment begins; of a data set's track only some segments are in the index."""
    starts = row.get("segment_starts")
    return segment * SEGMENT_SECONDS if starts is None else float(starts[segment])


def _track_rows(library: Library) -> dict[str, TrackRow]:
    """Return what is known of each track that has a file: the file's tags, and how the track sounds."""
    tracks = {row["track_id"]: row for row in library.track_rows(DESCRIBED)}
    files = library.file_rows(where="state = 'present' AND track_id IS NOT NULL")
    found: dict[str, TrackRow] = {}
    for file in files:
        if file["track_id"] in tracks:
            own = {"library": library.name, "url": None}
            found.setdefault(file["track_id"], {**tracks[file["track_id"]], **file, **own})
    return found


def _subset(embeddings: LibraryEmbeddings, tracks: Sequence[int]) -> LibraryEmbeddings:
    if len(tracks) == len(embeddings):
        return embeddings
    spans = [np.arange(embeddings.first[track], embeddings.first[track + 1]) for track in tracks]
    rows = np.concatenate(spans) if spans else np.empty(0, np.int64)
    first = np.cumsum([0, *map(len, spans)]).astype(np.int64)
    names = tuple(embeddings.track_ids[track] for track in tracks)
    return LibraryEmbeddings(names, first, embeddings.vectors[rows], embeddings.weights[rows])


def _joined(parts: Sequence[LibraryEmbeddings]) -> LibraryEmbeddings:
    if len(parts) == 1:
        return parts[0]
    lengths = np.concatenate([np.diff(part.first) for part in parts])
    return LibraryEmbeddings(
        tuple(name for part in parts for name in part.track_ids),
        np.r_[0, np.cumsum(lengths)].astype(np.int64),
        np.concatenate([part.vectors for part in parts]),
        np.concatenate([part.weights for part in parts]),
    )
