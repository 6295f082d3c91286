"""The retrieval model: a film's query and a track's audio as vectors of one shared space.

Training and evaluation call the same `encode_query` and `encode_audio`; in the release they differed, and
single-modality systems were evaluated without a layer that they were trained with.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from training.config import HeadSettings, Settings
from training.data.batches import Batch, Films, Tracks
from training.model.audio_tower import AudioTower
from training.model.cross_attention import FilmEncoder

EMBEDDING_NET_WIDTH = 512
INITIAL_LOG_SCALE = math.log(1 / 0.2)
"""Logarithm of the inverse temperature of InfoNCE before training."""


class Encoded(NamedTuple):
    """A batch in the shared space: `query` [B, n, d] (n = 1, or 2 for AVCA's text and image), `audio` [B, d]."""

    query: Tensor
    audio: Tensor


class Retriever(nn.Module):
    """The paper's model, for every choice of modalities."""

    def __init__(self, films: FilmEncoder, settings: Settings) -> None:
        super().__init__()
        head, modalities = settings.head, len(films.project)
        self.films = films
        self.audio = AudioTower(settings.audio)
        self.query_head = embedding_net(modalities * head.width, head)
        self.audio_head = embedding_net(settings.audio.width, head)
        self.log_scale = nn.Parameter(torch.tensor(INITIAL_LOG_SCALE))

    def encode_query(self, films: Films) -> Tensor:
        """Return query embeddings [F, d], not normalised: compare them by cosine."""
        return self._query(self.films(films))

    def encode_audio(self, tracks: Tracks) -> Tensor:
        """Return audio embeddings [B, d], not normalised: compare them by cosine."""
        result: Tensor = self.audio_head(self.audio(tracks.mels, tracks.ref_db))
        return result

    def forward(self, batch: Batch) -> Encoded:
        """Apply the towers, then the heads."""
        return self.heads(self.films(batch.films), self.audio(batch.tracks.mels, batch.tracks.ref_db), batch.owner)

    def heads(self, films: Tensor, audio: Tensor, owner: Tensor) -> Encoded:
        """Embed the towers' outputs [F, modalities, width] and [B, width]; a film is repeated for each track."""
        return Encoded(self._query(films)[owner][:, None], self.audio_head(audio))

    def compile(self, **options: Any) -> None:
        """Compile each tower separately: gradient caching and evaluation call them one at a time."""
        self.films.compile(**options)
        self.audio.compile(**options)

    def _query(self, films: Tensor) -> Tensor:
        result: Tensor = self.query_head(films.flatten(1))
        return result


def embedding_net(width_in: int, head: HeadSettings, activation: type[nn.Module] = nn.GELU) -> nn.Sequential:
    """Return the map into the shared space: [n, width_in] to [n, head.embedding].

    `paper` is one layer and `code` two, each with batch norm, activation and dropout on the embedding
    itself; `linear` has none of these, so that embeddings can use the complete sphere.
    """
    if head.form == "linear":
        return nn.Sequential(nn.Linear(width_in, head.embedding))
    if head.form == "paper":
        return nn.Sequential(*_layer(width_in, head.embedding, activation, head.dropout))
    return nn.Sequential(
        *_layer(width_in, EMBEDDING_NET_WIDTH, activation, head.dropout),
        *_layer(EMBEDDING_NET_WIDTH, head.embedding, activation, head.dropout),
    )


def _layer(width_in: int, width: int, activation: type[nn.Module], dropout: float) -> list[nn.Module]:
    return [nn.Linear(width_in, width), nn.BatchNorm1d(width), activation(), nn.Dropout(dropout)]
