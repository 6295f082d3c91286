"""A split of a data-set version in memory: its films, their tracks, and the positions of the tracks' segments.

Everything small is loaded (ids, text, JPEG bytes, one row number per segment); the mels stay in their memory-mapped
shards. Where an audio encoder is named, its embeddings are loaded in the place of the mels: `EncodedSegments` has the
interface of `storage.mels.reader.MelReader`, so batches, evaluation and search take the embedding of a segment where
they would take its mel.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from storage.audio_embeddings import Vectors, encoded_films, read_card, read_embeddings, stored_encoder
from storage.datasets import versions as datasets
from storage.errors import InputError
from storage.lake.lake import Lake
from storage.mels.reader import MelReader
from storage.mels.settings_and_shard_format import read_settings

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Split:
    """The films of one split that have tracks, and these tracks; the arrays index into the tuples."""

    name: str
    film_ids: tuple[str, ...]
    years: tuple[int, ...]
    tags: tuple[tuple[str, ...], ...]
    plots: tuple[tuple[str, ...], ...]
    """The paragraphs of each film that are not empty, maybe none."""
    thumbnails: tuple[bytes | None, ...]
    track_ids: tuple[str, ...]
    owner: NDArray[np.int64]
    """[tracks]: the index of the film that a track belongs to."""
    first_segment: NDArray[np.int64]
    """[tracks + 1]: a track's segments are `positions[first_segment[t] : first_segment[t + 1]]`."""
    positions: NDArray[np.int64]
    """[segments]: the position of each segment in `mels`."""
    mels: MelReader | EncodedSegments
    """What a segment sounds like: its mel, or its embedding by an audio encoder."""
    copies: NDArray[np.int64] = field(default_factory=lambda: np.empty((0, 2), np.int64))
    """[pairs, 2]: a track, and another film of the split that has a copy of the same recording."""

    def even_segments(self, track: int, count: int) -> NDArray[np.int64]:
        """Return the positions of `count` evenly spaced segments of a track, first and last included.

        The middle segment for a count of 1; all segments of a track that has fewer.
        """
        own = self.positions[self.first_segment[track] : self.first_segment[track + 1]]
        return own[even_numbers(len(own), count)]


