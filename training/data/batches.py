"""Batches: tracks drawn in a seeded order, their films each once, put together while the device works.

Training draws a segment for each track and a paragraph and a crop for each film; evaluation takes the
middle segment, the first paragraph and the centre. All draws hang on (seed, epoch, step) alone.
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
from training.data.images import Pictures
from training.data.splits import Split
from training.data.text import encode_texts, pad_tokens, query_text, tag_words

PREFETCHED_BATCHES = 4
LARGEST_TAG_OVERLAP = 0.7
"""A film that shares more than this of either's tags is too much alike to serve as a wrong one (release)."""
VALIDATION_ORDER_SEED = 0

Draw = tuple[int, float, float]
"""A film's paragraph number and the place of its crop."""
CENTRE: Draw = (0, 0.5, 0.5)


@dataclass(frozen=True)
class Films:
    """Query inputs of F films; a system without a modality has None for it."""

    tokens: Tensor | None  # int64 [F, length]
    token_mask: Tensor | None  # bool [F, length]
    pixels: Tensor | None  # uint8 [F, 3, 224, 224]


@dataclass(frozen=True)
class Tracks:
    """Mels of B segments as stored, and their reference levels in dB."""

    codes: Tensor  # uint8 [B, 128, 995] (float16: decibels themselves)
    ref_db: Tensor  # float32 [B]


@dataclass(frozen=True)
class Batch:
    """B tracks, the films they belong to, and who is whose."""

    films: Films
    tracks: Tracks
    owner: Tensor  # int64 [B]: row in `films`
    film_numbers: Tensor  # int64 [B]: the film's row in its split, equal across ranks
    negatives: Tensor  # bool [B, whole batch]: the items whose films are wrong for each one; none without triplets


Inputs = TypeVar("Inputs", Films, Tracks)


def pieces_of(inputs: Inputs, size: int) -> list[Inputs]:
    """The rows of the inputs in order, `size` at a time; the last piece may be smaller."""
    tensors = {part.name: getattr(inputs, part.name) for part in fields(inputs)}
    given: dict[str, Any] = {name: value for name, value in tensors.items() if value is not None}
    rows = len(next(iter(given.values())))
    return [
        replace(inputs, **{name: value[at : at + size] for name, value in given.items()}) for at in range(0, rows, size)
    ]


