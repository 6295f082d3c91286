"""Embed a split with a model: every film's query and every track's audio, under their ids.

A track's embedding is the mean of its normalised segments, K of them evenly spaced; a query is made from the film's
tags, first paragraph and centre crop. Both are computed by the functions that training calls.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from training.data.batches import CENTRE, FilmInputs, gather_mels
from training.data.splits import Split
from training.evaluation.embedding_files import Embeddings
from training.loop.devices import Machine, halve_until_it_fits
from training.model.retrievers import Model

FILMS_AT_ONCE = 32
SEGMENTS_AT_ONCE = 64
"""8 MB of mels; larger batches gain nothing on a CPU and little on a GPU. Fewer are tried where the GPU is full."""

OnDone = Callable[[int], None]
"""Progress callback (number of items embedded since the last call)."""


def embed_films(
    model: Model, split: Split, inputs: FilmInputs, machine: Machine, on_done: OnDone | None = None
) -> Embeddings:
    """Return the query of every film of a split, [films, d].

    Raises `NeedledropError` for NaN or infinity, `InputError` where not even one film fits on the GPU.
    """
    model.eval()
    vectors = []

    def encode(start: int, stop: int) -> None:
        films = machine.move(inputs.gather(np.arange(start, stop), [CENTRE] * (stop - start)))
        with torch.no_grad(), machine.autocast():
            vectors.append(model.encode_query(films).float().cpu())
        if on_done:
            on_done(stop - start)

    halve_until_it_fits(encode, len(split.film_ids), FILMS_AT_ONCE)
    return Embeddings(split.film_ids, torch.cat(vectors).numpy())


def embed_tracks(
    model: Model, split: Split, segments: int, machine: Machine, on_done: OnDone | None = None
) -> Embeddings:
    """Return every track of a split as the mean of up to `segments` normalised segments, [tracks, d].

    A recording that two films of the split share is embedded once. Raises as `embed_films` does.
    """
    model.eval()
    row_of: dict[str, int] = {}
    for row, track_id in enumerate(split.track_ids):
        row_of.setdefault(track_id, row)
    positions_by_track = [split.even_segments(row, segments) for row in row_of.values()]
    positions = np.concatenate(positions_by_track)
    track = np.repeat(np.arange(len(row_of)), [len(own) for own in positions_by_track])
    vectors = []

    def encode(start: int, stop: int) -> None:
        tracks = machine.move(gather_mels(split, positions[start:stop]))
        with torch.no_grad(), machine.autocast():
            vectors.append(F.normalize(model.encode_audio(tracks).float(), dim=-1).cpu())
        if on_done:
            on_done(stop - start)

    halve_until_it_fits(encode, len(positions), SEGMENTS_AT_ONCE)
    sums = torch.zeros(len(row_of), vectors[0].shape[1]).index_add_(0, torch.from_numpy(track), torch.cat(vectors))
    return Embeddings(tuple(row_of), F.normalize(sums, dim=-1).numpy())


def track_owners(split: Split) -> list[tuple[str, str]]:
    """Return (track, film) for every track of every film; a recording that two films share is correct for both."""
    return [(track_id, split.film_ids[film]) for track_id, film in zip(split.track_ids, split.owner, strict=True)]
