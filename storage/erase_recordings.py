"""Erase what was computed from recordings that are taken down: mels, audio embeddings, and embeddings of models.

Rows and ids keep their places, so that the segment index of every data-set version remains valid, and evaluations of
older runs still find every id: mels become silence, and vectors of models zero, which is tied with everything.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from storage.audio_embeddings import (
    film_of,
    list_embeddings,
    read_file,
    vectors_by_track,
    write_embeddings,
    year_of,
)
from storage.errors import LakeError
from storage.lake.lake import Lake
from storage.mels.reader import TrackMels, read_mels, read_tracks
from storage.mels.writer import rewrite_shard

FOLDER = "models"
COLUMNS = ("id", "vector")
"""Of a file of embeddings; it may have others."""


def blank_embeddings(lake: Lake, ids: Collection[str]) -> int:
    """Replace the embeddings of these ids by zeros in every model folder; returns in how many files there were any."""
    return sum(_blank(lake, path, ids) for path in lake.list(FOLDER, suffix=".parquet"))


def _blank(lake: Lake, path: str, ids: Collection[str]) -> bool:
    """Blank one file, if it is one of embeddings: `id`, which may recur, and `vector` as a list of fixed size."""
    try:
        table = pq.read_table(lake.local_path(path)).combine_chunks()
    except (pa.ArrowException, OSError) as error:
        raise LakeError(f"{path} is damaged ({error}); delete it and evaluate the model again") from error
    if not set(COLUMNS) <= set(table.schema.names):
        return False
    column = table.column("vector").combine_chunks()
    vectors = column.flatten().to_numpy(zero_copy_only=False).reshape(len(table), column.type.list_size).copy()
    rows = np.isin(np.array(table.column("id").to_pylist(), dtype=object), sorted(ids))
    if not vectors[rows].any():
        return False
    vectors[rows] = 0
    blanked = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1), pa.float32()), column.type.list_size)
    lake.write_table(table.set_column(table.schema.get_field_index("vector"), "vector", blanked), path)
    return True


def blank_track(lake: Lake, shard: str, track_id: str) -> None:
    """Replace the mels of a recording by silence; the other rows stay as they are."""
    settings, tracks = read_mels(lake, shard)
    blanked = [(name, _silence(mels) if name == track_id else mels) for name, mels in tracks]
    rows = [
        {**row, "decision": "rejected", "reason": "taken_down", "segments": None, "fingerprint": None}
        if row["track_id"] == track_id
        else row
        for row in read_tracks(lake, shard)
    ]
    rewrite_shard(lake, shard, settings, blanked, rows)


def _silence(mels: TrackMels) -> TrackMels:
    return replace(
        mels,
        stored=np.zeros_like(mels.stored),
        ref_db=np.full_like(mels.ref_db, -100.0),
        peak=np.zeros_like(mels.peak),
        silent=np.ones_like(mels.silent),
        clipped_fraction=np.zeros_like(mels.clipped_fraction),
    )


def drop_embeddings(lake: Lake, film_id: str, track_ids: Collection[str] | None = None) -> int:
    """Delete a film's embeddings by all encoders, or only those of some tracks; returns in how many files they were."""
    return sum(_drop(lake, path, track_ids) for path in list_embeddings(lake) if film_of(path) == film_id)


def _drop(lake: Lake, path: str, track_ids: Collection[str] | None) -> bool:
    """Delete a file, or write it again without some tracks; returns whether it held any of them."""
    if track_ids is None:
        lake.remove(path)
        return True
    card, table = read_file(lake, path)
    vectors = vectors_by_track(table)
    kept = [(track_id, own) for track_id, own in vectors.items() if track_id not in track_ids]
    if len(kept) == len(vectors):
        return False
    if kept:
        write_embeddings(lake, card, film_of(path), year_of(path), kept)
    else:
        lake.remove(path)
    return True
