"""What is minimised, as pure functions of embeddings.

InfoNCE follows the release's reading of the paper's equation 1: cosines times a learned scale, which
is the inverse temperature; as printed there the temperature cancels. The triplets are the released
adaptation of AVCA (Mercea et al. 2022).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

INITIAL_LOG_SCALE = math.log(1 / 0.2)
LARGEST_SCALE = 100.0
"""As in CLIP: beyond it the softmax is a step and gradients vanish."""
TRIPLET_MARGIN = 1.0


def info_nce(query: Tensor, audio: Tensor, log_scale: Tensor, excluded: Tensor | None = None) -> Tensor:
    """The mean of both directions' cross-entropies over a batch's pairs, in float32.

    `query`, `audio`: [B, d], pair i in row i, of any length. `excluded`: bool [B, B], true where a
    pair off the diagonal must not count as wrong (another track of the same film).
    """
    scale = log_scale.float().exp().clamp(max=LARGEST_SCALE)
    cosines = F.normalize(query.float(), dim=-1) @ F.normalize(audio.float(), dim=-1).T  # [B, B]
    logits = scale * cosines
    if excluded is not None:
        logits = logits.masked_fill(excluded, float("-inf"))
    pairs = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, pairs) + F.cross_entropy(logits.T, pairs)) / 2


def same_film(films: Tensor) -> Tensor:
    """Bool [B, B]: pairs off the diagonal whose tracks belong to one film; `films`: [B]."""
    equal = films[:, None] == films[None, :]
    return equal & ~torch.eye(len(films), dtype=torch.bool, device=films.device)


def avca_triplets(text: Tensor, image: Tensor, audio: Tensor, negatives: Tensor) -> Tensor:
    """The sum of AVCA's eight triplet terms over text, image and audio embeddings [B, d].

    `negatives`: bool [B, B], true where the film of column j is a wrong one for item i; each term is a mean over them.
    """
    t, i, a = text.float(), image.float(), audio.float()
    weights = negatives / negatives.sum().clamp(min=1)

    def triplet(anchor: Tensor, right: Tensor, wrong: Tensor) -> Tensor:
        near = F.pairwise_distance(anchor, right)[:, None]
        far = torch.cdist(anchor, wrong, compute_mode="donot_use_mm_for_euclid_dist")  # the other way loses digits
        return (F.relu(near - far + TRIPLET_MARGIN) * weights).sum()

    # the reference's order: composite pairs first, then each anchor against its own modality's negative
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
