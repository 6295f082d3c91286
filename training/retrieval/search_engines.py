"""The engines of a search: a trained run, or an audio encoder, each with the music that was searched in memory.

    retriever = Retriever(lake, run_id, machine)
    query = retriever.embed(FilmQuery(plot=("A detective hunts a killer through the rain.",)))
    found = retriever.search([open_library(lake, "licensed")], query, 10)

An engine is what embeds both the music and the query. Loading it and a library takes seconds, answering does not:
whoever asks more than once keeps the engine.

`ZeroShotRetriever` is a pretrained audio encoder that reads and hears into one space, such as CLAP. It has seen no
film: it knows how captions of recordings are worded, and reads a plot or tags as such. It has no training films, so a
score has no percentile, and it looks at no picture.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from storage.errors import InputError
from storage.lake.lake import Lake
from storage.libraries.library import Library
from storage.libraries.library_embeddings import (
    LibraryEmbeddings,
    command_to_index,
    embedding_encoders,
    encoder_engine,
    indexed_encoder,
    load_library_embeddings,
)
from storage.mels.reader import TrackMels
from storage.mels.settings_and_shard_format import MelSettings
from storage.takedown_list_and_erasure import HiddenTracks
from training.audio_encoders.embed_audio_and_text import Encoder, check_reads_text, open_known_encoder, segment_samples
from training.audio_encoders.model_files import remember_model
from training.evaluation.embeddings import Embeddings
from training.loop.checkpoint import load_model
from training.loop.devices_and_torchrun import Machine
from training.retrieval.choose_run import run_mel_settings
from training.retrieval.dataset_search import (
    NEAREST_FILMS,
    DatasetTracks,
    FilmName,
    NearFilm,
    OnTrack,
    embed_query,
    load_dataset_tracks,
    mean_sounds,
    nearest_films,
    training_film_names,
    training_queries,
)
from training.retrieval.library_track_encoder import TrackEncoder, check_hears_mels
from training.retrieval.query_and_filters import FilmQuery, Query, TrackFilter, TrackRow, Vector, normalised
from training.retrieval.search_results import FoundTrack, LibraryIndex, Ranking, found_track
from training.settings import EvaluationSettings

INDEXES_KEPT = 3
"""Combinations of libraries in memory: a hundred thousand tracks take half a gigabyte."""
DESCRIBED = (
    "track_id", "duration_seconds", "segments", "codec", "sample_rate_hz", "loudness_lufs", "loudness_range_lu",
    "tempo_bpm", "brightness_hz", "silent_share",
)  # fmt: skip
"""What is held in memory of a track's description: its energy and its fingerprint would be most of it."""
Music = Library | DatasetTracks
"""What can be searched: a library, or the tracks of a data-set version."""
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
        return found_track(index, rank, index.hit(track, score, query.vector), query, by, self.film_queries)


class Retriever(SearchEngine):
    """One run's model, its training films, and the libraries that were searched."""

    def __init__(self, lake: Lake, run_id: str, machine: Machine) -> None:
        """Load the model.

        Raises `LakeError` for a run whose model is not in the lake, and `InputError` for one that hears no mels.
        """
        self._machine = machine
        self._job, self._built = load_model(lake, run_id)
        check_hears_mels(self._job)
        super().__init__(lake, run_id, self._job.settings.evaluation.segments)
        self._encoder = TrackEncoder(self._built.model, machine)

    @property
    def run_id(self) -> str:
        """Return the run."""
        return self.engine

    @property
    def version(self) -> str:
        """Return the data-set version on which the model was trained."""
        return self._job.dataset

    @property
    def held_out(self) -> tuple[str, ...]:
        """Return the tracks of the version on which the model was not trained, as users had decided about them."""
        return self._job.held_out

    def sounds_of(self, track_ids: Collection[str]) -> dict[str, Vector]:
        """Return the vectors of tracks of the version, by their id."""
        music = DatasetTracks(self.lake, self.version)
        return mean_sounds(music, self._encoder, self.mel_settings, self._segments, track_ids)

    @cached_property
    def mel_settings(self) -> MelSettings:
        """Return the parameters of the mels that the model hears."""
        return run_mel_settings(self.lake, self._job.dataset)

    def embed_sound(self, mels: TrackMels) -> Vector:
        """Return the vector of a recording that is in no library: the mean over its segments, of length 1."""
        heard = self._encoder.embed_mels(mels)
        return normalised((heard.vectors * heard.weights[:, None]).sum(axis=0))

    def embed(self, query: FilmQuery) -> Query:
        """Embed a film's query, and what is left of it without each part where the model can do without."""
        without = {}
        if self._job.settings.data.modality_dropout and len(query.parts) > 1:
            without = {part: self._vector(query.without(part)) for part in sorted(query.parts)}
        return Query(self._vector(query), without)

    def _vector(self, query: FilmQuery) -> Vector:
        return normalised(embed_query(self.lake, self._job, self._built, query, self._machine).vectors[0])

    def _load(self, music: Music, on_progress: OnTrack | None) -> Loaded:
        if isinstance(music, DatasetTracks):
            heard = self.mel_settings
            return load_dataset_tracks(music, self.run_id, self._encoder, heard, self._segments, on_progress)
        return load_library(music, self.run_id)

    @property
    def film_queries(self) -> Vector | None:
        """Return the queries of the training films."""
        return None if self.training_films is None else self.training_films.vectors

    @cached_property
    def training_films(self) -> Embeddings | None:
        """Return the queries of the training films, of length 1; None where their version was deleted."""
        return training_queries(self.lake, self._job, self._built, self._machine)

    def nearest_films(self, query: Query, count: int = NEAREST_FILMS) -> list[NearFilm]:
        """Return the training films nearest to a query: what the model takes it for."""
        films = self.training_films
        return [] if films is None else nearest_films(films, self._film_names, query, count)

    @cached_property
    def _film_names(self) -> dict[str, FilmName]:
        return training_film_names(self.lake, self._job.dataset)


