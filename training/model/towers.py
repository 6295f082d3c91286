"""The towers: text (BERT) and image (ViT), pretrained or from configuration, and audio (a CNN with a transformer).

Pretrained weights come from a folder or from the Hugging Face hub. A ViT of another patch size or depth is adapted by
resampling its weights. The audio tower (Won et al. 2021 as adapted by Doh et al. 2022) has residual convolutions that
halve mel bands and frames, then a transformer over the remaining frames; it dequantises stored mels on its device.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError, HTTPError
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoTokenizer, BertConfig, BertModel, PreTrainedConfig, ViTConfig, ViTModel
from transformers.utils.logging import disable_progress_bar

from storage.errors import InputError
from storage.mels.settings import MelSettings
from training.config import IMAGE_PIXELS, AudioSettings, ImageSettings, TextSettings
from training.data.text import with_markers
from training.model.cross_attention import AttentionLayer

_EXPECTED_MODELS = {"bert": "a BERT with --text-model", "vit": "a ViT with --image-model"}
_OPTIONAL_WEIGHTS = ("pooler.", "embeddings.position_ids")
"""Weights that a checkpoint may lack: no tower uses its pooler, and position ids are counted, not trained."""
_MAX_KEYS_SHOWN = 3
HUB_SECONDS = 5.0
"""Timeout of the request that asks whether the hub answers; without an answer, only cached files are used."""


def text_tower(settings: TextSettings, tokenizer_size: int) -> tuple[BertModel, BertConfig]:
    """Return BERT without its pooler, pretrained or of the given sizes, with an embedding for every token.

    Raises `InputError` when pretrained weights cannot be loaded.
    """
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
    """Return a ViT without its pooler, pretrained or of the given sizes.

    From a pretrained one of another patch size or depth, the first blocks are taken, and the patch and position
    embeddings are resampled. Raises `InputError` when pretrained weights cannot be loaded.
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
    """Return BERT of a stored configuration with random weights, for a checkpoint to be loaded into."""
    config._attn_implementation = "sdpa"
    return BertModel(config, add_pooling_layer=False)


def image_tower_from(config: ViTConfig) -> ViTModel:
    """Return a ViT of a stored configuration with random weights, for a checkpoint to be loaded into."""
    config._attn_implementation = "sdpa"
    return ViTModel(config, add_pooling_layer=False)


def resampled_vit(weights: dict[str, Tensor], patch_pixels: int, layers: int) -> dict[str, Tensor]:
    """Return a ViT's weights for another patch size and fewer blocks.

    The patch embedding is resampled by the pseudo-inverse of bilinear resizing (Beyer et al. 2023, FlexiViT), so that
    an enlarged patch and the enlarged kernel have the same product. Positions are resampled bicubically.
    """
    resampled = {
        name: value
        for name, value in weights.items()
        if not name.startswith("layers.") or int(name.split(".")[1]) < layers
    }
    kernel = resampled["embeddings.patch_embeddings.projection.weight"]
    resampled["embeddings.patch_embeddings.projection.weight"] = resampled_kernel(kernel, patch_pixels)
    positions = resampled["embeddings.position_embeddings"]  # [1, 1 + side * side, width]
    side, new_side = round((positions.shape[1] - 1) ** 0.5), IMAGE_PIXELS // patch_pixels
    grid = positions[:, 1:].view(1, side, side, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, (new_side, new_side), mode="bicubic", antialias=True)
    resampled["embeddings.position_embeddings"] = torch.cat([positions[:, :1], grid.flatten(2).transpose(1, 2)], 1)
    return resampled


def resampled_kernel(kernel: Tensor, patch_pixels: int) -> Tensor:
    """Return a patch kernel [width, 3, p, p] for patches of another size; computed in float64."""
    old = kernel.shape[-1]
    basis = torch.eye(old * old, dtype=torch.float64).view(-1, 1, old, old)
    resize = F.interpolate(basis, (patch_pixels, patch_pixels), mode="bilinear").flatten(1)  # [old², new²]
    flat = kernel.double().flatten(2) @ torch.linalg.pinv(resize).T
    resampled: Tensor = flat.view(*flat.shape[:2], patch_pixels, patch_pixels).to(kernel.dtype)
    return resampled


def pretrained_tokenizer(name: str) -> Tokenizer:
    """Return the tokenizer of a pretrained text tower with the two marker tokens added."""
    tokenizer = _load_from_hub(name, lambda **where: AutoTokenizer.from_pretrained(name, **where)).backend_tokenizer
    return with_markers(Tokenizer.from_str(tokenizer.to_str()))


