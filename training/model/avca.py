"""The baseline model of Table 1: AVCA (Mercea et al. 2022) as the release adapted it to retrieval.

Text and image attend to each other (`training.model.cross_attention`) but keep one embedding each; the audio embedding
depends on the audio alone, so that tracks can be indexed. There are no reconstruction losses. A query is the
normalised mean of its two normalised embeddings.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.config import Settings
from training.data.batches import Batch, Films, Tracks
from training.model.audio_tower import AudioTower
from training.model.cross_attention import FilmEncoder
from training.model.retriever import Encoded, embedding_net

AVCA_DROPOUT = 0.2


class AVCA(nn.Module):
    """Embedding nets over the film encoder and the audio tower.

    They have the released two layers with ReLU, or are linear maps where the settings select these for all systems.
    """

    def __init__(self, films: FilmEncoder, settings: Settings) -> None:
        super().__init__()
        form: Literal["code", "linear"] = "linear" if settings.head.form == "linear" else "code"
        head = replace(settings.head, form=form, dropout=AVCA_DROPOUT)
        self.films = films
        self.audio = AudioTower(settings.audio)
        self.text_head = embedding_net(head.width, head, nn.ReLU)
        self.image_head = embedding_net(head.width, head, nn.ReLU)
        self.audio_head = embedding_net(settings.audio.width, head, nn.ReLU)

    def encode_query(self, films: Films) -> Tensor:
        """Return query embeddings [F, d]: the normalised mean of both normalised embeddings."""
        embeddings = F.normalize(self._text_and_image(self.films(films)).float(), dim=-1)
        return F.normalize(embeddings.mean(1), dim=-1)

    def encode_audio(self, tracks: Tracks) -> Tensor:
        """Return audio embeddings [B, d], not normalised."""
        result: Tensor = self.audio_head(self.audio(tracks.mels, tracks.ref_db))
        return result

    def forward(self, batch: Batch) -> Encoded:
        """Apply the towers, then the heads."""
        return self.heads(self.films(batch.films), self.audio(batch.tracks.mels, batch.tracks.ref_db), batch.owner)

    def heads(self, films: Tensor, audio: Tensor, owner: Tensor) -> Encoded:
        """Embed the towers' outputs; the query [B, 2, d] has text and image separately, for the triplet loss."""
        return Encoded(self._text_and_image(films)[owner], self.audio_head(audio))

    def compile(self, **options: Any) -> None:
        """Compile each tower separately, as `Retriever.compile` does."""
        self.films.compile(**options)
        self.audio.compile(**options)

    def _text_and_image(self, films: Tensor) -> Tensor:
        return torch.stack([self.text_head(films[:, 0]), self.image_head(films[:, 1])], 1)
