"""Batches: tracks in a seeded order with each of their films once, assembled while the device computes.

Training draws segments for each track, and a paragraph, a crop and more for each film, as the settings say
(`training.data.film_inputs.Draw`); the triplet loss has negatives drawn from films with other tags. Validation takes
evenly spaced segments and what evaluation reads of a film. All draws depend on (seed, epoch, step) alone, so any batch
of any epoch can be made again: after a crash, in another process, on another rank.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from storage.errors import InputError
from training.data.film_inputs import Draw, FilmInputs, Films, draw_film
from training.data.splits import Split
from training.settings import Settings

BATCHES_READ_AHEAD = 4
"""How early a batch's segments are asked from disk: a step takes tens of milliseconds, as does a read from a disk."""
LARGEST_TAG_OVERLAP = 0.7
"""Two films that share more than this fraction of either's tags are too similar to be negatives (release)."""
WRONG_FILMS_TRIED = 100
"""Films of which a dissimilar one is looked for; a film that is like so many others gets any of them."""
VALIDATION_ORDER_SEED = 0
ORDER, SEGMENTS, FILMS = range(1, 4)
"""Purposes of random streams: the order of an epoch's tracks, a batch's segments and negatives, a film's draw."""


@dataclass(frozen=True)
class Tracks:
    """The mels of S segments as stored, and their reference levels in dB."""

    mels: Tensor  # uint8 [S, 128, 995] quantised (float16: decibels)
    ref_db: Tensor  # float32 [S]

    def __len__(self) -> int:
        return len(self.mels)

    def rows(self, start: int, stop: int) -> Tracks:
        """Return the segments `start` to `stop - 1`."""
        return Tracks(self.mels[start:stop], self.ref_db[start:stop])


@dataclass(frozen=True)
class Batch:
    """B tracks with K segments each, the films they belong to, and the negatives of each track."""

    films: Films
    tracks: Tracks  # B * K segments, those of a track one after another
    owner: Tensor  # int64 [B]: row in `films`
    film_numbers: Tensor  # int64 [B]: the film's row in its split, the same on every rank
    negatives: Tensor  # bool [B, batch of all ranks]: items whose films are negatives of each; [B, 0] without triplets
    copies: Tensor | None = None  # bool [B, batch of all ranks]: tracks that the film of each has a copy of


Inputs = TypeVar("Inputs", Films, Tracks)


def split_batch(inputs: Inputs, size: int) -> list[Inputs]:
    """Split inputs into micro-batches of `size` films or segments in order; the last one may be smaller."""
    return [inputs.rows(start, start + size) for start in range(0, len(inputs), size)]


class TrainingBatches:
    """The training set as numbered batches: `make(epoch, step)` always returns the same batch.

    Each rank makes its own share of a batch; `negatives` refer to the batch of all ranks. Raises `InputError` when
    there are more ranks than tracks in a batch.
    """

    def __init__(self, split: Split, inputs: FilmInputs, settings: Settings, seed: int, share: tuple[int, int]) -> None:
        self.split, self.inputs, self.settings, self.seed = split, inputs, settings, seed
        self.rank, ranks = share
        batch = min(settings.training.batch, len(split.track_ids))
        if batch < ranks:
            raise InputError(
                f"A batch of {batch} tracks is too small for {ranks} processes; start fewer or give a larger batch"
            )
        self.batch = batch // ranks * ranks
        self.share = self.batch // ranks
        self.steps = len(split.track_ids) // self.batch
        self._separate_streams = settings.data.separate_streams
        self._own = slice(self.rank * self.share, (self.rank + 1) * self.share)
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, np.int64))

    def epoch(self, epoch: int, first: int) -> Iterator[Batch]:
        """Yield the batches of an epoch from step `first` on, while the system reads those that follow from disk."""
        for step in range(first, self.steps):
            nearest = step + 1 if step == first else step + BATCHES_READ_AHEAD
            for later in range(nearest, min(step + BATCHES_READ_AHEAD + 1, self.steps)):
                _, positions, _ = self._drawn(epoch, later)
                self.split.mels.read_ahead(positions[self._own].reshape(-1))
            yield self.make(epoch, step)

    def make(self, epoch: int, step: int) -> Batch:
        """Return one batch, or this rank's share of it."""
        tracks, positions, rng = self._drawn(epoch, step)
        films = self.split.owner[tracks]
        negatives, copies = draw_negatives(self.inputs, films, rng), _copies(self.split, self.settings, tracks)
        own = self._own
        own_films, own_positions = films[own], positions[own]
        masks = negatives[own], None if copies is None else copies[own]
        if self.inputs.system.loss == "triplet" and self.settings.data.triplet_negatives == "set":
            wrong = _wrong_films(self.inputs, films, rng)
            wrong_tracks = np.array([rng.choice(np.flatnonzero(self.split.owner == film)) for film in wrong])
            wrong_positions = _drawn_segments(self.split, wrong_tracks, self.settings.data.segments, rng)
            own_films = np.concatenate([own_films, wrong[own]])
            own_positions = np.concatenate([own_positions, wrong_positions[own]])
            masks = self._wrong_items(), None

        def draw(film: int) -> Draw:
            return draw_film(self.inputs, film, self.stream(FILMS, epoch, step, film))

        return _assemble(self.split, self.inputs, own_films, own_positions, masks, draw)

    def _wrong_items(self) -> NDArray[np.bool_]:
        """Return the negatives of a batch in which each rank's items are followed by one wrong film for each of them.

        bool [2 * share, 2 * batch]; the wrong films are anchors of nothing.
        """
        negatives = np.zeros((2 * self.share, 2 * self.batch), bool)
        own = np.arange(self.share)
        negatives[own, (2 * self.rank + 1) * self.share + own] = True
        return negatives

    def _drawn(self, epoch: int, step: int) -> tuple[NDArray[np.int64], NDArray[np.int64], np.random.Generator]:
        """Return a batch's tracks, the positions of their segments, and the generator that drew them."""
        tracks = self._epoch_order(epoch)[step * self.batch : (step + 1) * self.batch]
        rng = self.stream(SEGMENTS, epoch, step)
        return tracks, _drawn_segments(self.split, tracks, self.settings.data.segments, rng), rng

    def stream(self, purpose: int, *numbers: int) -> np.random.Generator:
        """Return the random stream of a purpose at a place of the run.

        Without the purpose in front, as in the first versions, streams coincide: a seed is filled up with zeros.
        """
        first = (purpose,) if self._separate_streams else ()
        return np.random.default_rng([*first, self.seed, *numbers])

    def _epoch_order(self, epoch: int) -> NDArray[np.int64]:
        """Return the numbers of all tracks, shuffled for this epoch."""
        if self._order[0] != epoch:
            order = self.stream(ORDER, epoch).permutation(len(self.split.track_ids))
            self._order = (epoch, order)
        return self._order[1]


