"""What the lake says is done, and what a crash left half said.

A film's shard is its commit. Rows and outcomes are written just after it; when a crash fell between, the
shard still carries them, and the next run writes them down.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from storage.coordination.leases import is_leased
from storage.lake.lake import Lake
from storage.mels.layout import film_id_of, list_shards
from storage.mels.writer import read_tracks
from storage.records import outcomes
from storage.records.outcomes import REASONS, Outcome, Stage, Status, ok
from storage.tables import tables
from storage.tables.schemas import OUTCOMES, TRACKS


def done_films(lake: Lake) -> dict[str, str]:
    """film_id -> shard of every film whose music is committed."""
    return {film_id_of(shard): shard for shard in list_shards(lake)}


def recover(lake: Lake, run_id: str) -> int:
    """Write the rows and outcomes of films whose shard stands and whose rows or outcome do not; returns how many.

    A crash just after the shard leaves it so, and so does a damaged part of a table that a person deleted.
    """
    done = done_films(lake)
    with tables.connect(lake, tables.SMALL_MEMORY_LIMIT) as connection:
        connection.register("done", pa.table({"film_id": pa.array(sorted(done), pa.string())}))
        searches = tables.latest_sql(lake, OUTCOMES, "stage = 'soundtrack'")
        query = (
            f"FROM done EXCEPT (SELECT item FROM {searches} WHERE status = 'ok' "
            f"INTERSECT SELECT film_id FROM {tables.latest_sql(lake, TRACKS)} WHERE shard IS NOT NULL) ORDER BY film_id"
        )
        lost = [film_id for (film_id,) in connection.execute(query).fetchall()]
    # A living worker that holds a film is about to write them itself.
    lost = [film_id for film_id in lost if not is_leased(lake, film_id)]
    for film_id in lost:
        shard = done[film_id]
        rows = read_tracks(lake, shard)
        tables.append(lake, TRACKS, [_writable(row) for row in rows], run_id)
        ended = [outcome for row in rows if (outcome := _recovered(row))]
        audio_seconds = sum(row.get("decoded_seconds") or 0.0 for row in rows)
        outcomes.record(lake, [*ended, ok(Stage.SOUNDTRACK, film_id, audio_seconds=audio_seconds)], run_id)
    return len(lost)


def _recovered(row: dict[str, Any]) -> Outcome | None:
    item = f"{row['film_id']}/{row['track_id']}"
    if row.get("segments"):
        return ok(Stage.TRACK, item, audio_seconds=row.get("decoded_seconds"))
    if row.get("reason") in REASONS[Stage.TRACK]:
        return Outcome(Stage.TRACK, item, Status.FAILED, row["reason"], message="Known from the film's shard")
    return None


def _writable(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "run_id"}
