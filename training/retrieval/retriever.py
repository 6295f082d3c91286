"""A resident retriever: one run's model and the libraries it has indexed, answering film queries one after another.

    retriever = Retriever(lake, run_id, machine)
    query = retriever.embed(FilmQuery(plot=("A detective hunts a killer through the rain.",)))
    found = retriever.search([open_library(lake, "licensed")], query, 10)

Loading the model and a library takes seconds, answering does not: whoever asks more than once keeps the retriever.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from storage.errors import NeedledropError
from storage.lake.lake import Lake
from storage.mels.settings import MelSettings
from storage.mels.writer import TrackMels
from storage.metrics.database import connect_metrics
from storage.tables.duckdb_connection import fetch_rows
from storage.views.lake_views import define_lake_views
from training.data.films import FilmInputs
from training.data.splits import load_split
from training.evaluation.embedding_files import Embeddings, load_embeddings, save_embeddings
from training.evaluation.embeddings import embed_films
from training.loop.checkpoint import FOLDER, load_model
from training.loop.devices import Machine
from training.retrieval.blended_query import Query, Vector, normalised
from training.retrieval.dataset_tracks import DatasetTracks, OnTrack, load_dataset_tracks, mean_sounds
from training.retrieval.film_query import FilmQuery
from training.retrieval.library_index import TrackEncoder, check_hears_mels, run_mel_settings
from training.retrieval.search import embed_query
from training.retrieval.search_engine import Loaded, Music, SearchEngine, load_library

TRAIN_FILMS_FILE = "train-films.parquet"
"""In the model folder: the queries of the training films, embedded by the first search in a library."""
NEAREST_FILMS = 3


@dataclass(frozen=True)
class NearFilm:
    """A training film that is near to a query."""

    title: str
    year: int
    cosine: float


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
        if self.lake.exists(FOLDER, self.run_id, TRAIN_FILMS_FILE):
            return load_embeddings(self.lake, FOLDER, self.run_id, TRAIN_FILMS_FILE)
        try:
            split = load_split(self.lake, self._job.dataset, "train")
        except NeedledropError:
            return None
        pixels = self._built.image_format.pixels
        inputs = FilmInputs(split, self._job.system, self._job.settings, self._built.tokenizer, pixels)
        found = embed_films(self._built.model, split, inputs, self._machine, paragraphs="all")
        embedded = Embeddings(found.ids, normalised(found.vectors))
        save_embeddings(self.lake, embedded, FOLDER, self.run_id, TRAIN_FILMS_FILE)
        return embedded

    def nearest_films(self, query: Query, count: int = NEAREST_FILMS) -> list[NearFilm]:
        """Return the training films nearest to a query: what the model takes it for."""
        films = self.training_films
        if films is None:
            return []
        cosines = films.vectors @ query.vector
        near = [(films.ids[number], float(cosines[number])) for number in np.argsort(-cosines, kind="stable")[:count]]
        return [NearFilm(*self._film_names[name], cosine) for name, cosine in near if name in self._film_names]

    @cached_property
    def _film_names(self) -> dict[str, tuple[str, int]]:
        """Title and year of each training film, by its id."""
        with connect_metrics(self.lake) as connection:
            define_lake_views(connection, self.lake, temporary=True)
            named = "SELECT film_id, title, year FROM dataset_films WHERE dataset_version = ? AND split = 'train'"
            rows = fetch_rows(connection, named, self._job.dataset)
        return {row["film_id"]: (row["title"], row["year"]) for row in rows}
