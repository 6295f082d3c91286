"""A split of a data-set version in memory: its films, their tracks, and the positions of the tracks' segments.

Everything small is loaded (ids, text, JPEG bytes, one row number per segment); the mels stay in their memory-mapped
shards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from storage.datasets import versions as datasets
from storage.errors import InputError
from storage.lake.lake import Lake
from storage.mels.reader import MelReader
from storage.mels.settings import read_settings

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
    mels: MelReader

    def even_segments(self, track: int, count: int) -> NDArray[np.int64]:
        """Return the positions of `count` evenly spaced segments of a track, first and last included.

        The middle segment for a count of 1; all segments of a track that has fewer.
        """
        own = self.positions[self.first_segment[track] : self.first_segment[track + 1]]
        if count == 1:
            return own[[(len(own) - 1) // 2]]
        if len(own) <= count:
            return own
        return own[np.round(np.linspace(0, len(own) - 1, count)).astype(np.int64)]


def newest_version(lake: Lake) -> str:
    """Return the lake's current data-set version. Raises `InputError` when there is none yet."""
    version = datasets.current(lake)
    if version is None:
        raise InputError("This lake has no data set version to train on; run `needledrop curate` first")
    return version


def load_split(lake: Lake, version: str, split: str) -> Split:
    """Load one split of a version and map its shards.

    Raises `InputError` for a version that does not exist or a split without films or tracks, `LakeError`
    for a shard that is missing or damaged.
    """
    datasets.read_manifest(lake, version)
    films = _read(lake, version, datasets.FILMS_FILE, split)
    segments = _read(lake, version, datasets.SEGMENTS_FILE, split)
    films = films.filter(pc.is_in(films["film_id"], value_set=pc.unique(segments["film_id"])))
    if not len(films):
        raise InputError(
            f"The {split} split of {version} has no film with music, so nothing can be trained or evaluated on it; "
            "curate again with other split years or more films"
        )
    shards = sorted(segments["shard"].unique().to_pylist())
    mels = MelReader(lake, shards, read_settings(lake, shards[0]))
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
        positions=mels.locate(segments["shard"], segments["row"].to_numpy()),
        mels=mels,
    )


def _read(lake: Lake, version: str, file: datasets.VersionFile, split: str) -> pa.Table:
    path = lake.local_path(datasets.FOLDER, version, file.name)
    return pq.read_table(path, filters=[("split", "=", split)])


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
