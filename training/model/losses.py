"""Losses as pure functions of embeddings.

InfoNCE follows the release's reading of the paper's equation 1: cosines times a learned scale, the inverse
temperature; as printed there the temperature cancels. The triplet loss is the released adaptation of AVCA
(Mercea et al. 2022).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

INITIAL_LOG_SCALE = math.log(1 / 0.2)
"""Logarithm of the inverse temperature of InfoNCE before training."""
LARGEST_SCALE = 100.0
"""As in CLIP: beyond it the softmax is a step function and gradients vanish."""
TRIPLET_MARGIN = 1.0


def info_nce(query: Tensor, audio: Tensor, log_scale: Tensor, excluded: Tensor | None = None) -> Tensor:
    """Return the mean of both directions' cross-entropies over a batch's pairs, in float32.

    `query`, `audio`: [B, d], pair i in row i, not necessarily normalised. `excluded`: bool [B, B], true where a
    pair off the diagonal must not count as a negative, as the track (column) is one of the film's (row).
    """
    scale = log_scale.float().exp().clamp(max=LARGEST_SCALE)
    cosines = F.normalize(query.float(), dim=-1) @ F.normalize(audio.float(), dim=-1).T  # [B, B]
    logits = scale * cosines
    if excluded is not None:
        logits = logits.masked_fill(excluded, float("-inf"))
    pairs = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, pairs) + F.cross_entropy(logits.T, pairs)) / 2


def avca_triplets(text: Tensor, image: Tensor, audio: Tensor, negatives: Tensor) -> Tensor:
    """Return the sum of AVCA's eight triplet terms over text, image and audio embeddings [B, d].

    `negatives`: bool [B, B], true where the film of column j is a negative of item i; each term is a mean over them.
    """
    t, i, a = text.float(), image.float(), audio.float()
    weights = negatives / negatives.sum().clamp(min=1)

    def triplet(anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        near = F.pairwise_distance(anchor, positive)[:, None]
        far = torch.cdist(anchor, negative, compute_mode="donot_use_mm_for_euclid_dist")  # the other mode loses digits
        return (F.relu(near - far + TRIPLET_MARGIN) * weights).sum()

    # the order of the reference: composite pairs first, then each anchor against its own modality's negative
    return (
        triplet(t, a, t)
        + triplet(i, a, i)
        + triplet(a, t, a)
        + triplet(a, i, a)
        + triplet(a, i, i)
        + triplet(a, t, t)
        + triplet(t, a, a)
        + triplet(i, a, a)
    )
