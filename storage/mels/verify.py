"""Is a mel shard what it says it is? Its parameters, layout, sizes and checksums, and its tracks.

A quick look reads the footer and the plain columns; a deep one every byte, against the seal. Nothing
is repaired: each finding is a sentence, and a person decides.
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
from storage.mels.checksums import check_seal
from storage.mels.reader import row_offsets
from storage.mels.settings import check_settings, settings_of
from storage.mels.writer import COLUMNS, columns, read_tracks
from storage.tables import tables
from storage.tables.schemas import TRACKS

Row = Mapping[str, Any]
EXTRACT_AGAIN = "delete it and collect soundtracks again"
READ_BACK = "collect soundtracks again: the run reads back what the shard says; if it still differs, delete the shard"
STANDING = pa.schema(
    [("shard", pa.string()), ("track_id", pa.string()), ("first_row", pa.int32()), ("segments", pa.int32())]
)
"""Where tracks stand in shards, whatever the table `tracks` says of it."""
AGREED = ("first_row", "segments", "audio_sha256")
"""What a shard's own `tracks` rows and the table's must say alike."""


def recorded_tracks(lake: Lake) -> dict[str, list[Row]]:
    """The rows of the `tracks` table by shard, for `shard_damage`. Raises `LakeError` if it is damaged."""
    found: dict[str, list[Row]] = {}
    for row in tables.latest(lake, TRACKS, ["track_id", "shard", *AGREED]).to_pylist():
        if row["shard"] is not None and row["segments"]:  # none: what was taken down
            found.setdefault(row["shard"], []).append(row)
    return found


def shard_damage(lake: Lake, shard: str, recorded: Sequence[Row] | None, *, deep: bool) -> Iterator[tuple[str, str]]:
    """What is wrong with one shard and what to do about it; nothing if it is whole.

    `recorded` are its rows in the `tracks` table, or None when that table cannot be read.
    """
    damages = list(_file_damage(lake, shard, deep=deep))
    if damages:
        yield from ((what, EXTRACT_AGAIN) for what in damages)
    elif recorded is not None:
        held = [row for row in _carried(lake, shard) if row["segments"]]
        yield from ((what, READ_BACK) for what in _disagreement(held, recorded))


def standing_tracks(lake: Lake, shard: str) -> pa.Table:
    """Where each track's segments stand in a whole shard: shard, track_id, first_row, segments.

    The first row is that of segment 0, so rows of a track that are not in their order are several tracks here.
    """
    plain = pq.ParquetFile(lake.local_path(shard)).read(["track_id", "segment"])
    first = pc.subtract(pa.array(np.arange(len(plain), dtype=np.int32)), plain["segment"].combine_chunks())
    tracks = plain.append_column("first_row", first).group_by(["track_id", "first_row"]).aggregate([([], "count_all")])
    names = pa.array([shard] * len(tracks), pa.string())
    counts = tracks["count_all"].cast(pa.int32())
    return pa.table([names, tracks["track_id"], tracks["first_row"], counts], schema=STANDING)


def _file_damage(lake: Lake, shard: str, *, deep: bool) -> Iterator[str]:
    path = lake.local_path(shard)
    try:
        with path.open("rb") as raw:
            check_seal(raw, shard, deep=deep)
            file = pq.ParquetFile(raw, page_checksum_verification=True)
            metadata = file.schema_arrow.metadata or {}
            settings = settings_of(shard, metadata)
            check_settings(shard, metadata, settings)
            if not file.schema_arrow.equals(columns(settings)):
                yield "has other columns than a mel shard"
                return
            offsets = row_offsets(shard, file.metadata, settings.segment_bytes)
            if len(offsets) and offsets[-1] + settings.segment_bytes > path.stat().st_size:
                yield "is shorter than its metadata says"
            plain = file.read(COLUMNS.names)
        carried = _carried(lake, shard)
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        yield str(error).splitlines()[0]
        return
    except LakeError as error:
        yield str(error)
        return
    yield from _rows_damage(shard, plain, carried)


def _carried(lake: Lake, shard: str) -> list[Row]:
    """The `tracks` rows in the shard itself, of those tracks that it holds or held before they were taken down."""
    return [row for row in read_tracks(lake, shard) if row.get("shard") == shard]


def _rows_damage(shard: str, plain: pa.Table, carried: Sequence[Row]) -> Iterator[str]:
    """Whether every row belongs to the track that claims it, in order."""
    held = [row for row in carried if row["segments"]]
    taken_down = [row["track_id"] for row in carried if not row["segments"]]
    blank = plain.filter(pc.is_in(plain["track_id"], value_set=pa.array(taken_down, pa.string())))
    claimed = sum(row["segments"] for row in held) + len(blank)
    if claimed != len(plain):
        yield f"holds {len(plain)} segments where its tracks have {claimed}"
        return
    film_id = shard.rsplit("/page=", 1)[-1].removesuffix(".parquet")
    if set(plain["film_id"].to_pylist()) - {film_id}:
        yield "holds segments of another film"
    track_ids, segments = plain["track_id"].to_pylist(), plain["segment"].to_pylist()
    for row in held:
        rows = slice(row["first_row"], row["first_row"] + row["segments"])
        if set(track_ids[rows]) != {row["track_id"]} or segments[rows] != list(range(row["segments"])):
            yield f"does not hold track {row['track_id']} where its tracks say"
    if not pc.all(blank["silent"]).as_py() and len(blank):
        yield "still holds the sound of a track that was taken down"
    if not np.isfinite(plain["ref_db"].to_numpy()).all():
        yield "holds a segment whose level is not a number"


def _disagreement(carried: Sequence[Row], recorded: Sequence[Row]) -> Iterator[str]:
    """Where the shard's own rows and the `tracks` table differ."""
    ours = {row["track_id"]: [row.get(name) for name in AGREED] for row in carried}
    theirs = {row["track_id"]: [row.get(name) for name in AGREED] for row in recorded}
    for track_id in sorted(ours.keys() - theirs.keys()):
        yield f"holds track {track_id}, which the table tracks does not say"
    for track_id in sorted(theirs.keys() - ours.keys()):
        yield f"lacks track {track_id}, which the table tracks says it holds"
    for track_id in sorted(name for name in ours.keys() & theirs.keys() if ours[name] != theirs[name]):
        yield f"and the table tracks say different things of track {track_id}"
