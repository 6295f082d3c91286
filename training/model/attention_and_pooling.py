"""Attention between text and image, the layer that the audio tower attends with, and pooling with learned weights.

Pooling makes one vector of several segments of a track, or several texts of a film. `mean` counts all equally.
`attention` (Ilse et al. 2018, without the gate) gives each item a weight: a softmax, over the items of its track or
film, of a score that a small network gives to what the tower returned for it. The network's last layer starts at zero,
so a new model pools as `mean` does.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SCORE_WIDTH = 128


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


class Scores(nn.Module):
    """Give each item a score by what its tower returned: [n, width] to [n]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, SCORE_WIDTH)
        self.out = nn.Linear(SCORE_WIDTH, 1, bias=False)
        nn.init.zeros_(self.out.weight)

    def forward(self, features: Tensor) -> Tensor:
        """Score each row; only differences between the rows of one owner count."""
        scores: Tensor = self.out(torch.tanh(self.hidden(features)))[:, 0]
        return scores


def weights_within(owner: Tensor, owners: int, scores: Tensor | None) -> Tensor:
    """Return the weight of each item among those of its owner, float32 [n]; the weights of an owner's items sum to 1.

    `owner`: int64 [n], below `owners`; an owner may have none. `scores`: [n], or None for equal weights.
    """
    if scores is None:
        raised = torch.ones(len(owner), device=owner.device)
    else:
        scores = scores.float()
        highest = torch.full((owners,), float("-inf"), device=owner.device)
        highest = highest.scatter_reduce(0, owner, scores.detach(), "amax")
        raised = (scores - highest[owner]).exp()
    sums = torch.zeros(owners, device=owner.device).index_add(0, owner, raised)
    weights: Tensor = raised / sums[owner]
    return weights


def pool(values: Tensor, owner: Tensor, owners: int, scores: Tensor | None = None) -> Tensor:
    """Return the weighted mean of each owner's rows: [n, d] to [owners, d]; zeros for an owner without rows."""
    weighted = values.float() * weights_within(owner, owners, scores)[:, None]
    return torch.zeros(owners, values.shape[1], device=values.device).index_add(0, owner, weighted)
