"""Batches: tracks in a seeded order with each of their films once, assembled while the device computes.

Training draws a segment for each track, and a paragraph and a crop for each film; evaluation takes the middle
segment, the first paragraph and the centre. All draws depend on (seed, epoch, step) alone, so any batch of any epoch
can be made again: after a crash, in another process, on another rank.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from storage.errors import InputError
from training.config import Settings, System
from training.data.images import Images
from training.data.splits import Split
from training.data.text import encode_texts, pad_tokens, query_text, tag_words

PREFETCHED_BATCHES = 4
LARGEST_TAG_OVERLAP = 0.7
"""Two films that share more than this fraction of either's tags are too similar to be negatives (release)."""
VALIDATION_ORDER_SEED = 0

Draw = tuple[int, float, float]
"""A film's paragraph number and the position of its crop, across and down (0 to 1)."""
CENTRE: Draw = (0, 0.5, 0.5)


@dataclass(frozen=True)
class Films:
    """Query inputs of F films; None for a modality that the system does not use."""

    tokens: Tensor | None  # int64 [F, length]
    token_mask: Tensor | None  # bool [F, length]
    pixels: Tensor | None  # uint8 [F, 3, 224, 224]


@dataclass(frozen=True)
class Tracks:
    """The mels of B segments as stored, and their reference levels in dB."""

    mels: Tensor  # uint8 [B, 128, 995] quantised (float16: decibels)
    ref_db: Tensor  # float32 [B]


@dataclass(frozen=True)
class Batch:
    """B tracks, the films they belong to, and the negatives of each track."""

    films: Films
    tracks: Tracks
    owner: Tensor  # int64 [B]: row in `films`
    film_numbers: Tensor  # int64 [B]: the film's row in its split, the same on every rank
    negatives: Tensor  # bool [B, batch of all ranks]: items whose films are negatives of each; [B, 0] without triplets


Inputs = TypeVar("Inputs", Films, Tracks)


def split_batch(inputs: Inputs, size: int) -> list[Inputs]:
    """Split inputs into micro-batches of `size` rows in order; the last one may be smaller."""
    values = {field.name: getattr(inputs, field.name) for field in fields(inputs)}
    tensors: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
    rows = len(next(iter(tensors.values())))
    return [
        replace(inputs, **{name: tensor[start : start + size] for name, tensor in tensors.items()})
        for start in range(0, rows, size)
    ]


