"""Attention between the text and the image of a film, and the layer that the audio tower attends with."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


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

    def forward(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        """Attend over the n tokens, or those of them that are `given` (bool [B, n]), then transform each token."""
        qkv = self.qkv(self.norm(x)).unflatten(-1, (3, self.heads, -1))  # [B, n, 3, heads, head_width]
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        mask = None if given is None else attendable(given)[:, None]
        attended: Tensor = F.scaled_dot_product_attention(q, k, v, mask).transpose(1, 2).flatten(2)
        x = x + self.dropout(self.out(attended))
        result: Tensor = x + self.mlp(x)
        return result


class CrossAttention(nn.Module):
    """Multi-head attention of each token to the other ones, then residual and LayerNorm (section 3.3 of the paper).

    A token alone attends to itself. With two tokens, text and image, a softmax has one value: its weight is 1.
    """

    def __init__(self, width: int, heads: int, head_width: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * heads * head_width, bias=False)
        self.out = nn.Linear(heads * head_width, width)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        """Map tokens [B, n, width] to as many; those that are not `given` (bool [B, n]) are attended to by none."""
        qkv = self.qkv(x).unflatten(-1, (3, self.heads, -1))  # [B, n, 3, heads, head_width]
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        itself = torch.eye(x.shape[1], dtype=torch.bool, device=x.device)[None]
        others = ~itself if given is None else given[:, None, :] & ~itself
        mask = others | (itself & ~others.any(-1, keepdim=True))  # who has nobody else attends to itself
        attended: Tensor = F.scaled_dot_product_attention(q, k, v, mask[:, None]).transpose(1, 2).flatten(2)
        result: Tensor = self.norm(x + self.dropout(self.out(attended)))
        return result


def attendable(given: Tensor) -> Tensor:
    """Return which tokens each token may attend to: those that are given, and itself. bool [B, n] to [B, n, n]."""
    return given[:, None, :] | torch.eye(given.shape[1], dtype=torch.bool, device=given.device)
