"""Batches: tracks in a seeded order with each of their films once, assembled while the device computes.

Training draws segments for each track, and a paragraph, a crop and more for each film, as the settings say
(`training.data.film_inputs.Draw`), and negatives (`training.data.negatives`). Validation takes evenly spaced segments
and what evaluation reads of a film. All draws depend on (seed, epoch, step) alone, so any batch
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
from training.data.negatives import copies_in_batch, draw_negatives, draw_wrong_films
from training.data.splits import Split
from training.settings import Settings

BATCHES_READ_AHEAD = 4
"""How early a batch's segments are asked from disk: a step takes tens of milliseconds, as does a read from a disk."""
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
        negatives, copies = draw_negatives(self.inputs, films, rng), copies_in_batch(self.split, self.settings, tracks)
        own = self._own
        own_films, own_positions = films[own], positions[own]
        masks = negatives[own], None if copies is None else copies[own]
        if self.inputs.system.loss == "triplet" and self.settings.data.triplet_negatives == "set":
            wrong = draw_wrong_films(self.inputs, films, rng)
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


def validation_batches(split: Split, inputs: FilmInputs, batch: int) -> Iterator[Batch]:
    """Yield a split in one fixed order with nothing drawn at random; a last batch of one track is left out."""
    rng = np.random.default_rng(VALIDATION_ORDER_SEED)
    order, segments = rng.permutation(len(split.track_ids)), inputs.settings.data.segments
    for start in range(0, len(order), batch):
        tracks = order[start : start + batch]
        if len(tracks) > 1:
            films = split.owner[tracks]
            positions = np.stack([np.resize(split.even_segments(track, segments), segments) for track in tracks])
            masks = draw_negatives(inputs, films, rng), copies_in_batch(split, inputs.settings, tracks)
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
