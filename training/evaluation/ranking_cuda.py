"""The same counts as `training.evaluation.ranking`, on a GPU: exact scores, so the same ranks to the last bit.

Apart from the other file so that ranking on a CPU does not load torch.
"""

from __future__ import annotations

import torch

from training.evaluation.ranking import FILMS_PER_BLOCK, Floats, Ints, OnProgress

PAIRS_AT_ONCE = 256
"""256 rows of 70,215 float64 scores are 144 MB."""


def count_on_device(
    queries: Floats, candidates: Floats, starts: Ints, tracks: Ints, device: str, on_progress: OnProgress | None = None
) -> tuple[Ints, Ints, Floats]:
    """For each (film, own track): the candidates above it, those level with it, and its score.

    `queries` [films, d] and `candidates` [tracks, d] lie on the grid of `training.evaluation.ranking`; film f owns
    `tracks[starts[f] : starts[f + 1]]`. float64 products know no TF32.
    """
    query, candidate = (torch.from_numpy(vectors).to(device) for vectors in (queries, candidates))
    track = torch.from_numpy(tracks).to(device)
    greater, equal, score = (torch.zeros(len(tracks), dtype=d) for d in (torch.int64, torch.int64, torch.float64))
    for first in range(0, len(queries), FILMS_PER_BLOCK):
        last = min(first + FILMS_PER_BLOCK, len(queries))
        scores = query[first:last] @ candidate.T
        film = torch.repeat_interleave(torch.from_numpy(starts[first + 1 : last + 1] - starts[first:last])).to(device)
        for begin in range(int(starts[first]), int(starts[last]), PAIRS_AT_ONCE):
            end = min(begin + PAIRS_AT_ONCE, int(starts[last]))
            rows = scores[film[begin - starts[first] : end - starts[first]]]
            own = rows.gather(1, track[begin:end, None])
            greater[begin:end] = (rows > own).sum(dim=1).cpu()
            equal[begin:end] = (rows == own).sum(dim=1).cpu()
            score[begin:end] = own[:, 0].cpu()
        if on_progress:
            on_progress(last - first)
    return greater.numpy(), equal.numpy(), score.numpy()