class FilmInputs:
    """A split's films as one system reads them: tokens of every paragraph, images decoded at their first use."""

    def __init__(self, split: Split, system: System, settings: Settings, tokenizer: Tokenizer | None) -> None:
        self.system = system
        self.paragraphs = [max(len(plot), 1) if system.plot else 1 for plot in split.plots]
        self.max_tokens = settings.text.max_tokens
        self._first_text = np.concatenate([[0], np.cumsum(self.paragraphs)])
        self._tokens: list[NDArray[np.int32]] = []
        if tokenizer is not None and system.text:
            texts = film_texts(split, system, settings)
            self._tokens = encode_texts(tokenizer, texts, self.max_tokens)
        self._images = Images(split.film_ids, split.thumbnails) if system.image else None
        self._tag_sets = [frozenset(tags) for tags in split.tags]
        self._draws_one_negative = settings.triplet_negatives == "one"

    def gather(self, films: NDArray[np.int64], draws: list[Draw]) -> Films:
        """Return the inputs of these films with the paragraph and crop drawn for each."""
        tokens = mask = pixels = None
        if self._tokens:
            rows = [self._tokens[self._first_text[film] + draw[0]] for film, draw in zip(films, draws, strict=True)]
            tokens, mask = (torch.from_numpy(array) for array in pad_tokens(rows, self.max_tokens))
        if self._images is not None:
            crops = [self._images.crop(int(film), *draw[1:]) for film, draw in zip(films, draws, strict=True)]
            pixels = torch.from_numpy(np.stack(crops))
        return Films(tokens, mask, pixels)

    def negatives(self, films: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.bool_]:
        """Return for each item of a batch the items of dissimilar films, or of any other film if none is: bool [n, n].

        [n, 0] for a system without the triplet loss. The release draws one negative per item.
        """
        if self.system.loss != "triplet":
            return np.zeros((len(films), 0), bool)
        unique, film_of = np.unique(films, return_inverse=True)
        dissimilar = self._dissimilar(unique)[film_of][:, film_of]
        negatives = np.where(dissimilar.any(1, keepdims=True), dissimilar, film_of[:, None] != film_of)
        if self._draws_one_negative:
            for row in negatives:
                candidates = np.flatnonzero(row)
                row[:] = False
                if len(candidates):
                    row[rng.choice(candidates)] = True
        return negatives

    def _dissimilar(self, films: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which pairs of these distinct films share few of their tags: bool [n, n]."""
        tags = [self._tag_sets[film] for film in films]
        column = {tag: index for index, tag in enumerate(sorted(frozenset().union(*tags)))}
        has = np.zeros((len(films), len(column)))
        for row, own in zip(has, tags, strict=True):
            row[[column[tag] for tag in own]] = 1
        count = has.sum(axis=1)
        fewer = np.maximum(np.minimum(count[:, None], count), 1)
        few_shared: NDArray[np.bool_] = has @ has.T <= LARGEST_TAG_OVERLAP * fewer
        return few_shared & ~np.eye(len(films), dtype=bool)


def film_texts(split: Split, system: System, settings: Settings) -> list[str]:
    """Return every text that a system can read in a split: film by film, paragraphs in order."""
    texts = []
    for tags, plot in zip(split.tags, split.plots, strict=True):
        words = tag_words(tags, settings.keep_years)
        paragraphs = (plot or ("",)) if system.plot else ("",)
        texts += [query_text(system, words, paragraph) for paragraph in paragraphs]
    return texts


class TrainingBatches:
    """The training set as numbered batches: `make(epoch, step)` always returns the same batch.

    Each rank makes its own share of a batch; `negatives` refer to the batch of all ranks. Raises `InputError` when
    there are more ranks than tracks in a batch.
    """

    def __init__(self, split: Split, inputs: FilmInputs, settings: Settings, seed: int, share: tuple[int, int]) -> None:
        self.split, self.inputs, self.seed = split, inputs, seed
        self.rank, ranks = share
        batch = min(settings.batch, len(split.track_ids))
        if batch < ranks:
            raise InputError(
                f"A batch of {batch} tracks is too small for {ranks} processes; start fewer or give a larger batch"
            )
        self.batch = batch // ranks * ranks
        self.share = self.batch // ranks
        self.steps = len(split.track_ids) // self.batch
        self.draws_paragraph = inputs.system.name not in settings.fixed_paragraph
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, np.int64))

    def make(self, epoch: int, step: int) -> Batch:
        """Return one batch, or this rank's share of it."""
        tracks = self._epoch_order(epoch)[step * self.batch : (step + 1) * self.batch]
        rng = np.random.default_rng([self.seed, epoch, step])
        first, last = self.split.first_segment[tracks], self.split.first_segment[tracks + 1]
        positions = self.split.positions[rng.integers(first, last)]
        films = self.split.owner[tracks]
        negatives = self.inputs.negatives(films, rng)
        own = slice(self.rank * self.share, (self.rank + 1) * self.share)

        def draw(film: int) -> Draw:
            film_rng = np.random.default_rng([self.seed, epoch, step, film])
            across, down = film_rng.random(2)
            paragraph = int(film_rng.integers(self.inputs.paragraphs[film])) if self.draws_paragraph else 0
            return paragraph, across, down

        return _assemble(self.split, self.inputs, films[own], positions[own], negatives[own], draw)

    def _epoch_order(self, epoch: int) -> NDArray[np.int64]:
        """Return the numbers of all tracks, shuffled for this epoch."""
        if self._order[0] != epoch:
            order = np.random.default_rng([self.seed, epoch]).permutation(len(self.split.track_ids))
            self._order = (epoch, order)
        return self._order[1]


def validation_batches(split: Split, inputs: FilmInputs, batch: int) -> Iterator[Batch]:
    """Yield a split in one fixed order without random segments or crops; a last batch of one track is left out."""
    rng = np.random.default_rng(VALIDATION_ORDER_SEED)
    order = rng.permutation(len(split.track_ids))
    for start in range(0, len(order), batch):
        tracks = order[start : start + batch]
        if len(tracks) > 1:
            films = split.owner[tracks]
            positions = np.concatenate([split.even_segments(track, 1) for track in tracks])
            yield _assemble(split, inputs, films, positions, inputs.negatives(films, rng), lambda _film: CENTRE)


def gather_mels(split: Split, positions: NDArray[np.int64]) -> Tracks:
    """Read the stored mels at these positions of a split's reader."""
    settings = split.mels.settings
    mels = np.empty((len(positions), *settings.shape), settings.dtype)
    split.mels.gather(positions, mels)
    return Tracks(torch.from_numpy(mels), torch.from_numpy(split.mels.ref_db[positions]))


def prefetched(make: Callable[[int], Batch], first: int, last: int) -> Generator[Batch, None, None]:
    """Yield batches `first` to `last - 1`, made in order by one thread that works a few batches ahead.

    One thread is enough, as reading mapped segments and decoding images releases the interpreter lock, and it keeps
    the order of batches and draws the same on any machine. Closing the iterator ends the thread.
    """
    ready: queue.Queue[Batch | BaseException | None] = queue.Queue(PREFETCHED_BATCHES)
    stopped = threading.Event()

    def work() -> None:
        try:
            for number in range(first, last):
                if stopped.is_set():
                    return
                ready.put(make(number))
            ready.put(None)
        except BaseException as error:  # noqa: BLE001 - the consumer raises it
            ready.put(error)

    thread = threading.Thread(target=work, name="batches", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
        while thread.is_alive():  # a full queue blocks the thread: empty it until the thread has seen the flag
            try:
                ready.get(timeout=0.05)
            except queue.Empty:
                continue


def _assemble(
    split: Split,
    inputs: FilmInputs,
    films: NDArray[np.int64],
    positions: NDArray[np.int64],
    negatives: NDArray[np.bool_],
    draw: Callable[[int], Draw],
) -> Batch:
    unique, owner = np.unique(films, return_inverse=True)
    return Batch(
        inputs.gather(unique, [draw(int(film)) for film in unique]),
        gather_mels(split, positions),
        torch.from_numpy(owner),
        torch.from_numpy(films),
        torch.from_numpy(negatives),
    )
