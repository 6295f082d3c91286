"""Pooling: several segments of a track, or several texts of a film, as one vector.

`mean` counts all equally. `attention` (Ilse et al. 2018, without the gate) gives each item a weight: a softmax, over
the items of its track or film, of a score that a small network gives to what the tower returned for it. The network's
last layer starts at zero, so a new model pools as `mean` does.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

SCORE_WIDTH = 128


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
