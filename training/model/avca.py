"""The baseline of Table 1: AVCA (Mercea et al. 2022) as the release adapted it to retrieval.

Text and image attend to each other as in the paper's model but keep an embedding each; the audio
embedding depends on the audio alone, so that tracks can be indexed. Nothing reconstructs. A query is
the normalised mean of its two normalised embeddings.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.config import Settings
from training.data.batches import Batch, Films, Tracks
from training.model.retriever import Encoded, FilmEncoder, embedding_net
from training.model.towers import AudioTower

AVCA_DROPOUT = 0.2


class AVCA(nn.Module):
    """Embedding nets over the shared film encoder and the audio tower.

    They have the released two layers with ReLU, or are plain linear maps where the settings say so for all systems.
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
        """[F, d]: the mean of both normalised embeddings, normalised."""
        parts = F.normalize(self._parts(self.films(films)).float(), dim=-1)
        return F.normalize(parts.mean(1), dim=-1)

    def encode_audio(self, tracks: Tracks) -> Tensor:
        """[B, d]."""
        result: Tensor = self.audio_head(self.audio(tracks.codes, tracks.ref_db))
        return result

    def forward(self, batch: Batch) -> Encoded:
        """Towers, then heads."""
        return self.heads(self.films(batch.films), self.audio(batch.tracks.codes, batch.tracks.ref_db), batch.owner)

    def heads(self, films: Tensor, sounds: Tensor, owner: Tensor) -> Encoded:
        """The query keeps its two parts, which the triplets need apart: [B, 2, d], text first."""
        return Encoded(self._parts(films)[owner], self.audio_head(sounds))

    def compile(self, **how: Any) -> None:
        """Compile the towers, as the paper's model does."""
        self.films.compile(**how)
        self.audio.compile(**how)

    def _parts(self, films: Tensor) -> Tensor:
        return torch.stack([self.text_head(films[:, 0]), self.image_head(films[:, 1])], 1)
