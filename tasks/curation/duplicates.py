"""Find tracks that are one recording, and keep each recording under one film only.

The same audio under two films would leak from one split to another. Tracks are one recording if they have the same
bytes, the same upload, or the same sound: a copy in another encoding, with another lead-in, end or level. It stays with
the film that was released first (then the smallest id), because music is placed in a film before it is reused in a
remake, a compilation or a re-upload.

Copies are found by fingerprint, at any offset (`tasks/curation/same_sound.py`). Recordings whose fingerprint an older
version made are compared by bytes and upload only, until a collection run has made it again from their mels.
"""

from __future__ import annotations

import duckdb

from tasks.curation.candidates import Snapshot
from tasks.curation.same_sound import find_same_sound
from tasks.soundtracks.audio.fingerprint import IS_CURRENT

_FINGERPRINTS = f"""
SELECT item, fingerprint FROM (SELECT film_id, track_id, fingerprint FROM {{tracks}} WHERE {IS_CURRENT})
JOIN items USING (film_id, track_id)
"""

_EQUAL_VALUES = """
SELECT item AS one, min(item) OVER (PARTITION BY {column}) AS other FROM items WHERE {column} IS NOT NULL
"""


def find_recordings(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> None:
    """Create the table `recordings` (film_id, track_id, recording): tracks with the same number are one recording."""
    connection.execute(
        "CREATE TABLE items AS SELECT film_id, track_id, audio_sha256, "
        "row_number() OVER (ORDER BY film_id, track_id)::INTEGER AS item FROM usable_tracks"
    )
    connection.register("same_sound", find_same_sound(connection, _FINGERPRINTS.format(tracks=snapshot.tracks)))
    same = [_EQUAL_VALUES.format(column=column) for column in ("audio_sha256", "track_id")]
    pairs = " UNION ".join(f"({query})" for query in [*same, "FROM same_sound"])
    connection.execute(f"CREATE TEMP TABLE same AS SELECT * FROM ({pairs}) WHERE one <> other")
    connection.execute("INSERT INTO same SELECT other, one FROM same")
    connection.execute("CREATE TEMP TABLE labels AS SELECT item, item AS recording FROM items")
    while _propagate_smallest_label(connection):
        pass
    connection.execute(
        "CREATE TABLE recordings AS SELECT film_id, track_id, recording FROM items JOIN labels USING (item)"
    )


def _propagate_smallest_label(connection: duckdb.DuckDBPyConnection) -> int:
    """Give each item the smallest label among its neighbours; return how many changed."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE smaller AS
        SELECT same.one AS item, min(neighbour.recording) AS recording
        FROM same JOIN labels neighbour ON neighbour.item = same.other JOIN labels own ON own.item = same.one
        WHERE neighbour.recording < own.recording GROUP BY same.one
        """
    )
    connection.execute("UPDATE labels SET recording = s.recording FROM smaller s WHERE labels.item = s.item")
    [(changed,)] = connection.execute("SELECT count(*) FROM smaller").fetchall()
    return int(changed)


_DUPLICATES = """
CREATE OR REPLACE TABLE duplicates AS
SELECT item, kept, CASE WHEN audio_sha256 = kept_audio THEN 'same_audio'
                        WHEN track_id = kept_track THEN 'same_track' ELSE 'same_sound' END AS rule
FROM (
    SELECT film_id, track_id, film_id || '/' || track_id AS item, audio_sha256, film_order,
           first_value(film_id || '/' || track_id) OVER best AS kept,
           first_value(audio_sha256) OVER best AS kept_audio,
           first_value(track_id) OVER best AS kept_track
    FROM (SELECT t.film_id, t.track_id, t.audio_sha256, r.recording,
                 row_number() OVER (ORDER BY f.year, t.film_id, t.track_id) AS film_order
          FROM usable_tracks t JOIN films f USING (film_id) JOIN recordings r USING (film_id, track_id))
    WINDOW best AS (PARTITION BY recording ORDER BY film_order))
WHERE item <> kept
"""


def find_duplicates(connection: duckdb.DuckDBPyConnection) -> None:
    """Create `tracks` (one row per recording) and `duplicates` (item, kept, rule) from the tracks of `films`."""
    connection.execute(_DUPLICATES)
    connection.execute(
        "CREATE OR REPLACE TABLE tracks AS SELECT t.* FROM usable_tracks t JOIN films USING (film_id) "
        "WHERE t.film_id || '/' || t.track_id NOT IN (SELECT item FROM duplicates)"
    )


FILMS_WITHOUT_TRACK = """
SELECT film_id, 'all of ' || string_agg(DISTINCT owner, ', ' ORDER BY owner) AS value
FROM (SELECT split_part(item, '/', 1) AS film_id, split_part(kept, '/', 1) AS owner FROM duplicates)
WHERE film_id NOT IN (SELECT film_id FROM tracks) GROUP BY film_id
"""
"""SELECT of the films whose every recording belongs to other films, and to which."""


def exclude_duplicates(connection: duckdb.DuckDBPyConnection) -> None:
    """Insert an exclusion for every duplicate, with the track that represents the recording."""
    connection.execute("INSERT INTO exclusions SELECT 'track', item, rule, kept FROM duplicates")
