"""The three towers: BERT for text, a ViT for the image, a CNN with a transformer for the mel-spectrogram.

The audio tower is the one of Won et al. 2021 as adapted by Doh et al. 2022: residual convolutions
that halve bands and frames, then a small transformer over the frames. It dequantises the uint8 mels
itself, so what travels to the device is a quarter of what the convolutions read.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from huggingface_hub import get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError, HTTPError
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoTokenizer, BertConfig, BertModel, ViTConfig, ViTModel
from transformers.utils.logging import disable_progress_bar

from storage.errors import InputError
from training.config import AudioSettings, ImageSettings, TextSettings
from training.data.text import with_markers

MEL_BANDS, MEL_FRAMES = 128, 995
MEL_SPAN_DB = 80.0
"""The 255 steps of a code span this many dB below the segment's maximum."""
IMAGE_PIXELS = 224
HUB_SECONDS = 5.0
"""How long the hub may take to answer at all; a model that was fetched before is then taken from this machine."""


class AttentionLayer(nn.Module):
    """A pre-norm transformer layer on [B, n, width]; queries, keys and values have no bias."""

    def __init__(self, width: int, heads: int, head_width: int, mlp: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * heads * head_width, bias=False)
        self.out = nn.Linear(heads * head_width, width)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, mlp),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(mlp, width),
            nn.Dropout(dropout),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Attend over the n tokens, then transform each."""
        qkv = self.qkv(self.norm(x)).unflatten(-1, (3, self.heads, -1))  # [B, n, 3, heads, head_width]
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        attended: Tensor = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + self.dropout(self.out(attended))
        result: Tensor = x + self.mlp(x)
        return result


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch norm beside a shortcut; bands and frames are halved by a maximum."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels_in, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
        )
        same = channels_in == channels
        self.shortcut = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(channels_in, channels, 3, padding=1), nn.BatchNorm2d(channels))
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels_in, bands, frames] to [B, channels, bands / 2, frames / 2]."""
        halved: Tensor = F.max_pool2d(F.relu(self.body(x) + self.shortcut(x)), 2)
        return halved


class AudioTower(nn.Module):
    """uint8 mels [B, 128, 995] with their reference level in dB [B] to [B, width]."""

    def __init__(self, settings: AudioSettings) -> None:
        super().__init__()
        self.stem = settings.stem
        shrink = 2**settings.blocks
        bands = MEL_BANDS // settings.stem[0] // shrink
        frames = MEL_FRAMES // settings.stem[1] // shrink
        self.norm = nn.BatchNorm2d(1)
        self.blocks = nn.Sequential(
            *(ResidualBlock(1 if n == 0 else settings.channels, settings.channels) for n in range(settings.blocks))
        )
        self.blocks.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a quarter faster on a CPU
        self.project = nn.Linear(settings.channels * bands, settings.width)
        self.summary = nn.Parameter(torch.randn(1, 1, settings.width) * settings.position_deviation)
        self.positions = nn.Parameter(torch.randn(1, frames + 1, settings.width) * settings.position_deviation)
        self.dropout = nn.Dropout(settings.dropout)
        head_width = settings.width // settings.heads
        self.layers = nn.Sequential(
            *(
                AttentionLayer(settings.width, settings.heads, head_width, settings.mlp, settings.dropout)
                for _ in range(settings.layers)
            )
        )

    def forward(self, codes: Tensor, ref_db: Tensor) -> Tensor:
        """Dequantise, convolve, attend; the summary token is what comes out."""
        x = decibels(codes, ref_db)[:, None]
        if self.stem != (1, 1):
            x = F.avg_pool2d(x, self.stem)
        x = self.blocks(self.norm(x))  # [B, channels, bands, frames]
        x = self.project(x.permute(0, 3, 1, 2).flatten(2))  # [B, frames, width]
        x = torch.cat([self.summary.expand(len(x), -1, -1), x], 1) + self.positions
        result: Tensor = self.layers(self.dropout(x))[:, 0]
        return result


def decibels(codes: Tensor, ref_db: Tensor) -> Tensor:
    """Stored mels [B, 128, 995] as float32 dB: uint8 steps below the reference level [B], or float16 dB themselves."""
    if codes.dtype == torch.float16:
        return codes.float()
    return codes.float() * (MEL_SPAN_DB / 255) + (ref_db - MEL_SPAN_DB)[:, None, None]


def text_tower(settings: TextSettings, tokenizer_size: int) -> tuple[BertModel, BertConfig]:
    """BERT without its pooler, pretrained or of the sizes given, with an embedding for every token."""
    if settings.pretrained:
        tower = _pretrained(BertModel, settings.pretrained)
        tower.resize_token_embeddings(tokenizer_size, mean_resizing=False)
        return tower, tower.config
    config = BertConfig(
        vocab_size=tokenizer_size,
        hidden_size=settings.width,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=settings.mlp,
        max_position_embeddings=settings.max_tokens,
    )
    return text_tower_from(config), config


