"""The retrieval models: a film's query and a track's audio in one shared space; how they are built, and their loss.

`Retriever` is the paper's model. `AVCA` is the baseline of Table 1 (Mercea et al. 2022) as the release adapted it to
retrieval: text and image attend to each other (`training.model.film_encoder`) but keep one embedding each.

Training and evaluation call the same `encode_query` and `encode_audio`; in the release they differed, and
single-modality systems were evaluated without a layer that they were trained with.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn

from storage.errors import InputError
from training.data.batches import Batch, Tracks
from training.data.film_inputs import Films, film_texts
from training.data.image_crops import ImageFormat
from training.data.negatives import Gather, false_negatives
from training.data.splits import Split
from training.data.tokenizer import build_tokenizer, highest_id
from training.model.attention_and_pooling import Scores, pool
from training.model.audio_tower import audio_tower
from training.model.film_encoder import FilmEncoder
from training.model.image_tower import image_format_of, image_tower
from training.model.losses import INITIAL_LOG_SCALE, avca_triplets, info_nce
from training.model.pretrained_weights import tower_from
from training.model.text_tower import pretrained_tokenizer, text_tower
from training.settings import HeadSettings, Settings
from training.systems import System

EMBEDDING_NET_WIDTH = 512


class Encoded(NamedTuple):
    """A batch in the shared space: `query` [B, n, d] (n = 1, or 2 for AVCA's text and image), `audio` [B, d]."""

    query: Tensor
    audio: Tensor


class Retriever(nn.Module):
    """The paper's model, for every choice of modalities."""

    def __init__(self, films: FilmEncoder, settings: Settings, dimensions: int | None = None) -> None:
        super().__init__()
        head, modalities = settings.head, len(films.project)
        self.films = films
        self.audio = audio_tower(settings.audio, dimensions)
        self.query_head = embedding_net(modalities * head.width, head)
        self.audio_head = embedding_net(settings.audio.width, head)
        self.segment_scores = segment_scores(settings)
        self.log_scale = nn.Parameter(torch.tensor(INITIAL_LOG_SCALE))

    def encode_query(self, films: Films) -> Tensor:
        """Return query embeddings [F, d], not normalised: compare them by cosine."""
        return self._query(self.films(films))

    def encode_audio(self, tracks: Tracks) -> Tensor:
        """Return audio embeddings [B, d], not normalised: compare them by cosine."""
        return in_float32(self.audio_head, self.audio(tracks.mels, tracks.ref_db))

    def forward(self, batch: Batch) -> Encoded:
        """Apply the towers, then the heads."""
        return self.heads(self.films(batch.films), self.audio(batch.tracks.mels, batch.tracks.ref_db), batch.owner)

    def heads(self, films: Tensor, audio: Tensor, owner: Tensor) -> Encoded:
        """Embed the towers' outputs [F, modalities, width] and [B * K, width]; a film is repeated for each track."""
        return Encoded(self._query(films)[owner][:, None], embed_segments(self, audio, len(owner)))

    def _query(self, films: Tensor) -> Tensor:
        return in_float32(self.query_head, films.flatten(1))


def in_float32(head: nn.Module, features: Tensor) -> Tensor:
    """Apply a head outside autocast: it costs nothing, and bfloat16 would move one in a hundred of the first ten."""
    if features.is_meta:  # which has no autocast
        return cast("Tensor", head(features.float()))
    with torch.autocast(features.device.type, enabled=False):
        return cast("Tensor", head(features.float()))


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
    return [nn.Linear(width_in, width), RowNorm(width), activation(), nn.Dropout(dropout)]


class RowNorm(nn.BatchNorm1d):
    """Batch norm over rows; a single row, which has no deviation, is normalised by the running statistics.

    The query head has a row per film of a batch, and a small batch can be of one film.
    """

    def forward(self, rows: Tensor) -> Tensor:
        """Normalise [n, width]."""
        if self.training and len(rows) == 1:
            return F.batch_norm(rows, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        return super().forward(rows)


AVCA_DROPOUT = 0.2


class AVCA(nn.Module):
    """Embedding nets over the film encoder and the audio tower.

    They have the released two layers with ReLU, or are linear maps where the settings select these for all systems.
    """

    def __init__(self, films: FilmEncoder, settings: Settings, dimensions: int | None = None) -> None:
        super().__init__()
        form: Literal["code", "linear"] = "linear" if settings.head.form == "linear" else "code"
        head = replace(settings.head, form=form, dropout=AVCA_DROPOUT)
        self.films = films
        self.audio = audio_tower(settings.audio, dimensions)
        self.text_head = embedding_net(head.width, head, nn.ReLU)
        self.image_head = embedding_net(head.width, head, nn.ReLU)
        self.audio_head = embedding_net(settings.audio.width, head, nn.ReLU)
        self.segment_scores = segment_scores(settings)

    def encode_query(self, films: Films) -> Tensor:
        """Return query embeddings [F, d]: the normalised mean of both normalised embeddings."""
        embeddings = F.normalize(self._text_and_image(self.films(films)).float(), dim=-1)
        return F.normalize(embeddings.mean(1), dim=-1)

    def encode_audio(self, tracks: Tracks) -> Tensor:
        """Return audio embeddings [B, d], not normalised."""
        return in_float32(self.audio_head, self.audio(tracks.mels, tracks.ref_db))

    def forward(self, batch: Batch) -> Encoded:
        """Apply the towers, then the heads."""
        return self.heads(self.films(batch.films), self.audio(batch.tracks.mels, batch.tracks.ref_db), batch.owner)

    def heads(self, films: Tensor, audio: Tensor, owner: Tensor) -> Encoded:
        """Embed the towers' outputs; the query [B, 2, d] has text and image separately, for the triplet loss."""
        return Encoded(self._text_and_image(films)[owner], embed_segments(self, audio, len(owner)))

    def _text_and_image(self, films: Tensor) -> Tensor:
        heads = (self.text_head, self.image_head)
        return torch.stack([in_float32(head, films[:, part]) for part, head in enumerate(heads)], 1)


Model = Retriever | AVCA


def segment_scores(settings: Settings) -> Scores | None:
    """Return the network that weighs a track's segments; None where all count equally."""
    return Scores(settings.audio.width) if settings.audio.segment_pooling == "attention" else None


def embed_segments(model: Model, features: Tensor, tracks: int) -> Tensor:
    """Return the embedding of each track: what the audio tower returned [B * K, width] to [B, d].

    One segment's embedding as it is; of several, the mean of the normalised embeddings, weighted by their scores.
    """
    embeddings = in_float32(model.audio_head, features)
    if len(features) == tracks:
        return embeddings
    owner = torch.arange(tracks, device=features.device).repeat_interleave(len(features) // tracks)
    scores = None if model.segment_scores is None else model.segment_scores(features)
    return pool(F.normalize(embeddings, dim=-1), owner, tracks, scores)


def score_and_embed(model: Model, tracks: Tracks) -> tuple[Tensor, Tensor | None]:
    """Return the normalised embeddings of segments [S, d], and their scores [S] where the model pools by attention."""
    features = model.audio(tracks.mels, tracks.ref_db)
    scores = None if model.segment_scores is None else model.segment_scores(features)
    return F.normalize(in_float32(model.audio_head, features), dim=-1), scores


def batch_loss(model: Model, settings: Settings, encoded: Encoded, batch: Batch, gather: Gather) -> Tensor:
    """Return a system's loss over the batch of all ranks together, in float32.

    Every rank computes the loss of the complete batch, so that the tracks of all ranks are negatives of each other.
    """
    query, audio = gather(encoded.query.float()), gather(encoded.audio.float())
    if not isinstance(model, Retriever):
        return avca_triplets(query[:, 0], query[:, 1], audio, gather(batch.negatives))
    return info_nce(
        query[:, 0], audio, model.log_scale, false_negatives(settings, batch.film_numbers, batch.copies, gather)
    )


@dataclass(frozen=True)
class Built:
    """A model with what its folder stores to rebuild it: its tokenizer, and what its towers are and expect."""

    model: Model
    tokenizer: Tokenizer | None
    towers: dict[str, dict[str, Any]]
    """The configuration of `text` and `image`, `image_format`, and the `dimensions` of `audio` embeddings."""

    @property
    def image_format(self) -> ImageFormat:
        """Return the pictures that the image tower expects."""
        return image_format_of(self.towers)


def build_model(system: System, settings: Settings, train: Split, seed: int) -> Built:
    """Return a new model: pretrained towers where the settings name them, all other weights drawn from the seed.

    Raises `InputError` when pretrained weights cannot be loaded, or the model does not fit in memory.
    """
    try:
        return _built(system, settings, train, seed)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise InputError(
            "The model of these settings does not fit in this machine's memory; give smaller sizes, such as "
            "text.width, image.width or audio.width: needledrop train --show-settings lists them"
        ) from error


def is_out_of_memory(error: RuntimeError) -> bool:
    """Return whether torch says that memory is full: of a GPU by its type, of the CPU by its words alone."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def _built(system: System, settings: Settings, train: Split, seed: int) -> Built:
    tokenizer = text = image = None
    towers: dict[str, dict[str, Any]] = {}
    if system.text:
        tokenizer = tokenizer_for(system, settings, train)
    torch.manual_seed(seed)
    if tokenizer is not None:
        text = text_tower(settings.text, highest_id(tokenizer) + 1)
        towers["text"] = text.config.to_dict()
    if system.image:
        image, image_format = image_tower(settings.image)
        towers |= {"image": image.config.to_dict(), "image_format": asdict(image_format)}
    if settings.audio.encoder:
        towers["audio"] = {"dimensions": train.mels.settings.shape[0]}
    films = FilmEncoder(system, settings, text, image, image_format_of(towers))
    return Built(_assemble(system, settings, films, towers), tokenizer, towers)


def rebuild_model(
    system: System, settings: Settings, towers: dict[str, dict[str, Any]], tokenizer: Tokenizer | None
) -> Built:
    """Return a model of stored tower configurations with random weights, without a request to the hub."""
    text, image = (tower_from(towers[name]) if name in towers else None for name in ("text", "image"))
    films = FilmEncoder(system, settings, text, image, image_format_of(towers))
    return Built(_assemble(system, settings, films, towers), tokenizer, towers)


def tokenizer_for(system: System, settings: Settings, train: Split) -> Tokenizer:
    """Return the pretrained tower's tokenizer, or one built from the texts that the system reads in training."""
    if settings.text.pretrained:
        return pretrained_tokenizer(settings.text.pretrained)
    return build_tokenizer(film_texts(train, system, settings), settings.text.vocabulary)


def _assemble(system: System, settings: Settings, films: FilmEncoder, towers: dict[str, dict[str, Any]]) -> Model:
    model = AVCA if system.loss == "triplet" else Retriever
    return model(films, settings, towers.get("audio", {}).get("dimensions"))
