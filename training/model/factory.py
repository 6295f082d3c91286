"""Build a model from a system and settings, or rebuild one from the configuration in a model folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import BertConfig, ViTConfig

from training.config import Settings, System
from training.data.batches import film_texts
from training.data.splits import Split
from training.data.text import build_tokenizer
from training.model.avca import AVCA
from training.model.cross_attention import FilmEncoder
from training.model.retriever import Retriever
from training.model.text_image_towers import (
    image_tower,
    image_tower_from,
    pretrained_tokenizer,
    text_tower,
    text_tower_from,
)

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
