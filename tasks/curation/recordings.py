"""Which tracks are one recording: the same bytes, the same upload, or a re-encoding of the same sound.

Re-encodings are found by the fingerprints of their mels (`tasks/soundtracks/fingerprint.py`: one 32-bit word
each half second). Measured on 14 pieces in six encodings each: two encodings of one recording share
2 to 90 % of their words at the same place, unrelated music none, and of all their bits 86 to 99 % agree
(Opus at 32 kb/s is the worst), unrelated music half. So tracks that share a word at a place are
compared bit by bit, which costs time in proportion to the tracks, not to their pairs.
"""

from __future__ import annotations

import duckdb

from tasks.curation.candidates import Snapshot

PLACES = 64
"""Words of a track that are looked up, spread over its length. At 5 % shared, 96 % of pairs meet."""
COMMON = 50
"""A word that more tracks than this have at one place is a property of codecs or test tones, not of a recording."""
MOMENT_SECONDS = 0.496
SHORTEST_WORDS = 16
"""Eight seconds must be compared: fewer bits agree by chance too often, and padding has none of its own."""
SAME_BITS = 0.82
"""Below the worst encoding (0.86), above two themes of one composer on the same instruments (0.77)."""

_WORDS = f"""
SELECT item, hex(fingerprint) AS words,
       least(octet_length(fingerprint) // 4, floor(duration_seconds / {MOMENT_SECONDS})::INTEGER - 1) AS length
FROM (SELECT film_id, track_id, fingerprint FROM {{tracks}}) JOIN items USING (film_id, track_id)
WHERE fingerprint IS NOT NULL
"""
"""A track's words as hexadecimal text, eight letters each, without those of the silence that pads it."""

_MEETINGS = f"""
CREATE TEMP TABLE meetings AS
WITH looked_up AS (
    SELECT item, place, substr(words, place * 8 + 1, 8) AS word
    FROM (SELECT *, unnest(range(0, length, greatest(1, length // {PLACES}))) AS place
          FROM ({_WORDS}) WHERE length >= {SHORTEST_WORDS})
    WHERE word <> '00000000'
), met AS (
    SELECT list(item ORDER BY item) AS items FROM looked_up GROUP BY place, word
    HAVING count(*) BETWEEN 2 AND {COMMON}
)
SELECT DISTINCT items[1] AS one, unnest(items[2:]) AS other FROM met
"""
"""Pairs to compare. A word met by several tracks pairs each with the first: sameness is carried on."""

_SAME_SOUND = f"""
SELECT one, other FROM (
    SELECT m.one, m.other, a.words AS left_words, b.words AS right_words,
           unnest(range(least(a.length, b.length))) AS place
    FROM meetings m
    JOIN ({_WORDS}) a ON a.item = m.one
    JOIN ({_WORDS}) b ON b.item = m.other)
CROSS JOIN LATERAL (SELECT ('0x' || substr(left_words, place * 8 + 1, 8))::UINTEGER AS left_word,
                           ('0x' || substr(right_words, place * 8 + 1, 8))::UINTEGER AS right_word)
WHERE left_word <> 0 OR right_word <> 0
GROUP BY one, other
HAVING count(*) >= {SHORTEST_WORDS} AND sum(bit_count(xor(left_word, right_word))) < {1 - SAME_BITS} * 32 * count(*)
"""

_ONE_OF = """
SELECT item AS one, min(item) OVER (PARTITION BY {column}) AS other FROM items WHERE {column} IS NOT NULL
"""


def find_recordings(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> None:
    """Make `recordings` (film_id, track_id, recording): tracks of one number are one recording."""
    connection.execute(
        "CREATE TEMP TABLE items AS SELECT film_id, track_id, audio_sha256, duration_seconds, "
        "row_number() OVER (ORDER BY film_id, track_id) AS item FROM usable_tracks"
    )
    connection.execute(_MEETINGS.format(tracks=snapshot.tracks))
    same = [_ONE_OF.format(column="audio_sha256"), _ONE_OF.format(column="track_id")]
    same.append(_SAME_SOUND.format(tracks=snapshot.tracks))
    pairs = " UNION ".join(f"({query})" for query in same)
    connection.execute(f"CREATE TEMP TABLE same AS SELECT * FROM ({pairs}) WHERE one <> other")
    connection.execute("INSERT INTO same SELECT other, one FROM same")
    connection.execute("CREATE TEMP TABLE labels AS SELECT item, item AS recording FROM items")
    while _spread_smallest_label(connection):
        pass
    connection.execute(
        "CREATE TABLE recordings AS SELECT film_id, track_id, recording FROM items JOIN labels USING (item)"
    )


def _spread_smallest_label(connection: duckdb.DuckDBPyConnection) -> int:
    """Give each item the smallest label among its neighbours; returns how many changed."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE smaller AS
        SELECT same.one AS item, min(theirs.recording) AS recording
        FROM same JOIN labels theirs ON theirs.item = same.other JOIN labels ours ON ours.item = same.one
        WHERE theirs.recording < ours.recording GROUP BY same.one
        """
    )
    connection.execute("UPDATE labels SET recording = s.recording FROM smaller s WHERE labels.item = s.item")
    [(changed,)] = connection.execute("SELECT count(*) FROM smaller").fetchall()
    return int(changed)
