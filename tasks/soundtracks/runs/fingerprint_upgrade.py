"""Make the fingerprints that are missing or of an earlier version, from the mels that the lake has.

Nothing is decoded or fetched again. A recording gets a newer row of `tracks` with its fingerprint; which ones lack it
is read from the table, so an interrupted run goes on where it was. Films are done in batches under their leases, and
one that a living worker holds is left for the next run.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from storage.coordination.leases import LeaseKeeper, warn
from storage.errors import LakeError
from storage.lake.lake import Lake
from storage.mels.reader import read_mels
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import TRACKS
from tasks.progress import ReportProgress
from tasks.soundtracks.audio.fingerprint import IS_CURRENT, VERSION, fingerprint

FILMS_PER_BATCH = 32
"""Half a minute of reading; their rows become one part of the table."""
_MARKER = ("fingerprints", f"version-{VERSION}")
"""The file that says that no recording has a fingerprint of an older version."""
LACKS_FINGERPRINT = f"segments > 0 AND (fingerprint IS NULL OR NOT {IS_CURRENT} AND octet_length(fingerprint) > 0)"
"""SQL: whether a row of `tracks` has mels but no fingerprint of this version; silence needs none."""


@dataclass
class Fingerprinted:
    """How many tracks got a fingerprint, the films that others hold, and why shards could not be read."""

    tracks: int = 0
    held: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def make_fingerprints(lake: Lake, run_id: str, report: ReportProgress) -> Fingerprinted:
    """Make every fingerprint that the lake lacks, and commit them batch by batch."""
    films, done = _films_without(lake), Fingerprinted()
    for start in range(0, len(films), FILMS_PER_BATCH):
        report("fingerprints, films", start, len(films))
        with LeaseKeeper(lake) as leases:
            batch = films[start : start + FILMS_PER_BATCH]
            leased = [film_id for film_id in batch if leases.acquire(film_id, on_wait=warn)]
            done.held += sorted(set(batch) - set(leased))
            rows = _with_fingerprints(lake, leased, done)
            with leases.fenced(leased):
                tables.append(lake, TRACKS, rows, run_id)
        done.tracks += len(rows)
    report("fingerprints, films", len(films), len(films))
    return done


def bring_up_to_date(lake: Lake, run_id: str, report: ReportProgress) -> int:
    """Make the fingerprints of an older version again, once per lake; return how many were made.

    A collection run does this before a version is made, so that an upgrade does not bring back the copies that were
    found before it. Once all are made, a marker says so: reading every fingerprint at each run would take minutes.
    """
    if lake.exists(*_MARKER):
        return 0
    done = make_fingerprints(lake, run_id, report)
    if not done.held:
        lake.create_bytes(b"", *_MARKER)
    return done.tracks


def _films_without(lake: Lake) -> list[str]:
    query = f"SELECT DISTINCT film_id FROM {tables.latest_sql(lake, TRACKS)} WHERE {LACKS_FINGERPRINT} ORDER BY 1"
    with duckdb_connection.connect(lake, duckdb_connection.SMALL_MEMORY_LIMIT) as connection:
        return [film_id for (film_id,) in connection.execute(query).fetchall()]


def _with_fingerprints(lake: Lake, films: Collection[str], done: Fingerprinted) -> list[dict[str, Any]]:
    """Return the newest rows of these films that lacked a fingerprint, with it; what cannot be read goes to `done`."""
    by_shard: dict[str, list[dict[str, Any]]] = {}
    for row in _rows_without(lake, films):
        by_shard.setdefault(row["shard"], []).append(row)
    completed = []
    for shard, rows in by_shard.items():
        try:
            completed += _complete(lake, shard, rows)
        except LakeError as error:
            done.unreadable.append(str(error))
    return completed


def _rows_without(lake: Lake, films: Collection[str]) -> list[dict[str, Any]]:
    with duckdb_connection.connect(lake, duckdb_connection.SMALL_MEMORY_LIMIT) as connection:
        connection.register("chosen", pa.table({"film_id": pa.array(sorted(films), pa.string())}))
        newest = tables.latest_sql(lake, TRACKS, "film_id IN (FROM chosen)")
        query = f"SELECT * EXCLUDE (run_id, recorded_at) FROM {newest} WHERE {LACKS_FINGERPRINT}"
        rows: list[dict[str, Any]] = connection.sql(f"{query} ORDER BY film_id, track_id").to_arrow_table().to_pylist()
        return rows


def _complete(lake: Lake, shard: str, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of a shard's recordings with their fingerprints; one that the shard lacks is left out."""
    settings, tracks = read_mels(lake, shard)
    mels = dict(tracks)
    return [
        {**row, "fingerprint": fingerprint(mels[row["track_id"]], settings)} for row in rows if row["track_id"] in mels
    ]
