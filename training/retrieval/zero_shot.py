"""Search libraries with a pretrained audio encoder that reads and hears into one space, such as CLAP.

It is a second engine next to trained runs. It has seen no film: it knows how captions of recordings are worded, and
reads a plot or tags as such. It has no training films, so a score has no percentile, and it looks at no picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from storage.audio_embeddings.cards import EncoderCard
from storage.errors import InputError
from storage.lake.lake import Lake
from storage.libraries.embeddings import (
    TrackEmbedding,
    command_to_index,
    embedding_encoders,
    encoder_engine,
    indexed_encoder,
)
from storage.libraries.library import Library
from training.encoders.models import NO_TEXT, Encoder, open_known_encoder, segment_samples
from training.encoders.weights import remember_model
from training.loop.devices import Machine
from training.retrieval.blended_query import Query, Vector, normalised
from training.retrieval.dataset_tracks import DatasetTracks, OnTrack
from training.retrieval.film_query import FilmQuery
from training.retrieval.search_engine import Loaded, Music, SearchEngine, load_library
from training.setting_groups import EvaluationSettings


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
        return normalised(_unit(self._encoder.embed_samples(samples, segments)).sum(axis=0))

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


def check_reads_text(card: EncoderCard) -> None:
    """Raise `InputError` for an encoder without a text side."""
    if not card.has_text:
        raise InputError(NO_TEXT.format(name=card.name))


def load_library_encoder(name: str, machine: Machine) -> Encoder:
    """Return the encoder of a hub name or folder, to index a library with.

    Raises `InputError` when it cannot be an encoder, or reads no text.
    """
    encoder = Encoder(name, machine.device)
    check_reads_text(encoder.card)
    return encoder


def embed_recording(encoder: Encoder, path: str, segments: int) -> TrackEmbedding:
    """Return the embedding of a recording whose decoded audio is in a file; all segments count alike.

    Raises as `Encoder.embed_file` does, and `InputError` for weights that make numbers that are not finite.
    """
    vectors = encoder.embed_file(path, segments)
    if not np.isfinite(vectors).all():
        raise InputError(f"The encoder {encoder.card.name} gave numbers that are not finite; use other weights")
    return TrackEmbedding(_unit(vectors), np.full(segments, 1 / segments, np.float32))


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


def _unit(vectors: NDArray[np.float16]) -> Vector:
    return normalised(vectors.astype(np.float32))