class ZeroShotRetriever(SearchEngine):
    """An audio encoder in memory, and the libraries that were searched with it."""

    def __init__(self, lake: Lake, encoder: Encoder) -> None:
        """Raise `InputError` for an encoder without a text side."""
        check_reads_text(encoder.card)
        super().__init__(lake, encoder_engine(encoder.card.name), EvaluationSettings().segments)
        self.card, self._encoder = encoder.card, encoder

    def embed(self, query: FilmQuery) -> Query:
        """Embed the plot and the tags of a film, each as a text, whose mean is the query; a picture is not looked at.

        Raises `InputError` for a query of a picture alone.
        """
        texts = {"plot": " ".join(query.plot), "tags": ", ".join(query.tags)}
        given = {part: text for part, text in texts.items() if text}
        if not given:
            raise InputError(f"The encoder {self.card.name} looks at no picture; give a plot or tags")
        vectors = dict(zip(given, self._encoder.embed_texts(list(given.values())), strict=True))
        whole = normalised(np.sum(list(vectors.values()), axis=0))
        if len(vectors) == 1:
            return Query(whole)
        return Query(whole, {"plot": vectors["tags"], "tags": vectors["plot"]})

    def embed_sound(self, samples: NDArray[np.int16]) -> Vector:
        """Return the vector of a recording that is in no library: mono samples at the rate of `card`.

        It is the mean over its segments, of length 1; an incomplete last one counts where it is the only one.
        """
        segments = max(1, len(samples) // segment_samples(self.card.sample_rate_hz))
        heard = self._encoder.embed_samples(samples, segments).astype(np.float32)
        return normalised(normalised(heard).sum(axis=0))

    def _load(self, music: Music, _on_progress: OnTrack | None) -> Loaded:
        if isinstance(music, DatasetTracks):
            raise InputError("The tracks of a data set are searched with a trained run alone; choose one, or a library")
        self._check(music)
        return load_library(music, self.engine)

    def _check(self, library: Library) -> None:
        card = embedding_encoders(library).get(self.engine)
        command = command_to_index(library.name, self.engine, self.card.name)
        if card is None:
            raise InputError(f"The library {library.name} is not indexed by {self.card.name}; run `{command}`")
        if card.weights_sha256 != self.card.weights_sha256:
            raise InputError(
                f"The library {library.name} was indexed with other weights of {self.card.name}; give those weights"
            )


def open_zero_shot(lake: Lake, libraries: Sequence[Library], name: str, machine: Machine) -> ZeroShotRetriever:
    """Load the encoder of a hub name, or of a folder, that has indexed these libraries.

    Raises `InputError` when it has not, when its model is not on this machine, or has other weights.
    """
    card, folder = indexed_encoder(libraries, name), Path(name).expanduser()
    given = str(folder) if folder.is_dir() else None
    encoder = open_known_encoder(lake, card, machine.device, given)
    if given is not None:
        remember_model(lake, card, given)
    return ZeroShotRetriever(lake, encoder)


def load_library(library: Library, engine: str) -> Loaded:
    """Read a library's embeddings and what is known of its tracks, one row per track that has a file."""
    embeddings, known = load_library_embeddings(library, engine), _track_rows(library)
    kept = [number for number, track_id in enumerate(embeddings.track_ids) if track_id in known]
    return _subset(embeddings, kept), [known[embeddings.track_ids[number]] for number in kept]


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
