"""The takedown list: films, recordings and channels that must not be collected because somebody asked so; erasure.

The list is read before any request is made for an item; `tasks/soundtracks/runs/takedown.py` removes what
was stored. An entry is withdrawn by a newer row with `active` false.

What was computed from recordings that are taken down is erased: mels, audio embeddings, and embeddings of models. Rows
and ids keep their places, so that the segment index of every data-set version remains valid, and evaluations of
older runs still find every id: mels become silence, and vectors of models zero, which is tied with everything.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

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
from storage.datasets import versions
from storage.errors import LakeError
from storage.lake.lake import Lake
from storage.mels.reader import TrackMels, read_mels, read_tracks
from storage.mels.writer import rewrite_shard
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import TAKEDOWNS, TRACKS

FOLDER = "models"
COLUMNS = ("id", "vector")
"""Of a file of embeddings; it may have others."""


def record_takedown(lake: Lake, item: str, because: str, run_id: str, *, is_active: bool = True) -> None:
    """Add a film_id, a track_id or `channel:ID` to the list, or remove it (`is_active` false)."""
    tables.append(lake, TAKEDOWNS, [{"item": item, "because": because, "active": is_active}], run_id)


def read_takedowns(lake: Lake) -> frozenset[str]:
    """Read the items that are on the list now."""
    rows = tables.latest(lake, TAKEDOWNS, ["item", "active"]).to_pylist()
    return frozenset(row["item"] for row in rows if row["active"])


@dataclass
class Takedowns:
    """The list for a run that takes hours: read again whenever somebody changed it."""

    lake: Lake
    _parts: list[str] | None = None
    _items: frozenset[str] = field(default_factory=frozenset)

    def read(self) -> frozenset[str]:
        """Return the items that are on the list now."""
        parts = tables.parts(self.lake, TAKEDOWNS)
        if parts != self._parts:
            self._items, self._parts = read_takedowns(self.lake), parts
        return self._items


class HiddenTracks:
    """The tracks that must not be found or listed, read again whenever somebody changed the list."""

    def __init__(self, lake: Lake) -> None:
        self._list = Takedowns(lake)
        self._items: frozenset[str] = frozenset()
        self._of_version: dict[str, frozenset[str]] = {}

    def read(self, dataset_versions: Sequence[str] = ()) -> frozenset[str]:
        """Return the items on the list, and the tracks of these versions whose film or channel is on it."""
        items = self._list.read()
        if items is not self._items:
            self._items, self._of_version = items, {}
        if not items:
            return items
        for version in dataset_versions:
            if version not in self._of_version:
                self._of_version[version] = taken_down_tracks(self._list.lake, version)
        return items.union(*(self._of_version[version] for version in dataset_versions))


def taken_down_tracks(lake: Lake, version: str) -> frozenset[str]:
    """Return the track_ids of a data-set version that are on the list now, themselves or by their film or channel."""
    items = read_takedowns(lake)
    if not items:
        return frozenset()
    channels = f"(SELECT film_id, track_id, channel_id FROM {tables.latest_sql(lake, TRACKS)})"
    query = (
        f"SELECT DISTINCT track_id FROM read_parquet(?) LEFT JOIN {channels} USING (film_id, track_id) "
        "WHERE list_has_any(?, [film_id, track_id, 'channel:' || channel_id])"
    )
    tracks_file = versions.file_uri(lake, version, versions.TRACKS_FILE.name)
    with duckdb_connection.connect(lake) as connection:
        return frozenset(track_id for (track_id,) in connection.execute(query, [tracks_file, sorted(items)]).fetchall())


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
