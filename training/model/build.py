"""Build a retrieval model from settings and towers, and rebuild it from what its folder stores."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from tokenizers import Tokenizer

from training.config import Settings
from training.data.films import film_texts
from training.data.images import ImageFormat
from training.data.splits import Split
from training.data.text import build_tokenizer, highest_id
from training.model.film_encoder import FilmEncoder
from training.model.pretrained import pretrained_tokenizer, tower_from
from training.model.retrievers import AVCA, Model, Retriever
from training.model.towers import image_tower, text_tower
from training.systems import System


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

    Raises `InputError` when pretrained weights cannot be loaded.
    """
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


def image_format_of(towers: dict[str, dict[str, Any]]) -> ImageFormat:
    """Return the pictures that stored towers expect; runs of earlier versions, which name none, have the default."""
    stored = towers.get("image_format")
    if stored is None:
        return ImageFormat()
    return ImageFormat(stored["pixels"], tuple(stored["mean"]), tuple(stored["deviation"]))


def tokenizer_for(system: System, settings: Settings, train: Split) -> Tokenizer:
    """Return the pretrained tower's tokenizer, or one built from the texts that the system reads in training."""
    if settings.text.pretrained:
        return pretrained_tokenizer(settings.text.pretrained)
    return build_tokenizer(film_texts(train, system, settings), settings.text.vocabulary)


def _assemble(system: System, settings: Settings, films: FilmEncoder, towers: dict[str, dict[str, Any]]) -> Model:
    model = AVCA if system.loss == "triplet" else Retriever
    return model(films, settings, towers.get("audio", {}).get("dimensions"))
