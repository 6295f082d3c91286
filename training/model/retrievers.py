"""The retrieval models: a film's query and a track's audio as vectors of one shared space; how a model is built.

`Retriever` is the paper's model. `AVCA` is the baseline of Table 1 (Mercea et al. 2022) as the release adapted it to
retrieval: text and image attend to each other (`training.model.cross_attention`) but keep one embedding each.

Training and evaluation call the same `encode_query` and `encode_audio`; in the release they differed, and
single-modality systems were evaluated without a layer that they were trained with.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import BertConfig, ViTConfig

from training.config import HeadSettings, Settings, System
from training.data.batches import Batch, Films, Tracks, film_texts
from training.data.splits import Split
from training.data.text import build_tokenizer
from training.model.cross_attention import FilmEncoder
from training.model.towers import (
    AudioTower,
    image_tower,
    image_tower_from,
    pretrained_tokenizer,
    text_tower,
    text_tower_from,
)

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


Model = Retriever | AVCA


@dataclass(frozen=True)
class Built:
    """A model with what its folder stores to rebuild it: its tokenizer and the configurations of its towers."""

    model: Model
    tokenizer: Tokenizer | None
    towers: dict[str, dict[str, Any]]


def build_model(system: System, settings: Settings, train: Split, seed: int) -> Built:
    """Return a new model: pretrained towers where the settings name them, all other weights drawn from the seed.

    Raises `InputError` when pretrained weights cannot be loaded.
    """
    tokenizer = text = image = None
    configurations: dict[str, dict[str, Any]] = {}
    if system.text:
        tokenizer = tokenizer_for(system, settings, train)
    torch.manual_seed(seed)
    if tokenizer is not None:
        text, text_config = text_tower(settings.text, tokenizer.get_vocab_size())
        configurations["text"] = text_config.to_dict()
    if system.image:
        image, image_config = image_tower(settings.image)
        configurations["image"] = image_config.to_dict()
    return Built(_assemble(system, settings, FilmEncoder(system, settings, text, image)), tokenizer, configurations)


def rebuild_model(
    system: System, settings: Settings, towers: dict[str, dict[str, Any]], tokenizer: Tokenizer | None
) -> Built:
    """Return a model of stored tower configurations with random weights, without a request to the hub."""
    text = text_tower_from(BertConfig(**towers["text"])) if "text" in towers else None
    image = image_tower_from(ViTConfig(**towers["image"])) if "image" in towers else None
    return Built(_assemble(system, settings, FilmEncoder(system, settings, text, image)), tokenizer, towers)


def tokenizer_for(system: System, settings: Settings, train: Split) -> Tokenizer:
    """Return the pretrained tower's tokenizer, or one built from the texts that the system reads in training."""
    if settings.text.pretrained:
        return pretrained_tokenizer(settings.text.pretrained)
    return build_tokenizer(film_texts(train, system, settings), settings.text.vocabulary)


def _assemble(system: System, settings: Settings, films: FilmEncoder) -> Model:
    return AVCA(films, settings) if system.loss == "triplet" else Retriever(films, settings)
