"""Cross-attention between the text and the image of a film, and the film encoder built around it.

`FilmEncoder` serves all systems: it projects each tower's output to 256 numbers, lets these one or two tokens attend
to each other (Mercea et al. 2022), and adds the projections back. The same `AttentionLayer` is the transformer layer of
the audio tower.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import BertModel, ViTModel

from training.config import Settings, System
from training.data.batches import Films

FUSION_HEADS, FUSION_HEAD_WIDTH, FUSION_MLP = 3, 100, 64
"""Sizes of the attention layer between modalities (Mercea et al. 2022)."""
FUSION_DROPOUT = 0.2


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
        """Attend over the n tokens, then transform each token."""
        qkv = self.qkv(self.norm(x)).unflatten(-1, (3, self.heads, -1))  # [B, n, 3, heads, head_width]
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        attended: Tensor = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + self.dropout(self.out(attended))
        result: Tensor = x + self.mlp(x)
        return result


class FilmEncoder(nn.Module):
    """Encode films with a system's towers and cross-attention: [F, modalities, width], text first."""

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
        """Return [F, modalities, width]: each projection plus what it attended to in the others."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            outputs = self._tower_outputs(films)
        z = torch.stack([project(output) for project, output in zip(self.project, outputs, strict=True)], 1)
        result: Tensor = z + self.attend(z + self.positions)
        return result

    def train(self, mode: bool = True) -> FilmEncoder:
        """Set the training mode; frozen towers stay in evaluation mode, as dropout would only add noise to them."""
        super().train(mode)
        if self.frozen:
            for tower in (self.text, self.image):
                if tower is not None:
                    tower.eval()
        return self

    def _tower_outputs(self, films: Films) -> list[Tensor]:
        outputs = []
        if self.text is not None and films.token_mask is not None:
            states = self.text(input_ids=films.tokens, attention_mask=films.token_mask).last_hidden_state
            outputs.append(states[:, 0] if self.pooling == "summary" else _masked_mean(states, films.token_mask))
        if self.image is not None and films.pixels is not None:
            pixels = films.pixels.float() / 127.5 - 1  # mean 0.5, deviation 0.5 of the 0 to 1 range
            outputs.append(self.image(pixel_values=pixels).last_hidden_state[:, 0])
        return outputs


def _masked_mean(states: Tensor, mask: Tensor) -> Tensor:
    """Return the mean over the tokens that are not padding: [F, length, width] to [F, width]."""
    weights = mask[:, :, None].to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1)
