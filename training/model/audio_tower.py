"""The audio tower (Won et al. 2021 as adapted by Doh et al. 2022), or the layer that takes its place for an encoder.

Residual convolutions halve mel bands and frames, then a transformer attends to the remaining frames. It dequantises
stored mels on its device.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from storage.mels.settings_and_shard_format import MelSettings
from training.model.attention_and_pooling import AttentionLayer
from training.settings import AudioSettings

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
    `storage.mels.reader.decibels`, on any device.
    """
    if mels.dtype == torch.float16:
        return mels.float()
    return mels.float() * (MELS.span_db / 255) + (ref_db - MELS.span_db)[:, None, None]
