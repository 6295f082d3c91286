"""The films of a split as a model reads them: its text, the parts that are drawn, the tensors of a query.

A query has up to three parts: image, tags, plot. Most systems need all of their parts, and a film that lacks one is
read with an empty text or a grey image. A model that was trained with dropped parts (`data.modality_dropout`) also
reads which parts are given: a missing part has no text and no pixels, and the model ignores it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from training.data.image_crops import Images
from training.data.splits import Split
from training.data.tokenizer import PLOT_MARKER, TAG_MARKER, TextTokens, pad_tokens
from training.settings import IMAGE_PIXELS, Settings, answers_any_parts
from training.systems import ALL_PARTS, Parts, System, part_subsets

_YEAR = re.compile(r"^(1[89]|20)\d\d$")
_YEAR_OR_DECADE = re.compile(r"^(1[89]|20)\d\ds?$")


@dataclass(frozen=True)
class Draw:
    """What is drawn of a film; by default what evaluation reads: the first paragraph, the centre, all that is there."""

    paragraphs: tuple[int, ...] = (0,)
    across: float = 0.5
    down: float = 0.5
    """Position of the crop, 0 to 1."""
    tags: tuple[int, ...] | None = None
    """The numbers of the tags; None for all of them."""
    parts: Parts = ALL_PARTS


@dataclass(frozen=True)
class Films:
    """Query inputs of F films with T texts; None for what the system does not use or no film of these has.

    Where a film may have several texts or none, `text_counts` has the number of each film, and `text_film` the row of
    the film that each text is of. Frozen towers are not run again: their outputs take the place of their inputs.
    """

    tokens: Tensor | None = None  # int64 [T, length]
    token_mask: Tensor | None = None  # bool [T, length]
    pixels: Tensor | None = None  # uint8 [F, 3, side, side]
    text_features: Tensor | None = None  # float32 [T, width]
    image_features: Tensor | None = None  # float32 [F, width]
    given: Tensor | None = None  # bool [F, towers], text first: which towers have an input; None: all
    text_film: Tensor | None = None  # int64 [T]; None: text f is that of film f
    text_counts: tuple[int, ...] = ()

    def __len__(self) -> int:
        by_film = (self.given, self.pixels, self.image_features)
        first = next((value for value in by_film if value is not None), None)
        if first is not None:
            return len(first)
        if self.text_counts:
            return len(self.text_counts)
        return len(self.tokens if self.tokens is not None else self.text_features)  # type: ignore[arg-type]

    def rows(self, start: int, stop: int) -> Films:
        """Return the inputs of the films `start` to `stop - 1`."""
        first, last = start, stop
        if self.text_counts:
            first, last = sum(self.text_counts[:start]), sum(self.text_counts[:stop])
        texts, films = slice(first, last), slice(start, stop)
        of_texts = ("tokens", "token_mask", "text_features") if last > first else ()  # no tower reads no text
        return Films(
            **{name: _slice(getattr(self, name), texts) for name in of_texts},
            **{name: _slice(getattr(self, name), films) for name in ("pixels", "image_features", "given")},
            text_film=None if self.text_film is None else self.text_film[texts] - start,
            text_counts=self.text_counts[films],
        )


def _slice(value: Any, rows: slice) -> Any:
    return None if value is None else value[rows]


class FilmInputs:
    """A split's films as one system reads them: texts are tokenized and images decoded at their first use."""

    def __init__(
        self,
        split: Split,
        system: System,
        settings: Settings,
        tokenizer: Tokenizer | None,
        pixels: int = IMAGE_PIXELS,
    ) -> None:
        self.system, self.settings, self.split = system, settings, split
        self.any_parts = answers_any_parts(system, settings)
        self.paragraphs = [max(len(plot), 1) if system.plot else 1 for plot in split.plots]
        self.text_features: TextTable | None = None
        self.image_features: NDArray[np.float32] | None = None
        self._markers = system.markers and not settings.text.frozen
        self._tokens = (
            TextTokens(tokenizer, settings.text.max_tokens) if tokenizer is not None and system.text else None
        )
        self._images = Images(split.film_ids, split.thumbnails, pixels) if system.image else None
        self.tag_sets = [frozenset(tags) for tags in split.tags]
        self._several_texts = self.any_parts or (system.plot and settings.data.paragraphs == "all")

    def parts(self, film: int, draw: Draw) -> Parts:
        """Return the parts of a film that the model is given."""
        if not self.any_parts:
            return self.system.parts
        plot, tags, image = self.split.plots[film], self._words(film, draw), self.split.thumbnails[film]
        there = {"plot": bool(plot), "tags": bool(tags), "image": image is not None}
        return frozenset(part for part in self.system.parts & draw.parts if there[part])

    def whole_plot(self, film: int) -> tuple[int, ...]:
        """Return the numbers of a film's paragraphs; of a plot with too many, evenly spaced ones."""
        count = min(self.paragraphs[film], self.settings.data.max_paragraphs)
        return tuple(np.round(np.linspace(0, self.paragraphs[film] - 1, count)).astype(int).tolist())

    def fixed_draw(self, film: int) -> Draw:
        """Return what validation reads of a film: nothing drawn at random."""
        whole = self.settings.data.paragraphs == "all"
        return Draw(self.whole_plot(film)) if whole else Draw()

    def texts(self, film: int, draw: Draw) -> list[str]:
        """Return the texts that are read of a film, one per paragraph; none where neither tags nor plot are given."""
        given = self.parts(film, draw)
        tags = self._words(film, draw) if "tags" in given else None
        if "plot" not in given:
            return [] if tags is None else [query_text(self._markers, tags, None)]
        plot = self.split.plots[film] or ("",)
        return [query_text(self._markers, tags, plot[number]) for number in draw.paragraphs]

    def gather(self, films: NDArray[np.int64], draws: Sequence[Draw]) -> Films:
        """Return the inputs of these films with what was drawn of each."""
        pairs = [(int(film), draw) for film, draw in zip(films, draws, strict=True)]
        values: dict[str, Any] = {}
        if self.system.text:
            values |= self._texts_of(pairs)
        if self._images is not None:
            values |= self._images_of(self._images, pairs)
        if self.any_parts:
            values["given"] = torch.tensor([self._towers_given(film, draw) for film, draw in pairs])
        return Films(**values)

    def _texts_of(self, pairs: Sequence[tuple[int, Draw]]) -> dict[str, Any]:
        texts = [self.texts(film, draw) for film, draw in pairs]
        flat = [text for of_film in texts for text in of_film]
        values: dict[str, Any] = {}
        if self._several_texts:
            counts = [len(of_film) for of_film in texts]
            values["text_film"] = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
            values["text_counts"] = tuple(counts)
        if self.text_features is not None:
            return values | {"text_features": self.text_features.rows(flat)}
        if not flat or self._tokens is None:
            return values
        tokens, mask = pad_tokens(self.tokens(flat), self.settings.text.max_tokens)
        return values | {"tokens": torch.from_numpy(tokens), "token_mask": torch.from_numpy(mask)}

    def _images_of(self, images: Images, pairs: Sequence[tuple[int, Draw]]) -> dict[str, Any]:
        if self.any_parts and not any("image" in self.parts(film, draw) for film, draw in pairs):
            return {}
        if self.image_features is not None:
            return {"image_features": torch.from_numpy(self.image_features[[film for film, _ in pairs]])}
        return {"pixels": torch.from_numpy(np.stack([images.crop(film, d.across, d.down) for film, d in pairs]))}

    def centre_crops(self, films: Sequence[int]) -> Tensor:
        """Return the middle of these films' images: uint8 [films, 3, 224, 224]."""
        assert self._images is not None
        return torch.from_numpy(np.stack([self._images.crop(film, 0.5, 0.5) for film in films]))

    def _towers_given(self, film: int, draw: Draw) -> list[bool]:
        given = self.parts(film, draw)
        return [bool(given & {"tags", "plot"})] * self.system.text + ["image" in given] * self.system.image

    def tokens(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """Return the token ids of each text."""
        assert self._tokens is not None
        return self._tokens.of(texts)

    def all_texts(self) -> list[str]:
        """Return every text that can be read of the split with complete tags, each once, in a fixed order."""
        subsets = part_subsets(self.system) if self.any_parts else [self.system.parts]
        texts = (
            text
            for film in range(len(self.split.film_ids))
            for parts in subsets
            for text in self.texts(film, Draw(tuple(range(self.paragraphs[film])), parts=parts))
        )
        return list(dict.fromkeys(texts))

    def _words(self, film: int, draw: Draw) -> str:
        tags = self.split.tags[film]
        chosen = tags if draw.tags is None else [tags[number] for number in draw.tags]
        return tag_words(chosen, self.settings.data.keep_years, self.settings.data.keep_decades)


class TextTable:
    """What a frozen text tower returned for every text of a split: a row of [texts, width] for each text."""

    def __init__(self, texts: Sequence[str], outputs: NDArray[np.float32]) -> None:
        self._row_of, self._outputs = {text: row for row, text in enumerate(texts)}, outputs

    def rows(self, texts: Sequence[str]) -> Tensor | None:
        """Return the outputs of these texts, float32 [T, width]; None without a text."""
        return torch.from_numpy(self._outputs[[self._row_of[text] for text in texts]]) if texts else None


def tag_words(tags: Sequence[str], keep_years: bool, keep_decades: bool = False) -> str:
    """Return the distinct words of a film's category names, without "films", which all of them contain.

    Years are dropped unless kept for parity with the release: a test film's year never occurs in training. With them
    go decades (2010s), unless these are kept: the decade of the test films does occur in training.
    """
    dropped = None if keep_years else _YEAR if keep_decades else _YEAR_OR_DECADE
    words = (word for tag in tags for word in tag.split())
    informative = [word for word in words if word.lower() != "films" and not (dropped and dropped.match(word))]
    return " ".join(dict.fromkeys(informative))


def query_text(markers: bool, tags: str | None, paragraph: str | None) -> str:
    """Return the text that a tower reads: tags and plot, or the one of them that is given, each after its marker."""
    if not markers:
        return " ".join(part for part in (tags, paragraph) if part is not None)
    given = ((TAG_MARKER, tags), (PLOT_MARKER, paragraph))
    return " ".join(f"{marker} {part}" for marker, part in given if part is not None)


def film_texts(split: Split, system: System, settings: Settings) -> list[str]:
    """Return every text of a split that a system reads when all is given: film by film, paragraphs in order."""
    inputs = FilmInputs(split, system, settings, None)
    films = range(len(split.film_ids))
    return [text for film in films for text in inputs.texts(film, Draw(tuple(range(inputs.paragraphs[film]))))]


def draw_film(inputs: FilmInputs, film: int, rng: np.random.Generator) -> Draw:
    """Draw what training reads of a film. A switch that is off draws nothing: the draws of others stay as they are."""
    data, system = inputs.settings.data, inputs.system
    across, down = rng.random(2).tolist()
    if inputs.settings.image.frozen:  # its output is computed once, so the crop is always the same
        across, down = 0.5, 0.5
    paragraphs: tuple[int, ...] = (0,)
    if data.paragraphs == "all":
        paragraphs = inputs.whole_plot(film)
    elif system.name not in data.fixed_paragraph:
        paragraphs = (int(rng.integers(inputs.paragraphs[film])),)
    tags, parts = None, ALL_PARTS
    if data.tag_subsets and system.tags:
        tags = _subset(len(inputs.split.tags[film]), rng)
    if inputs.any_parts:
        present = sorted(inputs.parts(film, Draw()))
        dropped = rng.random(len(present)) < data.modality_dropout
        if dropped.all() and present:
            dropped[rng.integers(len(present))] = False
        parts = frozenset(part for part, is_dropped in zip(present, dropped, strict=True) if not is_dropped)
    return Draw(paragraphs, across, down, tags, parts)


def _subset(count: int, rng: np.random.Generator) -> tuple[int, ...]:
    """Draw how many of `count` things are taken, each number from 1 on equally likely, and then which."""
    taken = int(rng.integers(1, count + 1)) if count else 0
    return tuple(sorted(rng.permutation(count)[:taken].tolist()))
