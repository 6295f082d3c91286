"""Text and image towers that read the drawn films, as pretrained ones read real ones; built, not trained.

The recipes of the paper start from pretrained towers, and a comparison on towers with random weights would measure
little else than how fast they learn to read. So the words that `benchmarks.latent_films` invents have vectors that
say what they stand for, and the patches of an image are compared with its patterns. What remains to be learned is
what the recipes differ in: which of it has to do with music, and how.

text   a BERT of one layer that passes through the vectors of the words: a level v of a coordinate is an angle (cos v,
       sin v) in a plane of the coordinate's own; a genre's and a language's word is its point, at unit length
image  a ViT of one layer whose patches are the tiles and whose kernels are the patterns; its summary is their mean
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import BertConfig, BertModel, BertTokenizer, ViTConfig, ViTModel
from transformers.utils.logging import disable_progress_bar

from benchmarks.latent_films import (
    FILLERS,
    GENRE_WIDTH,
    GENRE_WORDS,
    IMAGE_WIDTH,
    LANGUAGE_NAMES,
    LANGUAGE_WIDTH,
    LEVEL_STEP,
    MOOD,
    MOOD_WORDS,
    PLACES,
    TEXT_WIDTH,
    TEXT_WORDS,
    TILE_PIXELS,
    Floats,
    World,
    image_patterns,
)
from training.settings import IMAGE_PIXELS

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
OTHER_TOKENS = ("-", ".", "language", "films")
TEXT_TOWER_WIDTH, IMAGE_TOWER_WIDTH = 64, 24
MAX_TOKENS = 64
_ANGLE = 0.35
"""Radians per unit of a coordinate: four levels, the outermost, are about 1.1."""
_CONSTANT = 3.0
"""Against this the patterns change a patch's length little, so that layer norm keeps their strengths."""


def save_towers(folder: Path, world: World) -> dict[str, str]:
    """Write both towers below a folder if they are not there; returns their folders by the name of the setting."""
    text, image = folder / "text", folder / "image"
    found = {"text.pretrained": str(text), "image.pretrained": str(image)}
    if (image / "config.json").exists():
        return found
    disable_progress_bar()
    vectors = word_vectors(world)
    vocabulary = {token: number for number, token in enumerate(vectors)}
    BertTokenizer(vocab=vocabulary).save_pretrained(text)
    _bert(np.array(list(vectors.values()))).save_pretrained(text)
    _vit().save_pretrained(image)
    return found


def word_vectors(world: World) -> dict[str, Floats]:
    """Return the vector [TEXT_TOWER_WIDTH] of every token; zeros for those without a meaning."""
    tokens = [*SPECIAL, *OTHER_TOKENS, *FILLERS.tolist()]
    vectors = {token: np.zeros(TEXT_TOWER_WIDTH) for token in tokens}
    planes = [*TEXT_WORDS, *MOOD_WORDS]  # one row of levels per coordinate
    for plane, words in enumerate(planes):
        angles = _ANGLE * LEVEL_STEP * (np.arange(len(words)) - len(words) // 2)
        for word, angle in zip(words, angles, strict=True):
            vectors[str(word)] = _at(2 * plane, np.array([np.cos(angle), np.sin(angle)]))
    first = 2 * (TEXT_WIDTH + MOOD)
    for word, point in zip(GENRE_WORDS, world.genre_point, strict=True):
        vectors[str(word)] = _at(first, point)
    for names in (LANGUAGE_NAMES, PLACES):
        for word, point in zip(names, world.language_point, strict=True):
            vectors[str(word)] = _at(first + GENRE_WIDTH, point)
    assert first + GENRE_WIDTH + LANGUAGE_WIDTH <= TEXT_TOWER_WIDTH
    return vectors


def _at(first: int, values: Floats) -> Floats:
    vector = np.zeros(TEXT_TOWER_WIDTH)
    vector[first : first + len(values)] = values / np.linalg.norm(values)
    return vector


def _bert(vectors: Floats) -> BertModel:
    """Return a BERT whose layer adds nothing to the word's vector."""
    tower = BertModel(
        BertConfig(
            vocab_size=len(vectors),
            hidden_size=TEXT_TOWER_WIDTH,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=TEXT_TOWER_WIDTH,
            max_position_embeddings=MAX_TOKENS,
        ),
        add_pooling_layer=False,
    )
    _clear(tower)
    _set(tower, "embeddings.word_embeddings.weight", vectors)
    return tower


def _vit() -> ViTModel:
    """Return a ViT whose first token is the mean of the tiles' strengths of every pattern."""
    tower = ViTModel(
        ViTConfig(
            image_size=IMAGE_PIXELS,
            patch_size=TILE_PIXELS,
            hidden_size=IMAGE_TOWER_WIDTH,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=IMAGE_TOWER_WIDTH,
        ),
        add_pooling_layer=False,
    )
    _clear(tower)
    kernels = np.zeros((IMAGE_TOWER_WIDTH, 3, TILE_PIXELS, TILE_PIXELS))
    kernels[:IMAGE_WIDTH] = image_patterns().transpose(0, 3, 1, 2) * 16 / kernels[0].size
    signs = np.where(np.arange(IMAGE_TOWER_WIDTH) % 2, -1.0, 1.0)
    _set(tower, "embeddings.patch_embeddings.projection.weight", kernels)
    bias = _CONSTANT * signs * (np.arange(IMAGE_TOWER_WIDTH) >= IMAGE_WIDTH)
    _set(tower, "embeddings.patch_embeddings.projection.bias", bias)
    for name in ("v_proj", "o_proj"):
        _set(tower, f"layers.0.attention.{name}.weight", np.eye(IMAGE_TOWER_WIDTH))
    return tower


def _clear(tower: nn.Module) -> None:
    """Set every weight but those of layer norms to zero: attention is uniform, and layers add nothing."""
    for name, weight in tower.named_parameters():
        if "norm" not in name.lower():
            nn.init.zeros_(weight)


def _set(tower: nn.Module, name: str, values: Floats) -> None:
    with torch.no_grad():
        tower.get_parameter(name).copy_(torch.from_numpy(values))
