"""Verify a mel shard: its parameters, layout, sizes, checksums, and the tracks that it claims to hold.

A quick check reads the footer and the plain columns; a deep one compares every byte with its checksum. Nothing
is repaired: each finding is a sentence with a remedy, and the user decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from storage.errors import LakeError
from storage.lake.lake import Lake
from storage.mels.reader import read_tracks
from storage.mels.settings_and_shard_format import (
    COLUMNS,
    EXTRACT_AGAIN,
    check_settings,
    film_id_of,
    parse_settings,
    row_offsets,
    shard_schema,
    verify_checksums,
)
from storage.tables import tables
from storage.tables.schemas import TRACKS

Row = Mapping[str, Any]
RECOVER = "collect soundtracks again: the run recovers the rows from the shard; if it still differs, delete the shard"
TRACK_ROWS = pa.schema(
    [("shard", pa.string()), ("track_id", pa.string()), ("first_row", pa.int32()), ("segments", pa.int32())]
)
"""The rows of each track in a shard, as found in the shard itself."""
COMPARED_COLUMNS = ("first_row", "segments", "audio_sha256")
"""The columns in which a shard's own `tracks` rows and the table must agree."""


def recorded_tracks(lake: Lake) -> dict[str, list[Row]]:
    """Return the rows of the `tracks` table by shard, for `shard_damage`. Raises `LakeError` if it is damaged."""
    by_shard: dict[str, list[Row]] = {}
    for row in tables.latest(lake, TRACKS, ["track_id", "shard", *COMPARED_COLUMNS]).to_pylist():
        if row["shard"] is not None and row["segments"]:  # a recording that was taken down has none
            by_shard.setdefault(row["shard"], []).append(row)
    return by_shard


def shard_damage(lake: Lake, shard: str, recorded: Sequence[Row] | None, *, deep: bool) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with one shard, and the remedy; nothing if it is intact.

    `recorded` are its rows in the `tracks` table, or None when that table cannot be read.
    """
    damages = list(_file_damage(lake, shard, deep=deep))
    if damages:
        yield from ((what, EXTRACT_AGAIN) for what in damages)
    elif recorded is not None:
        stored = [row for row in _carried_rows(lake, shard) if row["segments"]]
        yield from ((what, RECOVER) for what in _disagreement(stored, recorded))


def track_rows(lake: Lake, shard: str) -> pa.Table:
    """Return the rows of each track in an intact shard: shard, track_id, first_row, segments.

    The first row is that of segment 0, so a track whose rows are out of order has several rows here.
    """
    plain = pq.ParquetFile(lake.local_path(shard)).read(["track_id", "segment"])
    first = pc.subtract(pa.array(np.arange(len(plain), dtype=np.int32)), plain["segment"].combine_chunks())
    tracks = plain.append_column("first_row", first).group_by(["track_id", "first_row"]).aggregate([([], "count_all")])
    names = pa.array([shard] * len(tracks), pa.string())
    counts = tracks["count_all"].cast(pa.int32())
    return pa.table([names, tracks["track_id"], tracks["first_row"], counts], schema=TRACK_ROWS)


def _file_damage(lake: Lake, shard: str, *, deep: bool) -> Iterator[str]:
    path = lake.local_path(shard)
    try:
        with path.open("rb") as raw:
            verify_checksums(raw, shard, deep=deep)
            file = pq.ParquetFile(raw, page_checksum_verification=True)
            metadata = file.schema_arrow.metadata or {}
            settings = parse_settings(shard, metadata)
            check_settings(shard, metadata, settings)
            if not file.schema_arrow.equals(shard_schema(settings.segment_bytes)):
                yield "has other columns than a mel shard"
                return
            offsets = row_offsets(shard, file.metadata, settings.segment_bytes)
            if len(offsets) and offsets[-1] + settings.segment_bytes > path.stat().st_size:
                yield "is shorter than its metadata says"
            plain = file.read(COLUMNS.names)
        carried = _carried_rows(lake, shard)
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        yield str(error).splitlines()[0]
        return
    except LakeError as error:
        yield str(error)
        return
    yield from _rows_damage(shard, plain, carried)


def _carried_rows(lake: Lake, shard: str) -> list[Row]:
    """Return the shard's own `tracks` rows of the tracks that it holds, or held before they were taken down."""
    return [row for row in read_tracks(lake, shard) if row.get("shard") == shard]


def _rows_damage(shard: str, plain: pa.Table, carried: Sequence[Row]) -> Iterator[str]:
    """Yield how the segments differ from what the tracks rows claim."""
    stored = [row for row in carried if row["segments"]]
    taken_down = [row["track_id"] for row in carried if not row["segments"]]
    blank = plain.filter(pc.is_in(plain["track_id"], value_set=pa.array(taken_down, pa.string())))
    claimed = sum(row["segments"] for row in stored) + len(blank)
    if claimed != len(plain):
        yield f"holds {len(plain)} segments where its tracks have {claimed}"
        return
    if set(plain["film_id"].to_pylist()) - {film_id_of(shard)}:
        yield "holds segments of another film"
    track_ids, segments = plain["track_id"].to_pylist(), plain["segment"].to_pylist()
    for row in stored:
        rows = slice(row["first_row"], row["first_row"] + row["segments"])
        if set(track_ids[rows]) != {row["track_id"]} or segments[rows] != list(range(row["segments"])):
            yield f"does not hold track {row['track_id']} in the rows that its tracks claim"
    if not pc.all(blank["silent"]).as_py() and len(blank):
        yield "still holds the sound of a track that was taken down"
    if not np.isfinite(plain["ref_db"].to_numpy()).all():
        yield "holds a segment whose level is not a number"


def _disagreement(carried: Sequence[Row], recorded: Sequence[Row]) -> Iterator[str]:
    """Yield where the shard's own rows and the `tracks` table differ."""
    ours = {row["track_id"]: [row.get(name) for name in COMPARED_COLUMNS] for row in carried}
    theirs = {row["track_id"]: [row.get(name) for name in COMPARED_COLUMNS] for row in recorded}
    for track_id in sorted(ours.keys() - theirs.keys()):
        yield f"holds track {track_id}, which the table tracks lacks"
    for track_id in sorted(theirs.keys() - ours.keys()):
        yield f"lacks track {track_id}, which the table tracks lists"
    for track_id in sorted(name for name in ours.keys() & theirs.keys() if ours[name] != theirs[name]):
        yield f"disagrees with the table tracks about track {track_id}"
