"""Find tracks that are one recording, and keep each recording under one film only.

The same audio under two films would leak from one split to another. Tracks are one recording if they have the same
bytes, the same upload, or the same sound: a copy in another encoding, with another lead-in, end or level. It stays with
the film that was released first (then the smallest id), because music is placed in a film before it is reused in a
remake, a compilation or a re-upload. Recordings whose fingerprint an older version made are compared by bytes and
upload only, until a collection run has made it again from their mels.

Pairs of the same sound are found at any offset, in bounded memory and linear time. Each track's words
(`tasks/soundtracks/audio/fingerprint.py`) are looked up without their places. Tracks that share
words the same time apart are candidates, and their contours decide. All steps work on sorted runs: arrays of one batch
each, sorted and written to a temporary folder, of which then one range of keys at a time is read from every run. The
fingerprints are read twice, whatever the number of candidates: once for the words of all, once for the contours of the
candidates, which then lie in one file. So memory is bounded by `TRACKS_PER_RUN`, `ENTRIES_PER_RANGE` and DuckDB's
limit, and the folder takes about 12 bytes per word, 6 kB per track, and a whole fingerprint, 32 kB of four
minutes, per track that has a candidate.

The work is in proportion to the number of tracks, since a word that few tracks have pairs all of them, one that more
have pairs each with the next only, which suffices to join the copies of one recording, and one that very many have is
a property of codecs, test tones or instruments and pairs none.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from storage.errors import LakeError
from storage.tables.duckdb_connection import SPILL_PREFIX, fetch_rows, joins_as_written
from tasks.curation.candidate_snapshot import Snapshot
from tasks.soundtracks.audio.fingerprint import IS_CURRENT, TIME_BITS, Fingerprint, decode, is_same_sound, stored_words

_FINGERPRINTS = f"""
SELECT item, fingerprint FROM (SELECT film_id, track_id, fingerprint FROM {{tracks}} WHERE {IS_CURRENT})
JOIN items USING (film_id, track_id)
"""

_EQUAL_VALUES = """
SELECT item AS one, min(item) OVER (PARTITION BY {column}) AS other FROM items WHERE {column} IS NOT NULL
"""

_RECORDINGS = """
WITH members AS (
    SELECT kept, item, rule FROM duplicates UNION SELECT kept, kept AS item, NULL AS rule FROM duplicates
), placed AS (
    SELECT kept, rule, {split} AS split
    FROM members LEFT JOIN candidate_films ON film_id = split_part(item, '/', 1)
), recordings AS (
    SELECT count(rule) AS tracks, bool_or(rule = 'same_sound') AS by_sound, bool_or(split = 'test') AS in_test,
           count(DISTINCT split) > 1 AS across
    FROM placed GROUP BY kept
)
SELECT count(*) AS joined, sum(tracks) AS tracks_left_out, count(*) FILTER (by_sound) AS by_sound,
       count(*) FILTER (in_test) AS in_test, count(*) FILTER (across) AS across_splits,
       (SELECT count(*) FROM candidate_tracks SEMI JOIN usable_tracks USING (film_id, track_id)
        WHERE NOT has_fingerprint) AS without_fingerprint
FROM recordings
"""
"""The recordings that several tracks are. A track of a film that is not in the version counts by its film's year."""

TRACKS_PER_READ = 512
"""Whole fingerprints that are held at once, 16 MB of four minutes each."""
TRACKS_PER_RUN = 4_096
"""Tracks whose words are sorted together."""
ENTRIES_PER_RANGE = 4_000_000
"""Words, or votes, sorted at once: about 200 MB."""
ITEM_BITS = 24
"""Of a key; the other 40 are a word's hash, or the other track of a pair."""
MAX_ITEMS = 1 << ITEM_BITS
FEW_TRACKS = 8
"""A word that at most so many tracks have pairs all of them."""
MAX_TRACKS_PER_WORD = 1_000
SAME_SHIFT = 3
"""Votes at most so many frames apart, of 10 ms, are for one offset."""
MIN_VOTES = 2
OFFSETS_TRIED = 3
"""Of a pair, those with the most votes: music that repeats itself has some at every repetition."""
Entries = tuple[NDArray[np.uint64], NDArray[np.int32]]
"""Keys, and a value of each."""


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


def count_recordings(connection: duckdb.DuckDBPyConnection, split: str) -> dict[str, Any]:
    """Count the recordings that several tracks are, and those across splits; `split` is the SQL of a film's split."""
    return fetch_rows(connection, _RECORDINGS.format(split=split))[0]


def exclude_duplicates(connection: duckdb.DuckDBPyConnection) -> None:
    """Insert an exclusion for every duplicate, with the track that represents the recording."""
    connection.execute("INSERT INTO exclusions SELECT 'track', item, rule, kept FROM duplicates")


