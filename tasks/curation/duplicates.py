"""One recording, one film: the same audio under two films would leak from one side of the split to another.

A remake, a shared album or a re-upload puts one recording under several films. It stays with the film that
came first (by release year, then by id), because music is placed in a film before it is reused. The
same bytes are found by their SHA-256, re-encodings by the fingerprint of their mels.
"""

from __future__ import annotations

import duckdb

_PREFERENCE = "f.year, t.film_id, t.track_id"


def find_duplicates(connection: duckdb.DuckDBPyConnection) -> None:
    """Make `tracks` (one row a recording) and `duplicates` (item, rule, kept item) from the tracks of `films`."""
    connection.execute(
        f"""
        CREATE OR REPLACE TABLE ranked AS
        SELECT t.*, f.year, t.film_id || '/' || t.track_id AS item,
               row_number() OVER (ORDER BY {_PREFERENCE}) AS preference
        FROM usable_tracks t JOIN films f USING (film_id)
        """
    )
    connection.execute(
        """
        CREATE OR REPLACE TABLE duplicates AS
        SELECT item, rule, kept FROM (
            SELECT item, preference, 'same_audio' AS rule,
                   first_value(item) OVER (PARTITION BY audio_sha256 ORDER BY preference) AS kept
            FROM ranked WHERE audio_sha256 IS NOT NULL
            UNION ALL
            SELECT item, preference, 'same_track' AS rule,
                   first_value(item) OVER (PARTITION BY track_id ORDER BY preference) AS kept
            FROM ranked)
        WHERE item <> kept
        QUALIFY row_number() OVER (PARTITION BY item ORDER BY rule) = 1
        """
    )
    connection.execute(
        "CREATE OR REPLACE TABLE tracks AS SELECT * EXCLUDE (item, preference, year) FROM ranked "
        "WHERE item NOT IN (SELECT item FROM duplicates)"
    )


FILMS_WITHOUT_TRACK = """
SELECT film_id, 'every recording belongs to an earlier film' AS value FROM films
WHERE film_id IN (SELECT film_id FROM ranked) AND film_id NOT IN (SELECT film_id FROM tracks)
"""


def exclude_duplicates(connection: duckdb.DuckDBPyConnection) -> None:
    """Give every duplicate its row, with the track that stands for it."""
    connection.execute("INSERT INTO exclusions SELECT 'track', item, rule, kept FROM duplicates")
