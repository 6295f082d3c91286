"""Embed a split with a model: every film's query and every track's audio, under their ids.

A track's embedding is the mean of its normalised segments, K of them evenly spaced, weighted where the model has
learned to. A query is made from the film's tags, centre crop and plot: the first paragraph, as in the paper, or all of
them (`Paragraphs`), which is how search reads a plot. Everything is computed by the functions that training calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from training.data.batches import Tracks, gather_mels
from training.data.film_inputs import Draw, FilmInputs, Films
from training.data.splits import Split
from training.evaluation.embeddings import Embeddings, SegmentEmbeddings
from training.loop.devices_and_torchrun import Machine
from training.loop.prefetch import encode_prefetched
from training.model.attention_and_pooling import pool, weights_within
from training.model.retrieval_model import Model, score_and_embed
from training.systems import ALL_PARTS, Parts

FILMS_AT_ONCE = 32
SEGMENTS_AT_ONCE = 64
"""8 MB of mels; larger batches gain nothing on a CPU and little on a GPU. Fewer are tried where the GPU is full."""
READ_AHEAD = 4 * SEGMENTS_AT_ONCE
"""Segments that the system reads from disk meanwhile."""
OnDone = Callable[[int], None]
"""Progress callback (number of items embedded since the last call)."""
Paragraphs = Literal["first", "all"]
"""What is read of a plot. A model that was trained with whole plots pools the paragraphs itself (up to
`data.max_paragraphs`); of any other, the query is the mean of the normalised embeddings of all paragraphs."""


def embed_films(
    model: Model,
    split: Split,
    inputs: FilmInputs,
    machine: Machine,
    *,
    paragraphs: Paragraphs = "first",
    parts: Parts = ALL_PARTS,
) -> Embeddings:
    """Return the query of every film of a split, [films, d].

    `parts` limits what a model is given that answers for any parts (`data.modality_dropout`); others are given all.
    Raises `NeedledropError` for NaN or infinity, `InputError` where not even one film fits on the GPU.
    """
    model.eval()
    pairs = [(film, draw) for film in range(len(split.film_ids)) for draw in _readings(inputs, film, paragraphs, parts)]
    vectors = []

    def make(start: int, stop: int) -> Films:
        films, draws = zip(*pairs[start:stop], strict=True)
        return inputs.gather(np.array(films), draws)

    def encode(films: Films) -> None:
        with torch.no_grad(), machine.autocast():
            vectors.append(model.encode_query(films).cpu())

    encode_prefetched(make, encode, len(pairs), FILMS_AT_ONCE, machine)
    embedded = torch.cat(vectors)
    if len(pairs) == len(split.film_ids):
        return Embeddings(split.film_ids, embedded.numpy())
    owner = torch.tensor([film for film, _ in pairs])
    return Embeddings(split.film_ids, pool(F.normalize(embedded, dim=-1), owner, len(split.film_ids)).numpy())


def _readings(inputs: FilmInputs, film: int, paragraphs: Paragraphs, parts: Parts) -> list[Draw]:
    """Return what is read of a film: once, or once per paragraph where the model has learned to read only one."""
    if paragraphs == "first":
        return [Draw(parts=parts)]
    if inputs.settings.data.paragraphs == "all":
        return [Draw(inputs.whole_plot(film), parts=parts)]
    return [Draw((number,), parts=parts) for number in range(inputs.paragraphs[film] if "plot" in parts else 1)]


def embed_tracks(
    model: Model, split: Split, segments: int, machine: Machine, on_done: OnDone | None = None
) -> Embeddings:
    """Return every track of a split as the (weighted) mean of up to `segments` normalised segments, [tracks, d].

    A recording that two films of the split share is embedded once. Raises as `embed_films` does.
    """
    return mean_of_segments(embed_segments(model, split, segments, machine, on_done))


def embed_segments(
    model: Model, split: Split, segments: int, machine: Machine, on_done: OnDone | None = None
) -> SegmentEmbeddings:
    """Return up to `segments` evenly spaced segments of every track of a split. Raises as `embed_films` does."""
    model.eval()
    row_of: dict[str, int] = {}
    for row, track_id in enumerate(split.track_ids):
        row_of.setdefault(track_id, row)
    positions_by_track = [split.even_segments(row, segments) for row in row_of.values()]
    positions = np.concatenate(positions_by_track)
    first = np.cumsum([0, *(len(own) for own in positions_by_track)]).astype(np.int64)
    vectors, scores = [], list[torch.Tensor]()

    def make(start: int, stop: int) -> Tracks:
        split.mels.read_ahead(positions[stop : stop + READ_AHEAD])
        return gather_mels(split, positions[start:stop])

    def encode(tracks: Tracks) -> None:
        with torch.no_grad(), machine.autocast():
            embedded, scored = score_and_embed(model, tracks)
        vectors.append(embedded.cpu())
        if scored is not None:
            scores.append(scored.cpu())
        if on_done:
            on_done(len(tracks))

    encode_prefetched(make, encode, len(positions), SEGMENTS_AT_ONCE, machine)
    weights = weights_within(_owners(first), len(row_of), torch.cat(scores)).numpy() if scores else None
    return SegmentEmbeddings(tuple(row_of), first, torch.cat(vectors).numpy(), weights)


def mean_of_segments(segments: SegmentEmbeddings) -> Embeddings:
    """Return every track as the (weighted) mean of its segments, of length 1: [tracks, d]."""
    weighted = torch.from_numpy(segments.vectors)
    if segments.weights is not None:
        weighted = weighted * torch.from_numpy(segments.weights)[:, None]
    sums = torch.zeros(len(segments), weighted.shape[1]).index_add_(0, _owners(segments.first), weighted)
    return Embeddings(segments.ids, F.normalize(sums, dim=-1).numpy())


def _owners(first: NDArray[np.int64]) -> torch.Tensor:
    return torch.from_numpy(np.repeat(np.arange(len(first) - 1), np.diff(first)))


def track_owners(split: Split) -> list[tuple[str, str]]:
    """Return (track, film) for every track of every film; a recording that two films share is correct for both."""
    return [(track_id, split.film_ids[film]) for track_id, film in zip(split.track_ids, split.owner, strict=True)]
