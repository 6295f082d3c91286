"""The retrieval model: a film's query and a track's audio as vectors of one space.

One `FilmEncoder` serves all systems: it projects each tower's output to 256 numbers, lets these one
or two tokens attend to each other and adds what they were. Training and evaluation call the same
`encode_query` and `encode_audio`; in the release they differed, and single-modality systems were
measured without a layer that they were trained with.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import BertModel, ViTModel

from training.config import HeadSettings, Settings, System
from training.data.batches import Batch, Films, Tracks
from training.model.losses import INITIAL_LOG_SCALE
from training.model.towers import AttentionLayer, AudioTower

FUSION_HEADS, FUSION_HEAD_WIDTH, FUSION_MLP = 3, 100, 64
"""Of the attention block between modalities (Mercea et al. 2022)."""
FUSION_DROPOUT = 0.2
EMBEDDING_NET_WIDTH = 512


class Encoded(NamedTuple):
    """A batch in the shared space: `query` [B, parts, d] (one part, or AVCA's text and image), `audio` [B, d]."""

    query: Tensor
    audio: Tensor


class FilmEncoder(nn.Module):
    """The towers a system uses, and their outputs fused: [F, modalities, width], text first."""

    def __init__(self, system: System, settings: Settings, text: BertModel | None, image: ViTModel | None) -> None:
        super().__init__()
        self.text, self.image, self.frozen = text, image, system.frozen
        self.pooling = settings.text.pooling
        widths = [tower.config.hidden_size for tower in (text, image) if tower is not None]
        width = settings.head.width
        self.project = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(size), nn.Linear(size, width, bias=False)) for size in widths
        )
        self.positions = nn.Parameter(torch.randn(1, len(widths), width))
        self.attend = AttentionLayer(width, FUSION_HEADS, FUSION_HEAD_WIDTH, FUSION_MLP, FUSION_DROPOUT)
        if system.frozen:
            for tower in (text, image):
                if tower is not None:
                    tower.requires_grad_(False)

    def forward(self, films: Films) -> Tensor:
        """[F, modalities, width]: each projection plus what it took from the others."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            outputs = self._towers(films)
        z = torch.stack([project(output) for project, output in zip(self.project, outputs, strict=True)], 1)
        result: Tensor = z + self.attend(z + self.positions)
        return result

    def train(self, mode: bool = True) -> FilmEncoder:
        """Frozen towers stay in evaluation mode: dropout in them would only be noise on fixed features."""
        super().train(mode)
        if self.frozen:
            for tower in (self.text, self.image):
                if tower is not None:
                    tower.eval()
        return self

    def _towers(self, films: Films) -> list[Tensor]:
        outputs = []
        if self.text is not None and films.token_mask is not None:
            states = self.text(input_ids=films.tokens, attention_mask=films.token_mask).last_hidden_state
            outputs.append(states[:, 0] if self.pooling == "summary" else _masked_mean(states, films.token_mask))
        if self.image is not None and films.pixels is not None:
            pixels = films.pixels.float() / 127.5 - 1  # mean 0.5, deviation 0.5 of the 0 to 1 range
            outputs.append(self.image(pixel_values=pixels).last_hidden_state[:, 0])
        return outputs


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
        """[F, d], of any length: compare by cosine."""
        return self._query(self.films(films))

    def encode_audio(self, tracks: Tracks) -> Tensor:
        """[B, d], of any length: compare by cosine."""
        result: Tensor = self.audio_head(self.audio(tracks.codes, tracks.ref_db))
        return result

    def forward(self, batch: Batch) -> Encoded:
        """Towers, then heads."""
        return self.heads(self.films(batch.films), self.audio(batch.tracks.codes, batch.tracks.ref_db), batch.owner)

    def heads(self, films: Tensor, sounds: Tensor, owner: Tensor) -> Encoded:
        """The towers' outputs [F, modalities, width] and [B, width] embedded; a film is repeated for its tracks."""
        return Encoded(self._query(films)[owner][:, None], self.audio_head(sounds))

    def compile(self, **how: Any) -> None:
        """Compile the towers, each for itself: training in pieces and evaluation call them one at a time."""
        self.films.compile(**how)
        self.audio.compile(**how)

    def _query(self, films: Tensor) -> Tensor:
        result: Tensor = self.query_head(films.flatten(1))
        return result


def embedding_net(width_in: int, head: HeadSettings, activation: type[nn.Module] = nn.GELU) -> nn.Sequential:
    """The map into the shared space: [n, width_in] to [n, head.embedding].

    `paper` is one layer and `code` two, each with batch norm, activation and dropout on the embedding
    itself; `linear` leaves these out, so that cosines may fill the whole sphere.
    """
    if head.form == "linear":
        return nn.Sequential(nn.Linear(width_in, head.embedding))
    if head.form == "paper":
        return nn.Sequential(*_layer(width_in, head.embedding, activation, head.dropout))
    return nn.Sequential(
        *_layer(width_in, EMBEDDING_NET_WIDTH, activation, head.dropout),
        *_layer(EMBEDDING_NET_WIDTH, head.embedding, activation, head.dropout),
    )


def _masked_mean(states: Tensor, mask: Tensor) -> Tensor:
    """[F, length, width] to [F, width] over the tokens that are text."""
    weights = mask[:, :, None].to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1)


def _layer(width_in: int, width: int, activation: type[nn.Module], dropout: float) -> list[nn.Module]:
    return [nn.Linear(width_in, width), nn.BatchNorm1d(width), activation(), nn.Dropout(dropout)]
