"""Which items of a batch are negatives of each other.

The triplet loss has negatives drawn from films with other tags, of the batch or of the whole split. InfoNCE takes every
other item, but for false negatives where the settings say so: tracks of the same film, and copies of its recordings.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.film_inputs import FilmInputs
from training.data.splits import Split
from training.settings import Settings

LARGEST_TAG_OVERLAP = 0.7
"""Two films that share more than this fraction of either's tags are too similar to be negatives (release)."""
WRONG_FILMS_TRIED = 100
"""Films of which a dissimilar one is looked for; a film that is like so many others gets any of them."""
Gather = Callable[[Tensor], Tensor]
"""Concatenates the rows of all ranks, with gradients (`training.loop.devices_and_torchrun.gather`)."""


def draw_negatives(inputs: FilmInputs, films: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return for each item of a batch the items of dissimilar films, or of any other film if none is: bool [n, n].

    [n, 0] for a system without the triplet loss. The release draws one negative per item.
    """
    if inputs.system.loss != "triplet":
        return np.zeros((len(films), 0), bool)
    unique, film_of = np.unique(films, return_inverse=True)
    dissimilar = _dissimilar(inputs, unique)[film_of][:, film_of]
    negatives = np.where(dissimilar.any(1, keepdims=True), dissimilar, film_of[:, None] != film_of)
    if inputs.settings.data.triplet_negatives != "all":
        for row in negatives:
            candidates = np.flatnonzero(row)
            row[:] = False
            if len(candidates):
                row[rng.choice(candidates)] = True
    return negatives


def draw_wrong_films(inputs: FilmInputs, films: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw for each film a dissimilar one of the whole split, or any other if none is found: int [n].

    As in the release, which tries until it finds one; the number of tries is limited here.
    """
    every = len(inputs.split.film_ids)
    drawn = np.empty(len(films), np.int64)
    for row, film in enumerate(films):
        tries = (film + rng.integers(1, max(every, 2), size=WRONG_FILMS_TRIED)) % every
        tags = inputs.tag_sets[film]
        few = (len(tags & (o := inputs.tag_sets[t])) <= LARGEST_TAG_OVERLAP * max(min(len(tags), len(o)), 1)
               for t in tries)  # fmt: skip
        drawn[row] = next((t for t, is_far in zip(tries, few, strict=True) if is_far), tries[0])
    return drawn


def _dissimilar(inputs: FilmInputs, films: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which pairs of these distinct films share few of their tags: bool [n, n]."""
    tags = [inputs.tag_sets[film] for film in films]
    column = {tag: index for index, tag in enumerate(sorted(frozenset().union(*tags)))}
    has = np.zeros((len(films), len(column)))
    for row, own in zip(has, tags, strict=True):
        row[[column[tag] for tag in own]] = 1
    count = has.sum(axis=1)
    fewer = np.maximum(np.minimum(count[:, None], count), 1)
    few_shared: NDArray[np.bool_] = has @ has.T <= LARGEST_TAG_OVERLAP * fewer
    return few_shared & ~np.eye(len(films), dtype=bool)


def copies_in_batch(split: Split, settings: Settings, tracks: NDArray[np.int64]) -> NDArray[np.bool_] | None:
    """Return which tracks of a batch (columns) the film of each item (rows) has a copy of; None without this mask."""
    if not settings.data.mask_copies:
        return None
    films = split.owner[tracks]
    copies = np.zeros((len(tracks), len(tracks)), bool)
    for track, film in split.copies[np.isin(split.copies[:, 0], tracks)]:
        copies[np.ix_(films == film, tracks == track)] = True
    return copies


def false_negatives(settings: Settings, film_numbers: Tensor, copies: Tensor | None, gather: Gather) -> Tensor | None:
    """Return bool [B, B]: tracks (columns) that are no negatives of a film (rows) although another item's.

    Other tracks of the same film, and recordings that the film has a copy of, each where the settings say so.
    """
    excluded = same_film(gather(film_numbers)) if settings.data.mask_same_film else None
    if copies is None:
        return excluded
    known = gather(copies)
    return known if excluded is None else excluded | known


def same_film(films: Tensor) -> Tensor:
    """Return bool [B, B]: the pairs off the diagonal whose tracks belong to one film; `films`: [B]."""
    equal = films[:, None] == films[None, :]
    return equal & ~torch.eye(len(films), dtype=torch.bool, device=films.device)