def image_tower(settings: ImageSettings) -> tuple[ViTModel, ViTConfig]:
    """A ViT without its pooler, pretrained or of the sizes given.

    A pretrained one of another patch size or depth gives its first blocks, and its patch and position
    embeddings resampled.
    """
    config = ViTConfig(
        image_size=IMAGE_PIXELS,
        patch_size=settings.patch_pixels,
        hidden_size=settings.width,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=settings.mlp,
    )
    if not settings.pretrained:
        return image_tower_from(config), config
    source = _pretrained(ViTModel, settings.pretrained)
    if (source.config.patch_size, source.config.num_hidden_layers) == (settings.patch_pixels, settings.layers):
        return source, source.config
    config = ViTConfig(
        **{**source.config.to_dict(), "patch_size": settings.patch_pixels, "num_hidden_layers": settings.layers}
    )
    tower = image_tower_from(config)
    tower.load_state_dict(resampled_vit(source.state_dict(), settings.patch_pixels, settings.layers))
    return tower, config


def text_tower_from(config: BertConfig) -> BertModel:
    """BERT of a stored configuration with random weights, as a checkpoint is loaded into it."""
    config._attn_implementation = "sdpa"
    return BertModel(config, add_pooling_layer=False)


def image_tower_from(config: ViTConfig) -> ViTModel:
    """A ViT of a stored configuration with random weights."""
    config._attn_implementation = "sdpa"
    return ViTModel(config, add_pooling_layer=False)


def resampled_vit(weights: dict[str, Tensor], patch_pixels: int, layers: int) -> dict[str, Tensor]:
    """A ViT's weights for another patch size and fewer blocks.

    The patch embedding is resampled by the pseudo-inverse of bilinear resizing (Beyer et al. 2023, FlexiViT):
    an enlarged patch meets the enlarged kernel with the same product. Positions are resampled bicubically.
    """
    kept = {
        name: value
        for name, value in weights.items()
        if not name.startswith("layers.") or int(name.split(".")[1]) < layers
    }
    kernel = kept["embeddings.patch_embeddings.projection.weight"]
    kept["embeddings.patch_embeddings.projection.weight"] = resampled_kernel(kernel, patch_pixels)
    positions = kept["embeddings.position_embeddings"]  # [1, 1 + side * side, width]
    side, new_side = round((positions.shape[1] - 1) ** 0.5), IMAGE_PIXELS // patch_pixels
    grid = positions[:, 1:].view(1, side, side, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, (new_side, new_side), mode="bicubic", antialias=True)
    kept["embeddings.position_embeddings"] = torch.cat([positions[:, :1], grid.flatten(2).transpose(1, 2)], 1)
    return kept


def resampled_kernel(kernel: Tensor, patch_pixels: int) -> Tensor:
    """A patch kernel [width, 3, p, p] for patches of another size, in float64 inside."""
    old = kernel.shape[-1]
    basis = torch.eye(old * old, dtype=torch.float64).view(-1, 1, old, old)
    resize = F.interpolate(basis, (patch_pixels, patch_pixels), mode="bilinear").flatten(1)  # [old², new²]
    flat = kernel.double().flatten(2) @ torch.linalg.pinv(resize).T
    resampled: Tensor = flat.view(*flat.shape[:2], patch_pixels, patch_pixels).to(kernel.dtype)
    return resampled


def pretrained_tokenizer(name: str) -> Tokenizer:
    """The tokenizer of a pretrained text tower with the two markers added."""
    tokenizer = _reached(name, lambda **where: AutoTokenizer.from_pretrained(name, **where)).backend_tokenizer
    return with_markers(Tokenizer.from_str(tokenizer.to_str()))


def _pretrained(kind: Any, name: str) -> Any:
    how = {"add_pooling_layer": False, "attn_implementation": "sdpa", "dtype": torch.float32}
    return _reached(name, lambda **where: kind.from_pretrained(name, **how, **where))


def _reached(name: str, load: Callable[..., Any]) -> Any:
    """What `load` gives; a hub that cannot be reached and a folder that is no model become one sentence."""
    hub = logging.getLogger("huggingface_hub")
    level = hub.level
    hub.setLevel(logging.ERROR)  # it would announce each of its retries
    if not sys.stderr.isatty():
        disable_progress_bar()
    try:
        return load(local_files_only=not _hub_answers(name))
    except (OSError, ValueError) as error:
        raise InputError(
            f"The pretrained weights {name!r} could not be loaded from the hub or a folder; connect this machine once, "
            "put a folder with config.json and model.safetensors there with --text-model or --image-model, "
            "or use --preset small, which needs none"
        ) from error
    finally:
        hub.setLevel(level)


def _hub_answers(name: str) -> bool:
    """Whether the hub can be asked about a model; about a folder it is not.

    One short question first: without a network the library tries five times for every file, three quarters of a
    minute in all, and longer where packets vanish.
    """
    if Path(name).is_dir():
        return False
    try:
        get_hf_file_metadata(hf_hub_url(name, "config.json"), timeout=HUB_SECONDS)
    except HfHubHTTPError:
        return True  # it answers, and loading will find out what it objects to
    except (HTTPError, OSError, ValueError):  # no network, switched off by HF_HUB_OFFLINE, or a path and not a name
        return False
    return True
