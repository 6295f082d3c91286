"""Find damage in a file of audio embeddings, and where it disagrees with the film's shard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from storage.audio_embeddings.cards import CARD, FOLDER, read_card
from storage.audio_embeddings.files import AGAIN, VECTOR, file_schema, film_of, read_file
from storage.errors import LakeError
from storage.lake.lake import Lake
from storage.mels.settings import MelSettings
from storage.mels.writer import read_tracks

LARGEST_OFFSET_SECONDS = 0.05
"""How far a row may begin from its mel segment."""


def embeddings_damage(lake: Lake, path: str, shards: Mapping[str, str], *, deep: bool) -> Iterator[str]:
    """Yield what is wrong with one file of embeddings; nothing if it is intact.

    `shards` has film_id -> shard of every film. A file without a shard is what a crash left of a film that is not
    done: the next run replaces it.
    """
    try:
        card, table = read_file(lake, path, deep=deep)
    except LakeError as error:
        yield str(error).removesuffix(f"; {AGAIN}")
        return
    if not table.schema.remove_metadata().equals(file_schema(card.dimensions)):
        yield "has other columns than audio embeddings"
        return
    if card.folder != path.split("/")[1]:
        yield f"was made by {card.name}, to which this folder does not belong"
    elif lake.exists(FOLDER, card.folder, CARD) and read_card(lake, card.folder).weights_sha256 != card.weights_sha256:
        yield "was made with other weights than the rest of its folder"
    if set(table["film_id"].to_pylist()) - {film_of(path)}:
        yield "holds segments of another film"
    if not np.isfinite(table[VECTOR].combine_chunks().flatten().to_numpy()).all():
        yield "holds numbers that are not finite"
    if (shard := shards.get(film_of(path))) is not None:
        yield from _misaligned(table, read_tracks(lake, shard))


def _misaligned(table: pa.Table, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the tracks whose rows are not the segments that the film's shard has of them."""
    segments = {row["track_id"]: row["segments"] for row in rows if row.get("segments")}
    expected = pc.multiply(table["segment"].cast(pa.float32()), MelSettings().segment_seconds)
    offset = pc.abs(pc.subtract(expected, table["start_seconds"]))
    if len(table) and pc.max(offset).as_py() > LARGEST_OFFSET_SECONDS:
        yield f"holds a row that begins more than {LARGEST_OFFSET_SECONDS} s from its mel segment"
    ids, numbers = table["track_id"].to_pylist(), table["segment"].to_pylist()
    found: dict[str, list[int]] = {}
    for track_id, number in zip(ids, numbers, strict=True):
        found.setdefault(track_id, []).append(number)
    for track_id, own in found.items():
        if track_id not in segments:
            yield f"holds track {track_id}, which the film's shard lacks"
        elif sorted(own) != list(range(segments[track_id])):
            yield f"has {len(own)} rows of track {track_id}, of which the shard has {segments[track_id]} segments"