def even_numbers(length: int, count: int) -> NDArray[np.int64]:
    """Return up to `count` evenly spaced numbers below `length`: the middle one, or first and last among them."""
    if count == 1:
        return np.array([(length - 1) // 2])
    if length <= count:
        return np.arange(length)
    return np.round(np.linspace(0, length - 1, count)).astype(np.int64)


def newest_version(lake: Lake) -> str:
    """Return the lake's current data-set version. Raises `InputError` when there is none yet."""
    version = datasets.current(lake)
    if version is None:
        raise InputError("This lake has no data set version to train on; run `needledrop curate` first")
    return version


def load_split(
    lake: Lake, version: str, split: str, encoder: str = "", without: Collection[str] = frozenset()
) -> Split:
    """Load one split of a version and map its shards, or read its embeddings by an audio encoder.

    `without`: recordings that are left out, and with them the films that have no other. Raises `InputError` for a
    version that does not exist, a split without films or tracks, or tracks without embeddings, `LakeError` for a file
    that is missing or damaged.
    """
    datasets.read_manifest(lake, version)
    films = _read(lake, version, datasets.FILMS_FILE, split)
    segments = _read(lake, version, datasets.SEGMENTS_FILE, split)
    if without:
        segments = segments.filter(pc.invert(pc.is_in(segments["track_id"], value_set=pa.array(sorted(without)))))
    films = films.filter(pc.is_in(films["film_id"], value_set=pc.unique(segments["film_id"])))
    if not len(films):
        raise InputError(
            f"The {split} split of {version} has no film with music, so nothing can be trained or evaluated on it; "
            "curate again with other split years or more films"
        )
    if encoder:
        sounds: MelReader | EncodedSegments = read_encoded_segments(lake, encoder, segments, split)
        positions = np.arange(len(segments))
    else:
        shards = sorted(segments["shard"].unique().to_pylist())
        sounds = reader = MelReader(lake, shards, read_settings(lake, shards[0]))
        positions = reader.locate(segments["shard"], segments["row"].to_numpy())
    film_ids = films["film_id"].to_pylist()
    tracks, owner, first = _group_tracks(segments, film_ids)
    return Split(
        name=split,
        film_ids=tuple(film_ids),
        years=tuple(films["year"].to_pylist()),
        tags=tuple(tuple(tags or ()) for tags in films["tags"].to_pylist()),
        plots=tuple(_paragraphs(plot) for plot in films["plot"].to_pylist()),
        thumbnails=tuple(films["thumbnail"].to_pylist()),
        track_ids=tracks,
        owner=owner,
        first_segment=first,
        positions=positions,
        mels=sounds,
        copies=_copies(lake, version, film_ids, tracks, owner),
    )


def _read(lake: Lake, version: str, file: datasets.VersionFile, split: str) -> pa.Table:
    path = lake.local_path(datasets.FOLDER, version, file.name)
    return pq.read_table(path, filters=[("split", "=", split)])


def _copies(
    lake: Lake, version: str, film_ids: Sequence[str], tracks: Sequence[str], owner: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the pairs of `Split.copies`.

    A recording of several films is a track of one of them, and the others' copies are among the version's exclusions;
    in a version that was written elsewhere it may also be a track of each.
    """
    path = lake.local_path(datasets.FOLDER, version, datasets.EXCLUSIONS_FILE.name)
    excluded = pq.read_table(path, filters=[("kind", "=", "track"), ("rule", "in", datasets.COPY_RULES)])
    row_of = {film_id: row for row, film_id in enumerate(film_ids)}
    track_of: dict[tuple[str, str], int] = {}
    films_of: dict[str, set[int]] = {}
    for track, (track_id, film) in enumerate(zip(tracks, owner.tolist(), strict=True)):
        track_of[film_ids[film], track_id] = track
        films_of.setdefault(track_id, set()).add(film)
    pairs = {(track, film) for track, name in enumerate(tracks) for film in films_of[name]}
    for item, kept in zip(excluded["item"].to_pylist(), excluded["value"].to_pylist(), strict=True):
        owned_by, _, track_id = (kept or "").partition("/")
        if item.split("/")[0] in row_of and (owned_by, track_id) in track_of:
            pairs.add((track_of[owned_by, track_id], row_of[item.split("/")[0]]))
    pairs = {(track, film) for track, film in pairs if film != owner[track]}
    return np.array(sorted(pairs), np.int64).reshape(-1, 2)


def _paragraphs(plot: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(paragraph.strip() for paragraph in plot or () if paragraph and paragraph.strip())


def _group_tracks(
    segments: pa.Table, film_ids: Sequence[str]
) -> tuple[tuple[str, ...], NDArray[np.int64], NDArray[np.int64]]:
    """Return track ids, the index of each track's film, and first segments; rows are sorted by film, track and time.

    A recording that two films of the split share is one track per film.
    """
    film, track = segments["film_id"].to_numpy(), segments["track_id"].to_numpy()
    starts = np.flatnonzero(np.r_[True, (film[1:] != film[:-1]) | (track[1:] != track[:-1])])
    row_of = {film_id: row for row, film_id in enumerate(film_ids)}
    owner = np.array([row_of[film_id] for film_id in film[starts]], np.int64)
    return tuple(track[starts]), owner, np.r_[starts, len(film)].astype(np.int64)


@dataclass(frozen=True)
class SegmentFormat:
    """The shape and type of one segment as it travels in a batch."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class EncodedSegments:
    """The embeddings of segments by one encoder, float16 [segments, dimensions]."""

    def __init__(self, vectors: Vectors) -> None:
        self.vectors = vectors
        self.settings = SegmentFormat(vectors.shape[1:], vectors.dtype)
        self.ref_db = np.zeros(len(vectors), np.float32)
        """An embedding has no level of its own; batches carry one next to each mel."""

    def __len__(self) -> int:
        return len(self.vectors)

    def gather(self, positions: NDArray[np.integer[Any]], out: NDArray[Any]) -> None:
        """Copy the embeddings at these positions into `out`, shape (n, dimensions)."""
        np.take(self.vectors, positions, axis=0, out=out)

    def read_ahead(self, positions: NDArray[np.integer[Any]]) -> None:
        """Do nothing: everything is in memory."""


def read_encoded_segments(lake: Lake, encoder: str, segments: pa.Table, split: str) -> EncodedSegments:
    """Read the embeddings of a split's segments (film_id, track_id, segment), in their order.

    Raises `InputError` when the lake has no such encoder, or not the embeddings of every track: one that is left out
    would make the ranks of this run those of another data set.
    """
    folder = stored_encoder(lake, encoder)
    paths = encoded_films(lake, folder)
    vectors = np.zeros((len(segments), read_card(lake, folder).dimensions), np.float16)
    films, tracks = segments["film_id"].to_pylist(), segments["track_id"].to_pylist()
    numbers = segments["segment"].to_numpy()
    bounds = _runs(films)
    lacking: dict[str, None] = {}
    for start, stop in itertools.pairwise(bounds):
        known = read_embeddings(lake, paths[films[start]]) if films[start] in paths else {}
        for row in range(start, stop):
            own = known.get(tracks[row])
            if own is None or numbers[row] >= len(own):
                lacking[tracks[row]] = None
            else:
                vectors[row] = own[numbers[row]]
    if lacking:
        raise InputError(
            f"{len(lacking):,} tracks of the {split} split have no embeddings by {folder}, such as "
            f"{next(iter(lacking))}; embed your own files with `needledrop soundtracks --encode`; what came from the "
            "network has to be collected again, or left out of a new version (`needledrop curate --leave-out TRACK`)"
        )
    return EncodedSegments(vectors)


def _runs(films: Sequence[str]) -> list[int]:
    """Return where each film's rows begin, and the end of the last: rows are sorted by film."""
    starts = [row for row in range(len(films)) if row == 0 or films[row] != films[row - 1]]
    return [*starts, len(films)]