class FilmInputs:
    """A split's films as one system reads them: tokens of every paragraph, pictures decoded when wanted."""

    def __init__(self, split: Split, system: System, settings: Settings, tokenizer: Tokenizer | None) -> None:
        self.system = system
        self.paragraphs = [max(len(plot), 1) if system.plot else 1 for plot in split.plots]
        self.max_tokens = settings.text.max_tokens
        self._first = np.concatenate([[0], np.cumsum(self.paragraphs)])
        self._tokens: list[NDArray[np.int32]] = []
        if tokenizer is not None and system.text:
            texts = film_texts(split, system, settings)
            self._tokens = encode_texts(tokenizer, texts, self.max_tokens)
        self._pictures = Pictures(split.film_ids, split.thumbnails) if system.image else None
        self._tag_sets = [frozenset(tags) for tags in split.tags]
        self._draws_one_wrong_film = settings.triplet_negatives == "one"

    def gather(self, films: NDArray[np.int64], draws: list[Draw]) -> Films:
        """The inputs of these films with the paragraph and crop that each drew."""
        tokens = mask = pixels = None
        if self._tokens:
            rows = [self._tokens[self._first[film] + draw[0]] for film, draw in zip(films, draws, strict=True)]
            padded, padding = pad_tokens(rows, self.max_tokens)
            tokens, mask = torch.from_numpy(padded), torch.from_numpy(padding)
        if self._pictures is not None:
            crops = [self._pictures.crop(int(film), *draw[1:]) for film, draw in zip(films, draws, strict=True)]
            pixels = torch.from_numpy(np.stack(crops))
        return Films(tokens, mask, pixels)

    def wrong_films(self, films: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.bool_]:
        """For each item of a batch, the items of unlike films (of any other film if all are alike): bool [n, n].

        A system without triplets has none, [n, 0]. The release draws one of them.
        """
        if self.system.loss != "triplet":
            return np.zeros((len(films), 0), bool)
        unique, film_of = np.unique(films, return_inverse=True)
        unlike = self._unlike(unique)[film_of][:, film_of]
        wrong = np.where(unlike.any(1, keepdims=True), unlike, film_of[:, None] != film_of)
        if self._draws_one_wrong_film:
            for row in wrong:
                candidates = np.flatnonzero(row)
                row[:] = False
                if len(candidates):
                    row[rng.choice(candidates)] = True
        return wrong

    def _unlike(self, films: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these films, all different, share few of their tags with which: bool [n, n]."""
        tags = [self._tag_sets[film] for film in films]
        column = {tag: index for index, tag in enumerate(sorted(frozenset().union(*tags)))}
        has = np.zeros((len(films), len(column)))
        for row, own in zip(has, tags, strict=True):
            row[[column[tag] for tag in own]] = 1
        count = has.sum(axis=1)
        fewer = np.maximum(np.minimum(count[:, None], count), 1)
        unlike: NDArray[np.bool_] = (has @ has.T <= LARGEST_TAG_OVERLAP * fewer) & ~np.eye(len(films), dtype=bool)
        return unlike


def film_texts(split: Split, system: System, settings: Settings) -> list[str]:
    """Every text a system can read about a split: film after film, its paragraphs in order."""
    texts = []
    for tags, plot in zip(split.tags, split.plots, strict=True):
        words = tag_words(tags, settings.keep_years)
        paragraphs = (plot or ("",)) if system.plot else ("",)
        texts += [query_text(system, words, paragraph) for paragraph in paragraphs]
    return texts


class TrainingBatches:
    """The training set as numbered batches: `make(epoch, step)` gives the same batch whenever it is asked.

    With several ranks each makes its own share of every batch; `negatives` point into the whole batch. Raises
    `InputError` when there are more ranks than tracks in a batch.
    """

    def __init__(self, split: Split, inputs: FilmInputs, settings: Settings, seed: int, share: tuple[int, int]) -> None:
        self.split, self.inputs, self.seed = split, inputs, seed
        self.rank, ranks = share
        at_once = min(settings.batch, len(split.track_ids))
        if at_once < ranks:
            raise InputError(
                f"A batch of {at_once} tracks is too small for {ranks} processes; start fewer or give a larger batch"
            )
        self.batch = at_once // ranks * ranks
        self.share = self.batch // ranks
        self.steps = len(split.track_ids) // self.batch
        self.draws_paragraph = inputs.system.name not in settings.fixed_paragraph
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, np.int64))

    def make(self, epoch: int, step: int) -> Batch:
        """One batch, or this rank's part of it."""
        tracks = self._epoch_order(epoch)[step * self.batch : (step + 1) * self.batch]
        rng = np.random.default_rng([self.seed, epoch, step])
        first, last = self.split.first_segment[tracks], self.split.first_segment[tracks + 1]
        positions = self.split.positions[rng.integers(first, last)]
        films = self.split.owner[tracks]
        negatives = self.inputs.wrong_films(films, rng)
        own = slice(self.rank * self.share, (self.rank + 1) * self.share)

        def draw(film: int) -> Draw:
            chance = np.random.default_rng([self.seed, epoch, step, film])
            across, down = chance.random(2)
            return int(chance.integers(self.inputs.paragraphs[film])) if self.draws_paragraph else 0, across, down

        return _assemble(self.split, self.inputs, films[own], positions[own], negatives[own], draw)

    def _epoch_order(self, epoch: int) -> NDArray[np.int64]:
        """All tracks, shuffled for this epoch."""
        if self._order[0] != epoch:
            order = np.random.default_rng([self.seed, epoch]).permutation(len(self.split.track_ids))
            self._order = (epoch, order)
        return self._order[1]


def validation_batches(split: Split, inputs: FilmInputs, batch: int) -> Iterator[Batch]:
    """A split in one fixed order with nothing drawn at random; a last batch of a single track is left out."""
    rng = np.random.default_rng(VALIDATION_ORDER_SEED)
    order = rng.permutation(len(split.track_ids))
    for start in range(0, len(order), batch):
        tracks = order[start : start + batch]
        if len(tracks) > 1:
            films = split.owner[tracks]
            positions = np.concatenate([split.even_segments(track, 1) for track in tracks])
            yield _assemble(split, inputs, films, positions, inputs.wrong_films(films, rng), lambda _film: CENTRE)


def gather_mels(split: Split, positions: NDArray[np.int64]) -> Tracks:
    """The stored mels at these positions of a split's reader."""
    settings = split.mels.settings
    codes = np.empty((len(positions), *settings.shape), settings.dtype)
    split.mels.gather(positions, codes)
    return Tracks(torch.from_numpy(codes), torch.from_numpy(split.mels.ref_db[positions]))


def prefetched(make: Callable[[int], Batch], first: int, last: int) -> Generator[Batch, None, None]:
    """Batches `first` to `last - 1`, made in order by one thread that stays a few ahead.

    One thread is enough: reading mapped segments and decoding pictures releases the interpreter, and it
    keeps the order of batches and of draws the same for any machine. Closing the iterator ends the thread.
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
        except BaseException as error:  # noqa: BLE001 - handed to the consumer, which raises it
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
        while thread.is_alive():  # a full queue would hold the thread: make room until it has seen the flag
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