def _pretrained(model_class: Any, name: str) -> Any:
    """Return a tower with all its weights. Raises `InputError` for a model of another architecture.

    The library gives random weights to what a checkpoint lacks or has in another shape, and reads a RoBERTa, whose
    weights have BERT's names, with BERT's position ids: neither may pass for a pretrained tower.
    """
    options = {"add_pooling_layer": False, "attn_implementation": "sdpa", "dtype": torch.float32}
    options |= {"output_loading_info": True, "ignore_mismatched_sizes": True}

    def load(**where: Any) -> tuple[str | None, Any, dict[str, Any]]:
        config, _ = PreTrainedConfig.get_config_dict(name, **where)
        return config.get("model_type"), *model_class.from_pretrained(name, **options, **where)

    declared, tower, report = _load_from_hub(name, load)
    mismatched = (key for key, *_shapes in report["mismatched_keys"])
    missing = sorted(key for key in {*report["missing_keys"], *mismatched} if not key.startswith(_OPTIONAL_WEIGHTS))
    expected = model_class.config_class.model_type
    if missing or declared not in (None, expected):
        raise InputError(_why_incompatible(name, declared, expected, missing))
    return tower


def _why_incompatible(name: str, declared: str | None, expected: str, missing: list[str]) -> str:
    """Return the message that says why a model cannot be a tower, and what can."""
    shown = ", ".join(missing[:_MAX_KEYS_SHOWN])
    lacks = f", and {len(missing)} weights are missing, such as {shown}" if missing else ""
    return (
        f"The pretrained model {name!r} is not a complete {expected} model: its type is {declared or 'not given'}"
        f"{lacks}, so training would start from random weights; give {_EXPECTED_MODELS[expected]}, "
        "or use --preset small, which needs none"
    )


def _load_from_hub(name: str, load: Callable[..., Any]) -> Any:
    """Return what `load` returns; raise `InputError` for a hub without an answer or a folder that holds no model."""
    hub = logging.getLogger("huggingface_hub")
    level = hub.level
    hub.setLevel(logging.ERROR)  # the library would log each of its retries
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
    """Return whether the hub answers a request about this model; a folder needs no hub.

    One request with a short timeout comes first: without a network the library tries five times per file, which
    takes 45 seconds in all, and longer where packets are dropped.
    """
    if Path(name).is_dir():
        return False
    try:
        timeout = min(HUB_SECONDS, constants.HF_HUB_ETAG_TIMEOUT)
        get_hf_file_metadata(hf_hub_url(name, "config.json"), timeout=timeout)
    except HfHubHTTPError:
        return True  # the hub answers with an error, which loading will report
    except (HTTPError, OSError, ValueError):  # no network, HF_HUB_OFFLINE, or a path instead of a name
        return False
    return True


MELS = MelSettings()
"""Shape (128, 995) of a segment, and the 80 dB below its maximum that the 255 quantisation steps span."""


class AudioTower(nn.Module):
    """Encode stored mels [B, 128, 995] with their reference levels in dB [B] as [B, width]."""

    def __init__(self, settings: AudioSettings) -> None:
        super().__init__()
        self.stem = settings.stem
        mel_bands, mel_frames = MELS.shape
        shrink = 2**settings.blocks
        bands = mel_bands // settings.stem[0] // shrink
        frames = mel_frames // settings.stem[1] // shrink
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

    def forward(self, mels: Tensor, ref_db: Tensor) -> Tensor:
        """Dequantise, convolve and attend; return the summary token."""
        x = decibels(mels, ref_db)[:, None]
        if self.stem != (1, 1):
            x = F.avg_pool2d(x, self.stem)
        x = self.blocks(self.norm(x))  # [B, channels, bands, frames]
        x = self.project(x.permute(0, 3, 1, 2).flatten(2))  # [B, frames, width]
        x = torch.cat([self.summary.expand(len(x), -1, -1), x], 1) + self.positions
        result: Tensor = self.layers(self.dropout(x))[:, 0]
        return result


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch norm and a shortcut, then max-pooling that halves bands and frames."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels_in, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
        )
        self.shortcut = (
            nn.Identity()
            if channels_in == channels
            else nn.Sequential(nn.Conv2d(channels_in, channels, 3, padding=1), nn.BatchNorm2d(channels))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, channels_in, bands, frames] to [B, channels, bands / 2, frames / 2]."""
        halved: Tensor = F.max_pool2d(F.relu(self.body(x) + self.shortcut(x)), 2)
        return halved


def decibels(mels: Tensor, ref_db: Tensor) -> Tensor:
    """Return stored mels [B, 128, 995] as float32 dB.

    uint8 values are steps below the reference level [B]; float16 values are dB themselves. The same as
    `storage.mels.settings.decibels`, on any device.
    """
    if mels.dtype == torch.float16:
        return mels.float()
    return mels.float() * (MELS.span_db / 255) + (ref_db - MELS.span_db)[:, None, None]