def _drawn_segments(split: Split, tracks: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw the positions of `count` segments of each track: [tracks, count], none twice where there are enough."""
    first, last = split.first_segment[tracks], split.first_segment[tracks + 1]
    if count == 1:
        return split.positions[rng.integers(first, last)][:, None]
    rows = [start + np.resize(rng.permutation(stop - start), count) for start, stop in zip(first, last, strict=True)]
    positions: NDArray[np.int64] = split.positions[np.stack(rows)]
    return positions


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


def _wrong_films(inputs: FilmInputs, films: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
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


def _copies(split: Split, settings: Settings, tracks: NDArray[np.int64]) -> NDArray[np.bool_] | None:
    """Return which tracks of a batch (columns) the film of each item (rows) has a copy of; None without this mask."""
    if not settings.data.mask_copies:
        return None
    films = split.owner[tracks]
    copies = np.zeros((len(tracks), len(tracks)), bool)
    for track, film in split.copies[np.isin(split.copies[:, 0], tracks)]:
        copies[np.ix_(films == film, tracks == track)] = True
    return copies


def validation_batches(split: Split, inputs: FilmInputs, batch: int) -> Iterator[Batch]:
    """Yield a split in one fixed order with nothing drawn at random; a last batch of one track is left out."""
    rng = np.random.default_rng(VALIDATION_ORDER_SEED)
    order, segments = rng.permutation(len(split.track_ids)), inputs.settings.data.segments
    for start in range(0, len(order), batch):
        tracks = order[start : start + batch]
        if len(tracks) > 1:
            films = split.owner[tracks]
            positions = np.stack([np.resize(split.even_segments(track, segments), segments) for track in tracks])
            masks = draw_negatives(inputs, films, rng), _copies(split, inputs.settings, tracks)
            yield _assemble(split, inputs, films, positions, masks, inputs.fixed_draw)


def gather_mels(split: Split, positions: NDArray[np.int64]) -> Tracks:
    """Read the stored mels at these positions of a split's reader."""
    settings = split.mels.settings
    mels = np.empty((len(positions), *settings.shape), settings.dtype)
    split.mels.gather(positions, mels)
    return Tracks(torch.from_numpy(mels), torch.from_numpy(split.mels.ref_db[positions]))


def _assemble(
    split: Split,
    inputs: FilmInputs,
    films: NDArray[np.int64],
    positions: NDArray[np.int64],
    masks: tuple[NDArray[np.bool_], NDArray[np.bool_] | None],
    draw: Callable[[int], Draw],
) -> Batch:
    unique, owner = np.unique(films, return_inverse=True)
    negatives, copies = masks
    return Batch(
        inputs.gather(unique, [draw(int(film)) for film in unique]),
        gather_mels(split, positions.reshape(-1)),
        torch.from_numpy(owner),
        torch.from_numpy(films),
        torch.from_numpy(negatives),
        None if copies is None else torch.from_numpy(copies),
    )
