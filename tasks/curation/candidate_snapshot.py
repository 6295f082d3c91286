"""Load the candidates of a version: the newest films and tracks of the lake, as tables of one DuckDB connection.

Every later step of curation is SQL over `candidate_films` and `candidate_tracks`, which hold what the rules test.
Plots and images stay in their files until the version is written, so the tables are small; a `Snapshot` names the
parts that are read, so that both readings see the same rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import pyarrow as pa

from storage.lake.lake import Lake
from storage.mels.settings_and_shard_format import list_shards
from storage.records.review_answers_and_agreement import refused_pairs
from storage.tables.schemas import FILMS, OUTCOMES, THUMBNAILS, TRACKS
from storage.tables.tables import latest_sql
from storage.takedown_list_and_erasure import read_takedowns
from tasks.soundtracks.audio.fingerprint import IS_CURRENT

_FILMS = """
CREATE TABLE candidate_films AS
SELECT f.film_id, f.title, f.year, coalesce(len(f.plot), 0) AS paragraphs,
       sha256(to_json(f.plot)::VARCHAR) AS plot_sha256,
       coalesce(f.tags, []) AS tags, f.url, f.revision_id, coalesce(f.licence, 'unknown') AS licence,
       coalesce(f.state, 'present') AS state, t.sha256 AS thumbnail_sha256
FROM {films} f LEFT JOIN (SELECT film_id, sha256 FROM {thumbnails} WHERE width IS NOT NULL) t USING (film_id)
ORDER BY film_id
"""

_TRACKS = """
CREATE TABLE candidate_tracks AS
SELECT t.film_id, t.track_id, t.title, t.artist, t.album, t.source, t.url, coalesce(t.licence, 'unknown') AS licence,
       coalesce(t.decoded_seconds, t.duration_seconds) AS duration_seconds, t.decision, t.reason,
       t.channel_id, octet_length(t.fingerprint) = 0 AS is_silent,
       coalesce({is_current}, false) AS has_fingerprint,
       t.audio_sha256, t.shard, t.first_row, t.segments, s.shard IS NOT NULL AS in_lake
FROM {tracks} t LEFT JOIN committed_shards s USING (shard)
ORDER BY film_id, track_id
"""

_SEARCHES = """
CREATE TABLE searches AS SELECT item AS film_id, reason FROM {outcomes} WHERE stage = 'soundtrack'
"""


@dataclass(frozen=True)
class Snapshot:
    """The newest rows of the tables at one moment, as SQL that names the parts it reads."""

    films: str
    thumbnails: str
    tracks: str
    outcomes: str
    shards: tuple[str, ...]
    takedowns: frozenset[str]
    refused: frozenset[str]
    """Pairs, FILM_ID/TRACK_ID, that a reviewer said no to."""


def take_snapshot(lake: Lake) -> Snapshot:
    """Return the newest rows as of now: whatever is committed later waits for the next version."""
    films, thumbnails, tracks, outcomes = (latest_sql(lake, t) for t in (FILMS, THUMBNAILS, TRACKS, OUTCOMES))
    shards = tuple(list_shards(lake))
    return Snapshot(films, thumbnails, tracks, outcomes, shards, read_takedowns(lake), refused_pairs(lake))


def load_candidates(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> None:
    """Create `candidate_films`, `candidate_tracks`, `searches` and `refused_pairs` in the connection."""
    connection.register("committed_shards", pa.table({"shard": pa.array(snapshot.shards, pa.string())}))
    connection.execute(_FILMS.format(films=snapshot.films, thumbnails=snapshot.thumbnails))
    connection.execute(_TRACKS.format(tracks=snapshot.tracks, is_current=IS_CURRENT))
    connection.execute(_SEARCHES.format(outcomes=snapshot.outcomes))
    connection.register("refused", pa.table({"item": pa.array(sorted(snapshot.refused), pa.string())}))
    connection.execute("CREATE TABLE refused_pairs AS FROM refused")
    connection.unregister("committed_shards")
