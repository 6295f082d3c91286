"""Which tracks are one recording: the same bytes, the same upload, or a re-encoding of the same sound.

Re-encodings are found by the fingerprints of their mels (`tasks/soundtracks/audio/fingerprint.py`: one 32-bit word
each half second). Measured on 14 pieces in six encodings each: two encodings of one recording share
2 to 90 % of their words at the same place, unrelated music none, and of all their bits 86 to 99 % agree
(Opus at 32 kb/s is the worst), unrelated music half. So tracks that share a word at a place are
compared bit by bit, which costs time in proportion to the tracks, not to their pairs.
"""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

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
TRACKS_AT_ONCE = 16_384
BUCKETS = 16

_FINGERPRINTS = """
SELECT item, fingerprint,
       least(octet_length(fingerprint) // 4, floor(duration_seconds / {moment}) - 1)::INTEGER AS length
FROM (SELECT film_id, track_id, fingerprint FROM {tracks}) JOIN items USING (film_id, track_id) {only}
WHERE fingerprint IS NOT NULL AND length >= {shortest}
"""
"""A track's words, and how many there are without those of the silence that pads it."""

_MEETINGS = """
INSERT INTO meetings
WITH shared AS (
    SELECT place_and_word, min(item) AS one FROM looked_up_{bucket} GROUP BY place_and_word
    HAVING count(*) BETWEEN 2 AND {common})
SELECT DISTINCT one, item FROM looked_up_{bucket} JOIN shared USING (place_and_word) WHERE item <> one
"""

_ONE_OF = """
SELECT item AS one, min(item) OVER (PARTITION BY {column}) AS other FROM items WHERE {column} IS NOT NULL
"""


def find_recordings(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> None:
    """Make `recordings` (film_id, track_id, recording): tracks of one number are one recording."""
    connection.execute(
        "CREATE TABLE items AS SELECT film_id, track_id, audio_sha256, duration_seconds, "
        "row_number() OVER (ORDER BY film_id, track_id)::INTEGER AS item FROM usable_tracks"
    )
    _look_up_words(connection, snapshot)
    connection.register("same_sound", _same_sound(connection, snapshot))
    same = [_ONE_OF.format(column=column) for column in ("audio_sha256", "track_id")]
    pairs = " UNION ".join(f"({query})" for query in [*same, "FROM same_sound"])
    connection.execute(f"CREATE TEMP TABLE same AS SELECT * FROM ({pairs}) WHERE one <> other")
    connection.execute("INSERT INTO same SELECT other, one FROM same")
    connection.execute("CREATE TEMP TABLE labels AS SELECT item, item AS recording FROM items")
    while _spread_smallest_label(connection):
        pass
    connection.execute(
        "CREATE TABLE recordings AS SELECT film_id, track_id, recording FROM items JOIN labels USING (item)"
    )


def _look_up_words(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> None:
    """Make `meetings` (one, other): tracks that share a word at a place, each with the first that has it.

    The words go into several tables by their lowest bits, so that grouping each fits in memory.
    """
    for bucket in range(BUCKETS):
        connection.execute(f"CREATE TABLE looked_up_{bucket} (item INTEGER, place_and_word UBIGINT)")
    writer = connection.cursor()
    for batch in connection.sql(_fingerprints(snapshot)).to_arrow_reader(TRACKS_AT_ONCE):
        writer.register("batch", _sampled_words(batch))
        for bucket in range(BUCKETS):
            writer.execute(f"INSERT INTO looked_up_{bucket} FROM batch WHERE place_and_word % {BUCKETS} = {bucket}")
    connection.execute("CREATE TABLE meetings (one INTEGER, other INTEGER)")
    for bucket in range(BUCKETS):
        connection.execute(_MEETINGS.format(bucket=bucket, common=COMMON))
        connection.execute(f"DROP TABLE looked_up_{bucket}")


def _fingerprints(snapshot: Snapshot, only: str = "") -> str:
    return _FINGERPRINTS.format(tracks=snapshot.tracks, moment=MOMENT_SECONDS, shortest=SHORTEST_WORDS, only=only)


def _sampled_words(batch: pa.RecordBatch) -> pa.Table:
    """The looked-up words of a batch of tracks: item, and the place in the upper half of 64 bits over the word."""
    column = batch.column("fingerprint").cast(pa.large_binary())
    words = np.frombuffer(column.buffers()[2] or b"", "<u4")
    first = np.frombuffer(column.buffers()[1], "<i8")[column.offset :][: len(column)] // 4
    length = batch.column("length").to_numpy().astype(np.int64)
    stride = np.maximum(1, length // PLACES)
    count = -(-length // stride)
    place = (np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)) * np.repeat(stride, count)
    word = words[np.repeat(first, count) + place].astype(np.uint64)
    item = np.repeat(batch.column("item").to_numpy(), count)
    is_heard = word != 0  # silence is zeros
    key = (place.astype(np.uint64) << np.uint64(32)) | word
    return pa.table({"item": item[is_heard], "place_and_word": key[is_heard]})


def _same_sound(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> pa.Table:
    """The meetings of which most bits agree. Few tracks meet, so their fingerprints fit in memory."""
    only = "SEMI JOIN (SELECT one AS item FROM meetings UNION SELECT other FROM meetings) USING (item)"
    rows = connection.execute(_fingerprints(snapshot, only)).fetchall()
    words = {item: np.frombuffer(fingerprint, "<u4")[:length] for item, fingerprint, length in rows}
    pairs = connection.execute("SELECT DISTINCT one, other FROM meetings ORDER BY ALL").fetchall()
    same = [(one, other) for one, other in pairs if _agree(words[one], words[other])]
    one, other = zip(*same, strict=True) if same else ((), ())
    return pa.table({"one": pa.array(one, pa.int32()), "other": pa.array(other, pa.int32())})


def _agree(one: NDArray[np.uint32], other: NDArray[np.uint32]) -> bool:
    """Whether two fingerprints are of one recording, from its start to the end of the shorter."""
    shorter = min(len(one), len(other))
    left, right = one[:shorter], other[:shorter]
    heard = int(np.count_nonzero(left | right))
    different = int(np.bitwise_count(left ^ right).sum())
    return heard >= SHORTEST_WORDS and different < (1 - SAME_BITS) * 32 * heard


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
