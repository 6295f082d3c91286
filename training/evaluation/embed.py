"""Embeddings of a split: every film's query and every track's audio, under their ids.

A track is the mean of its normalised segments, K of them evenly spaced; a query is what the system
makes of the film's tags, first paragraph and centre crop. Both go through the very functions that
training calls.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from training.data.batches import CENTRE, FilmInputs, gather_mels
from training.data.splits import Split
from training.evaluation.embeddings import Embeddings
from training.loop.device import Machine, at_most_that_fits
from training.model.factory import Model

FILMS_AT_ONCE = 32
SEGMENTS_AT_ONCE = 64
"""8 MB of mels; larger batches gain nothing on a CPU and little on a GPU. A GPU that is full gets fewer."""

OnDone = Callable[[int], None]


def embed_films(
    model: Model, split: Split, inputs: FilmInputs, machine: Machine, on_done: OnDone | None = None
) -> Embeddings:
    """The query of every film of a split, [films, d].

    Raises `NeedledropError` for a value that is not a number, `InputError` where not even one film fits on the GPU.
    """
    model.eval()
    vectors = []

    def encode(start: int, stop: int) -> None:
        moved = machine.move(inputs.gather(np.arange(start, stop), [CENTRE] * (stop - start)))
        with torch.no_grad(), machine.autocast():
            vectors.append(model.encode_query(moved).float().cpu())
        if on_done:
            on_done(stop - start)

    at_most_that_fits(encode, len(split.film_ids), FILMS_AT_ONCE)
    return Embeddings(split.film_ids, torch.cat(vectors).numpy())


def embed_tracks(
    model: Model, split: Split, segments: int, machine: Machine, on_done: OnDone | None = None
) -> Embeddings:
    """Every track of a split as the mean of up to `segments` normalised segments, [tracks, d].

    A recording that two films of the split share is embedded once. Raises as `embed_films` does.
    """
    model.eval()
    rows = list({track_id: row for row, track_id in reversed(list(enumerate(split.track_ids)))}.values())[::-1]
    chosen = [split.even_segments(row, segments) for row in rows]
    positions, track = np.concatenate(chosen), np.repeat(np.arange(len(rows)), [len(own) for own in chosen])
    vectors = []

    def encode(start: int, stop: int) -> None:
        moved = machine.move(gather_mels(split, positions[start:stop]))
        with torch.no_grad(), machine.autocast():
            vectors.append(F.normalize(model.encode_audio(moved).float(), dim=-1).cpu())
        if on_done:
            on_done(stop - start)

    at_most_that_fits(encode, len(positions), SEGMENTS_AT_ONCE)
    sums = torch.zeros(len(rows), vectors[0].shape[1]).index_add_(0, torch.from_numpy(track), torch.cat(vectors))
    return Embeddings(tuple(split.track_ids[row] for row in rows), F.normalize(sums, dim=-1).numpy())


def track_owners(split: Split) -> list[tuple[str, str]]:
    """(track, film) for every track of every film; a recording that two films share is a right answer for both."""
    return [(track_id, split.film_ids[film]) for track_id, film in zip(split.track_ids, split.owner, strict=True)]