@dataclass
class SortedRuns:
    """Keys with values, on disk, sorted run by run."""

    folder: Path
    name: str
    entries: int = 0
    runs: list[Path] = field(default_factory=list)
    """Of the keys; the values lie next to them."""

    def add(self, keys: NDArray[np.uint64], values: NDArray[np.int32]) -> None:
        """Write one run. Raises `LakeError` when the temporary folder is full."""
        order = np.argsort(keys, kind="stable")
        path = self.folder / f"{self.name}-{len(self.runs)}.keys"
        with _enough_disk():
            keys[order].tofile(path)
            values[order].tofile(path.with_suffix(".values"))
        self.runs += [path] if len(keys) else []
        self.entries += len(keys)

    def ranges(self) -> Iterator[Entries]:
        """Yield all entries, one range of keys after another, sorted; equal keys in the order of their runs."""
        if not self.entries:
            return
        limits = self._limits(-(-self.entries // ENTRIES_PER_RANGE))
        cuts = [self._cut(run, limits) for run in self.runs]
        for number in range(len(limits) + 1):
            parts = [(run, cut[number], cut[number + 1]) for run, cut in zip(self.runs, cuts, strict=True)]
            keys = np.concatenate([_read(run, np.uint64, *part) for run, *part in parts])
            values = np.concatenate([_read(run.with_suffix(".values"), np.int32, *part) for run, *part in parts])
            order = np.argsort(keys, kind="stable")
            yield keys[order], values[order]

    def remove(self) -> None:
        """Delete the runs: the temporary folder need not hold the words and the contours at once."""
        for run in self.runs:
            run.unlink()
            run.with_suffix(".values").unlink()

    def _limits(self, count: int) -> NDArray[np.uint64]:
        """Return the keys at which ranges begin, from a sample. Keys of one upper part are never divided."""
        step = max(1, self.entries // (count * 1_000))
        sample = np.sort(np.concatenate([np.memmap(run, np.uint64, "r")[::step] for run in self.runs]))
        chosen = sample[np.arange(1, count) * len(sample) // count]
        return np.unique(chosen >> np.uint64(ITEM_BITS) << np.uint64(ITEM_BITS))

    def _cut(self, run: Path, limits: NDArray[np.uint64]) -> list[int]:
        """Return where in a run each range begins, and where the last one ends."""
        keys = np.memmap(run, np.uint64, "r")
        return [0, *np.searchsorted(keys, limits).tolist(), len(keys)]


@contextmanager
def _enough_disk() -> Iterator[None]:
    """Raise `LakeError` when the temporary folder is full."""
    try:
        yield
    except OSError as error:
        raise LakeError(
            f"Too little disk space to compare recordings ({error}); set TMPDIR to a larger disk"
        ) from error


def _read(path: Path, kind: type, start: int, end: int) -> NDArray[Any]:
    return np.fromfile(path, kind, end - start, offset=start * np.dtype(kind).itemsize)


def find_same_sound(connection: duckdb.DuckDBPyConnection, fingerprints: str) -> pa.Table:
    """Return the pairs (one, other) of items that are one sound.

    `fingerprints` is a SELECT of item (from 1, below `MAX_ITEMS`) and fingerprint. Raises `LakeError` when the
    temporary folder is full or there are too many items.
    """
    with tempfile.TemporaryDirectory(prefix=f"{SPILL_PREFIX}{os.getpid()}-", ignore_cleanup_errors=True) as folder:
        words = _index_words(connection, fingerprints, Path(folder))
        votes = SortedRuns(Path(folder), "votes")
        for keys, places in words.ranges():
            votes.add(*_vote(keys, places))
        words.remove()
        candidates = _write_candidates(votes, Path(folder, "candidates"))
        votes.remove()
        same = _compare(_Contours(connection, fingerprints, candidates, Path(folder, "contours")), candidates)
    one, other = zip(*sorted(same), strict=True) if same else ((), ())
    return pa.table({"one": pa.array(one, pa.int32()), "other": pa.array(other, pa.int32())})


def _batches(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a query whose joins have the fingerprints on the left."""
    with joins_as_written(connection):
        yield from connection.sql(query).to_arrow_reader(TRACKS_PER_READ)


def _index_words(connection: duckdb.DuckDBPyConnection, fingerprints: str, folder: Path) -> SortedRuns:
    """Write the words of all tracks: the key is a word's hash above its item, the value its place in frames."""
    words = SortedRuns(folder, "words")
    keys: list[NDArray[np.uint64]] = []
    places: list[NDArray[np.int32]] = []
    for batch in _batches(connection, fingerprints):
        items = batch.column("item").to_pylist()
        if max(items, default=0) >= MAX_ITEMS:
            raise LakeError(f"More than {MAX_ITEMS - 1:,} recordings cannot be compared; curate a part of the films")
        for item, stored in zip(items, batch.column("fingerprint"), strict=True):
            decoded = stored_words(stored.as_py())
            keys.append(decoded >> np.uint64(TIME_BITS) << np.uint64(ITEM_BITS) | np.uint64(item))
            places.append((decoded & np.uint64((1 << TIME_BITS) - 1)).astype(np.int32))
        if len(keys) >= TRACKS_PER_RUN:
            words.add(np.concatenate(keys), np.concatenate(places))
            keys, places = [], []
    if keys:
        words.add(np.concatenate(keys), np.concatenate(places))
    return words


def _vote(keys: NDArray[np.uint64], places: NDArray[np.int32]) -> Entries:
    """Return the votes of one range of words: pairs of tracks as keys, and their offsets in frames.

    The smaller item of a pair is the upper part of its key; the offset is the larger one's place minus its own.
    """
    items, word = (keys & np.uint64(MAX_ITEMS - 1)).astype(np.int64), keys >> np.uint64(ITEM_BITS)
    starts = np.flatnonzero(np.diff(word, prepend=~word[:1]) != 0)
    sizes = np.diff(np.append(starts, len(word)))
    size = np.repeat(sizes, sizes)
    pairs, shifts = [np.empty(0, np.uint64)], [np.empty(0, np.int32)]
    for apart in range(1, min(FEW_TRACKS, len(word))):
        limit = MAX_TRACKS_PER_WORD if apart == 1 else FEW_TRACKS
        is_pair = (word[apart:] == word[:-apart]) & (size[apart:] <= limit) & (items[apart:] != items[:-apart])
        at = np.flatnonzero(is_pair)
        pairs.append((items[at] << ITEM_BITS | items[at + apart]).astype(np.uint64))
        shifts.append(places[at + apart] - places[at])
    return np.concatenate(pairs), np.concatenate(shifts).astype(np.int32)


CANDIDATE = np.dtype([("one", np.int32), ("other", np.int32), ("shift", np.float32)])
"""Two items, and how many frames later the second is."""


def _write_candidates(votes: SortedRuns, path: Path) -> NDArray[Any]:
    """Return the pairs with votes enough for one offset, each with the offsets that have the most, as mapped records.

    They are ordered by pair.
    """
    with _enough_disk(), path.open("wb") as file:
        for pairs, shifts in votes.ranges():
            _candidates(pairs, shifts).tofile(file)
    return np.memmap(path, CANDIDATE, "r") if path.stat().st_size else np.empty(0, CANDIDATE)


def _candidates(pairs: NDArray[np.uint64], shifts: NDArray[np.int32]) -> NDArray[Any]:
    """Return the candidates among the votes of some pairs."""
    order = np.lexsort((shifts, pairs))
    pair, shift = pairs[order], shifts[order].astype(np.int64)
    is_new = (np.diff(pair, prepend=~pair[:1]) != 0) | (np.diff(shift, prepend=0) > SAME_SHIFT)
    starts = np.flatnonzero(is_new)
    count = np.diff(np.append(starts, len(pair)))
    enough = np.flatnonzero(count >= MIN_VOTES)
    if not len(enough):
        return np.empty(0, CANDIDATE)
    mean = np.add.reduceat(shift, starts) / count
    ranked = enough[np.lexsort((-count[enough], pair[starts][enough]))]
    first = np.flatnonzero(np.diff(pair[starts][ranked], prepend=~pair[starts][ranked][:1]) != 0)
    rank = np.arange(len(ranked)) - np.repeat(first, np.diff(np.append(first, len(ranked))))
    chosen = ranked[rank < OFFSETS_TRIED]
    made, keys = np.empty(len(chosen), CANDIDATE), pair[starts[chosen]]
    made["one"], made["other"] = keys >> np.uint64(ITEM_BITS), keys & np.uint64(MAX_ITEMS - 1)
    made["shift"] = mean[chosen]
    return made


class _Contours:
    """The fingerprints of all candidates, in one file that is read where it is needed."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, fingerprints: str, candidates: NDArray[Any], path: Path
    ) -> None:
        wanted = np.unique(np.concatenate([candidates["one"], candidates["other"]]))
        self._starts = np.full(int(wanted.max(initial=0)) + 1, -1, np.int64)
        self._lengths = np.zeros(len(self._starts), np.int32)
        connection.register("wanted", pa.table({"item": wanted}))
        rows = f"SELECT item, fingerprint FROM ({fingerprints}) SEMI JOIN wanted USING (item)"
        with _enough_disk(), path.open("wb") as file:
            for batch in _batches(connection, rows):
                for item, stored in zip(batch["item"].to_pylist(), batch["fingerprint"], strict=True):
                    self._starts[item], self._lengths[item] = file.tell(), len(stored.as_py())
                    file.write(stored.as_py())
        connection.unregister("wanted")
        self._bytes = np.memmap(path, np.uint8, "r") if path.stat().st_size else np.empty(0, np.uint8)

    @lru_cache(maxsize=512)  # noqa: B019 - it lives as long as one comparison
    def of(self, item: int) -> Fingerprint | None:
        """Return the fingerprint of an item; None for one that cannot be read."""
        start = int(self._starts[item])
        return decode(self._bytes[start : start + int(self._lengths[item])].tobytes()) if start >= 0 else None


def _compare(contours: _Contours, candidates: NDArray[Any]) -> set[tuple[int, int]]:
    """Return the candidates whose contours are of one recording."""
    same: set[tuple[int, int]] = set()
    for one, other, shift in candidates:
        pair = int(one), int(other)
        if pair in same:
            continue
        left, right = contours.of(pair[0]), contours.of(pair[1])
        if left is not None and right is not None and is_same_sound(left, right, float(shift)):
            same.add(pair)
    return same
