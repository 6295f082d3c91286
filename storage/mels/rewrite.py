"""Rewrite a film's shard from its rows: blank one recording, or append more recordings.

Rows keep their numbers in both cases, so that the segment index of every data-set version remains valid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import LakeError
from storage.lake.lake import Lake
from storage.mels.layout import MEL_COLUMN, film_id_of, year_of
from storage.mels.settings import MelSettings, parse_settings
from storage.mels.writer import TrackMels, read_tracks, write_shard

Tracks = list[tuple[str, TrackMels]]


def read_mels(lake: Lake, shard: str) -> tuple[MelSettings, Tracks]:
    """Read a shard's settings and its recordings in row order; raises `LakeError` when it is damaged."""
    try:
        table = pq.ParquetFile(lake.local_path(shard)).read()
    except (pa.ArrowException, OSError) as error:
        raise LakeError(f"{shard} is damaged ({error}); delete it and collect soundtracks again") from error
    settings = parse_settings(shard, table.schema.metadata or {})
    ids = table["track_id"].to_pylist()
    tracks: Tracks = []
    start = 0
    for track_id, rows in groupby(ids):
        count = len(list(rows))
        tracks.append((track_id, _mels(table.slice(start, count), settings)))
        start += count
    return settings, tracks


def _mels(rows: pa.Table, settings: MelSettings) -> TrackMels:
    joined = b"".join(rows[MEL_COLUMN].to_pylist())
    return TrackMels(
        stored=np.frombuffer(joined, settings.dtype).reshape(len(rows), *settings.shape),
        **{
            name: rows[name].to_numpy().astype(rows.schema.field(name).type.to_pandas_dtype())
            for name in ("ref_db", "peak", "silent", "clipped_fraction", "padded_seconds")
        },
    )


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
    _write(lake, shard, settings, blanked, rows)


def add_tracks(lake: Lake, shard: str, added: Tracks, rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Append recordings to a film's shard; `rows` are the film's `tracks` rows, complete.

    Returns the first row of each added recording.
    """
    settings, tracks = read_mels(lake, shard)
    first_rows = {}
    total = sum(len(mels) for _track_id, mels in tracks)
    for track_id, mels in added:
        first_rows[track_id] = total
        total += len(mels)
    numbered = [{**row, "first_row": first_rows.get(row["track_id"], row.get("first_row"))} for row in rows]
    _write(lake, shard, settings, [*tracks, *added], numbered)
    return first_rows


def _write(lake: Lake, shard: str, settings: MelSettings, tracks: Tracks, rows: Sequence[Mapping[str, Any]]) -> None:
    with write_shard(lake, film_id_of(shard), year_of(shard), settings) as writer:
        for track_id, mels in tracks:
            writer.append(track_id, mels)
        writer.finish(rows)


def _silence(mels: TrackMels) -> TrackMels:
    return replace(
        mels,
        stored=np.zeros_like(mels.stored),
        ref_db=np.full_like(mels.ref_db, -100.0),
        peak=np.zeros_like(mels.peak),
        silent=np.ones_like(mels.silent),
        clipped_fraction=np.zeros_like(mels.clipped_fraction),
    )
