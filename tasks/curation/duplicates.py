"""Find tracks that are one recording, and keep each recording under one film only.

The same audio under two films would leak from one split to another. Tracks are one recording if they have the same
bytes, the same upload, or the same sound: a re-encoding. It stays with the film that was released first (then the
smallest id), because music is placed in a film before it is reused in a remake, a compilation or a re-upload.

Re-encodings are found by fingerprint (`tasks/soundtracks/audio/fingerprint.py`: one 32-bit word per half second).
Measured on 14 pieces in six encodings each: two encodings of one recording share 2 to 90 % of their words at the same
position, unrelated music none; of all their bits 86 to 99 % agree (Opus at 32 kb/s is the worst), of unrelated music
half. So tracks that share a word at a position are compared bit by bit, which costs time in proportion to the number
of tracks, not of pairs.
"""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa

from tasks.curation.candidates import Snapshot
from tasks.soundtracks.audio.fingerprint import MIN_WORDS, WORD_SECONDS, is_same_sound

SAMPLED_WORDS = 64
"""Words per track that are indexed, spread over its length; 96 % of pairs that share 5 % of their words collide."""
MAX_TRACKS_PER_WORD = 50
"""A word that more tracks have at one position is a property of codecs or test tones, not of a recording."""
TRACKS_PER_BATCH = 16_384
INDEX_BUCKETS = 16

_FINGERPRINTS = """
SELECT item, fingerprint,
       least(octet_length(fingerprint) // 4, floor(duration_seconds / {word_seconds}) - 1)::INTEGER AS length
FROM (SELECT film_id, track_id, fingerprint FROM {tracks}) JOIN items USING (film_id, track_id) {only}
WHERE fingerprint IS NOT NULL AND length >= {min_words}
"""
"""The words of a track, and how many of them are not padding."""

_COLLISIONS = """
INSERT INTO collisions
WITH shared AS (
    SELECT position_and_word, min(item) AS one FROM word_index_{bucket} GROUP BY position_and_word
    HAVING count(*) BETWEEN 2 AND {max_tracks})
SELECT DISTINCT one, item FROM word_index_{bucket} JOIN shared USING (position_and_word) WHERE item <> one
"""

_EQUAL_VALUES = """
SELECT item AS one, min(item) OVER (PARTITION BY {column}) AS other FROM items WHERE {column} IS NOT NULL
"""


def find_recordings(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> None:
    """Create the table `recordings` (film_id, track_id, recording): tracks with the same number are one recording."""
    connection.execute(
        "CREATE TABLE items AS SELECT film_id, track_id, audio_sha256, duration_seconds, "
        "row_number() OVER (ORDER BY film_id, track_id)::INTEGER AS item FROM usable_tracks"
    )
    _index_words(connection, snapshot)
    connection.register("same_sound", _find_same_sound(connection, snapshot))
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


def _index_words(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> None:
    """Create `collisions` (one, other): tracks that share a word at a position, each with the first one that has it.

    The words are divided among several tables by their lowest bits, so that grouping each fits in memory.
    """
    for bucket in range(INDEX_BUCKETS):
        connection.execute(f"CREATE TABLE word_index_{bucket} (item INTEGER, position_and_word UBIGINT)")
    writer = connection.cursor()
    for batch in connection.sql(_fingerprints(snapshot)).to_arrow_reader(TRACKS_PER_BATCH):
        writer.register("batch", _sample_words(batch))
        for bucket in range(INDEX_BUCKETS):
            writer.execute(
                f"INSERT INTO word_index_{bucket} FROM batch WHERE position_and_word % {INDEX_BUCKETS} = {bucket}"
            )
    connection.execute("CREATE TABLE collisions (one INTEGER, other INTEGER)")
    for bucket in range(INDEX_BUCKETS):
        connection.execute(_COLLISIONS.format(bucket=bucket, max_tracks=MAX_TRACKS_PER_WORD))
        connection.execute(f"DROP TABLE word_index_{bucket}")


def _fingerprints(snapshot: Snapshot, only: str = "") -> str:
    return _FINGERPRINTS.format(tracks=snapshot.tracks, word_seconds=WORD_SECONDS, min_words=MIN_WORDS, only=only)


def _sample_words(batch: pa.RecordBatch) -> pa.Table:
    """Return (item, position_and_word) for the sampled words of a batch: 32 bits of position above 32 bits of word."""
    column = batch.column("fingerprint").cast(pa.large_binary())
    words = np.frombuffer(column.buffers()[2] or b"", "<u4")
    first = np.frombuffer(column.buffers()[1], "<i8")[column.offset :][: len(column)] // 4
    length = batch.column("length").to_numpy().astype(np.int64)
    stride = np.maximum(1, length // SAMPLED_WORDS)
    count = -(-length // stride)
    position = (np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)) * np.repeat(stride, count)
    word = words[np.repeat(first, count) + position].astype(np.uint64)
    item = np.repeat(batch.column("item").to_numpy(), count)
    is_audible = word != 0  # silence is zeros
    key = (position.astype(np.uint64) << np.uint64(32)) | word
    return pa.table({"item": item[is_audible], "position_and_word": key[is_audible]})


def _find_same_sound(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> pa.Table:
    """Return the collisions of which most bits agree. Few tracks collide, so their fingerprints fit in memory."""
    only = "SEMI JOIN (SELECT one AS item FROM collisions UNION SELECT other FROM collisions) USING (item)"
    rows = connection.execute(_fingerprints(snapshot, only)).fetchall()
    words = {item: np.frombuffer(fingerprint, "<u4")[:length] for item, fingerprint, length in rows}
    pairs = connection.execute("SELECT DISTINCT one, other FROM collisions ORDER BY ALL").fetchall()
    same = [(one, other) for one, other in pairs if is_same_sound(words[one], words[other])]
    one, other = zip(*same, strict=True) if same else ((), ())
    return pa.table({"one": pa.array(one, pa.int32()), "other": pa.array(other, pa.int32())})


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
