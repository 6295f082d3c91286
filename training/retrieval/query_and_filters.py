"""The query of a search: a film as its user describes it, tracks that the music should, or not, sound like, filters.

A filter says which tracks may be found, by their tempo, loudness, year, licence, artist or length. Imports no torch: a
query that says nothing is refused at once.
"""

from __future__ import annotations

import difflib
import io
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from storage.errors import InputError
from storage.lake.lake import Lake
from storage.mels.reader import MelReader
from storage.mels.settings_and_shard_format import MelSettings
from training.data.splits import Split
from training.systems import Parts

Vector = NDArray[np.float32]
Range = tuple[float | None, float | None]
TrackRow = Mapping[str, Any]
"""What is known of a track: its file's tags and its description."""
ANY: Range = (None, None)


@dataclass(frozen=True)
class FilmQuery:
    """A film to find music for, by at least one of plot, tags and image.

    Raises `InputError` for an empty query and for bytes that are not an image.
    """

    plot: tuple[str, ...] = ()
    """Paragraphs."""
    tags: tuple[str, ...] = ()
    """Category names, such as "Tamil-language films"."""
    image: bytes | None = field(default=None, repr=False)

    @property
    def parts(self) -> Parts:
        """Return the parts that are given."""
        given = {"plot": bool(self.plot), "tags": bool(self.tags), "image": self.image is not None}
        return frozenset(part for part, is_given in given.items() if is_given)

    def without(self, part: str) -> FilmQuery:
        """Return the query without a part. Raises `InputError` when nothing is left."""
        kept = {name: getattr(self, name) for name in self.parts - {part}}
        return FilmQuery(**kept)

    def as_split(self, lake: Lake) -> Split:
        """Return the query as a split of one film, which is embedded as evaluation embeds a film."""
        nothing = np.empty(0, np.int64)
        return Split(
            name="search",
            film_ids=("query",),
            years=(0,),
            tags=(self.tags,),
            plots=(self.plot,),
            thumbnails=(self.image,),
            track_ids=(),
            owner=nothing,
            first_segment=np.zeros(1, np.int64),
            positions=nothing,
            mels=MelReader(lake, [], MelSettings()),
        )

    def __post_init__(self) -> None:
        """Reject an empty query and an unreadable image."""
        if not (self.plot or self.tags or self.image):
            raise InputError("There is nothing to search by; give --plot, --tags or --image, or --like in a library")
        if self.image is not None:
            try:
                Image.open(io.BytesIO(self.image)).verify()
            except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
                raise InputError("The file given as image cannot be read as an image; give a JPEG or PNG") from error


@dataclass(frozen=True)
class Query:
    """A query in the shared space: what is searched for, and the same without each of its parts."""

    vector: Vector
    """[d], of length 1."""
    without: dict[str, Vector] = field(default_factory=dict)
    """Part -> the query without it; only of an engine that can do without."""
    is_film: bool = True
    """Whether it is of a film alone: recordings are nearer to music than films are, so these scores do not compare."""


def unknown_tags(tags: Sequence[str], known: Collection[str]) -> dict[str, list[str]]:
    """Return those of a query's tags that no film has, each with the most similar that one has."""
    by_small_letters = {tag.lower(): tag for tag in sorted(known)}
    similar = {tag: difflib.get_close_matches(tag.lower(), by_small_letters, cutoff=0.5) for tag in tags}
    return {tag: [by_small_letters[one] for one in near] for tag, near in similar.items() if tag not in known}


def blend(film: Query | None, like: Sequence[Vector], not_like: Sequence[Vector], like_weight: float) -> Query:
    """Return one query of a film and of tracks that it should, and should not, sound like.

    `like_weight`, 0 to 1, is the share of the reference tracks where both are given; what it should not sound like is
    subtracted with the same weight. Raises `InputError` when nothing is left.
    """
    if film is None and not like:
        raise InputError("There is nothing to search by; give a plot, tags, an image or a track that it should be like")
    share = 1.0 if film is None else like_weight if like else 0.0
    added = share * normalised(np.mean(like, axis=0)) if like else 0.0
    removed = like_weight * normalised(np.mean(not_like, axis=0)) if not_like else 0.0

    def mix(vector: Vector | float) -> Vector:
        return normalised(np.asarray((1 - share) * vector + added - removed, np.float32))

    if film is None:
        return Query(mix(0.0), is_film=False)
    without = {part: mix(left) for part, left in film.without.items()}
    return Query(mix(film.vector), without, is_film=not like and not not_like)


def normalised(vectors: Vector) -> Vector:
    """Return vectors of length 1; a zero vector stays."""
    lengths = np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), np.finfo(np.float32).tiny)
    return np.asarray(vectors / lengths, np.float32)


@dataclass(frozen=True)
class TrackFilter:
    """Which tracks may be found; a track of which the asked property is not known is not."""

    seconds: Range = ANY
    tempo_bpm: Range = ANY
    loudness_lufs: Range = ANY
    year: Range = ANY
    licence: str | None = None
    """A part of the licence, in any letters: "cc by"."""
    artist: str | None = None

    def allows(self, row: TrackRow) -> bool:
        """Return whether a track may be found."""
        ranges = {
            "duration_seconds": self.seconds,
            "tempo_bpm": self.tempo_bpm,
            "loudness_lufs": self.loudness_lufs,
            "year": self.year,
        }
        texts = {"licence": self.licence, "artist": self.artist}
        return all(_within(row[name], limits) for name, limits in ranges.items()) and all(
            text is None or _alike(text) in _alike(row[name] or "") for name, text in texts.items()
        )


def _alike(text: str) -> str:
    """Return a text for comparison: without capitals, and an accent as one character however it was typed."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def _within(value: float | None, limits: Range) -> bool:
    low, high = limits
    if low is None and high is None:
        return True
    return value is not None and (low is None or value >= low) and (high is None or value <= high)
