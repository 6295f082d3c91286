"""One recording, one film: the same audio under two films would leak from one side of the split to another.

A remake, a shared album or a re-upload puts one recording under several films. It stays with the film that
came first (by release year, then by id), because music is placed in a film before it is reused.
"""

from __future__ import annotations

import duckdb

_DUPLICATES = """
CREATE OR REPLACE TABLE duplicates AS
SELECT item, kept, CASE WHEN audio_sha256 = kept_audio THEN 'same_audio'
                        WHEN track_id = kept_track THEN 'same_track' ELSE 'same_sound' END AS rule
FROM (
    SELECT film_id, track_id, film_id || '/' || track_id AS item, audio_sha256, place,
           first_value(film_id || '/' || track_id) OVER best AS kept,
           first_value(audio_sha256) OVER best AS kept_audio,
           first_value(track_id) OVER best AS kept_track
    FROM (SELECT t.film_id, t.track_id, t.audio_sha256, r.recording,
                 row_number() OVER (ORDER BY f.year, t.film_id, t.track_id) AS place
          FROM usable_tracks t JOIN films f USING (film_id) JOIN recordings r USING (film_id, track_id))
    WINDOW best AS (PARTITION BY recording ORDER BY place))
WHERE item <> kept
"""


def find_duplicates(connection: duckdb.DuckDBPyConnection) -> None:
    """Make `tracks` (one row a recording) and `duplicates` (item, kept, rule) from the tracks of `films`."""
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
"""Films whose every recording belongs to others, and to which."""


def exclude_duplicates(connection: duckdb.DuckDBPyConnection) -> None:
    """Give every duplicate its row, with the track that stands for it."""
    connection.execute("INSERT INTO exclusions SELECT 'track', item, rule, kept FROM duplicates")
