"""The towers: text (such as BERT) and image (such as ViT), pretrained or from configuration, and audio.

A tower maps its input to one vector, its summary, in the way of its type. Pretrained ones keep their own sizes, but a
ViT that the settings adapt to another patch size or depth is resampled. The audio tower (Won et al. 2021 as adapted by
Doh et al. 2022) has residual convolutions that halve mel bands and frames, then a transformer over the remaining
frames; it dequantises stored mels on its device.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import BertConfig, PreTrainedModel, ViTConfig

from storage.mels.settings import MelSettings
from training.data.images import ImageFormat
from training.model.cross_attention import AttentionLayer
from training.model.image_formats import image_format
from training.model.pretrained import IMAGE, TEXT, check_tokens, pretrained_tower, tower_from
from training.model.vit_resampling import adapted_vit
from training.setting_groups import IMAGE_PIXELS, AudioSettings, ImageSettings, TextSettings

MARKERS = 2
"""Tokens that are added to a pretrained tokenizer."""


def text_tower(settings: TextSettings, tokenizer_size: int) -> PreTrainedModel:
    """Return a text tower, pretrained or a BERT of the given sizes, with an embedding for every token.

    Raises `InputError` when pretrained weights cannot be loaded or read fewer tokens than the settings say.
    """
    if settings.pretrained:
        tower = pretrained_tower(settings.pretrained, TEXT)
        check_tokens(tower, settings.pretrained, settings.max_tokens, tokenizer_size, MARKERS)
        if tokenizer_size > tower.config.vocab_size:  # a larger table is padded, and stays as it is
            tower.resize_token_embeddings(tokenizer_size, mean_resizing=False)
        return tower
    config = BertConfig(
        vocab_size=tokenizer_size,
        hidden_size=settings.width,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=settings.mlp,
        max_position_embeddings=settings.max_tokens,
    )
    return tower_from(config.to_dict())


def image_tower(settings: ImageSettings) -> tuple[PreTrainedModel, ImageFormat]:
    """Return an image tower and the pictures it expects: pretrained, or a ViT of the given sizes.

    Raises `InputError` when pretrained weights cannot be loaded or adapted.
    """
    if settings.pretrained:
        tower = pretrained_tower(settings.pretrained, IMAGE)
        form = image_format(settings.pretrained, tower)
        return (adapted_vit(tower, settings, form.pixels) if settings.adapt else tower), form
    config = ViTConfig(
        image_size=IMAGE_PIXELS,
        patch_size=settings.patch_pixels,
        hidden_size=settings.width,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=settings.mlp,
    )
    return tower_from(config.to_dict()), ImageFormat()


MELS = MelSettings()
"""Shape (128, 995) of a segment, and the 80 dB below its maximum that the 255 quantisation steps span."""


def audio_tower(settings: AudioSettings, dimensions: int | None) -> AudioTower | EmbeddingTower:
    """Return the tower for mels, or for embeddings of so many dimensions by an audio encoder."""
    return AudioTower(settings) if dimensions is None else EmbeddingTower(settings, dimensions)


class EmbeddingTower(nn.Module):
    """Map embeddings by a frozen audio encoder [B, dimensions] to [B, width]; all that is trained of the audio side.

    The layer norm takes off the scale, which differs a hundredfold between encoders.
    """

    def __init__(self, settings: AudioSettings, dimensions: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(dimensions), nn.Linear(dimensions, settings.width), nn.GELU(), nn.Dropout(settings.dropout)
        )

    def forward(self, embeddings: Tensor, _ref_db: Tensor) -> Tensor:
        """Return what the trained layer makes of each embedding; they have no reference level."""
        result: Tensor = self.layers(embeddings.float())
        return result


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
        x = self.norm(x)
        x = self.blocks(channels_last(x) if x.is_cuda else x)  # [B, channels, bands, frames]
        x = self.project(x.permute(0, 3, 1, 2).flatten(2))  # [B, frames, width]
        x = torch.cat([self.summary.expand(len(x), -1, -1), x], 1) + self.positions
        result: Tensor = self.layers(self.dropout(x))[:, 0]
        return result


def channels_last(x: Tensor) -> Tensor:
    """Return [B, 1, bands, frames] with the strides of the layout "channels last", as a view.

    With one channel both layouts have the same order in memory, so `memory_format` changes nothing. But on a GPU the
    backward pass of a convolution copies its gradient to the layout that the strides of its input say, and back: four
    copies of the largest activations (docs/benchmarks.md). A CPU gains nothing from it, and would round otherwise.
    """
    return x[:, 0].unsqueeze(-1).permute(0, 3, 1, 2)


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
