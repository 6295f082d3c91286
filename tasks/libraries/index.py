"""Index the files of a library for an engine: decode them, have their tracks embedded, commit what is known.

The process pool that extracts soundtracks decodes. Each file becomes a mel shard of a temporary lake, for an audio
encoder also a file of samples at its rate, which are removed once its track is embedded: the library keeps embeddings
and descriptions, never mels or audio. Descriptions are committed before embeddings, and these before the rows of files:
after a kill, a file whose row does not name its track is decoded again, and what it lacks is there or is made.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from storage.errors import ItemError, Retry
from storage.lake.lake import Lake, open_lake
from storage.libraries.library import Library
from storage.libraries.library_embeddings import TrackEmbedding, append_embeddings, embedded_tracks
from storage.mels.settings_and_shard_format import MelSettings
from storage.records.outcomes import Outcome, Stage, from_error
from tasks.soundtracks.candidate_recordings import Recording
from tasks.soundtracks.extraction.embed_audio import decoded_audio
from tasks.soundtracks.extraction.film_jobs import FilmJob, FilmResult
from tasks.soundtracks.extraction.process_pool import PoolExtractor

FILES_AT_ONCE, SOUNDS_AT_ONCE = 32, 8
"""Dispatched together: their mels wait on disk, 2.3 MB for each of three minutes, until they are embedded. Samples for
an audio encoder are 17 MB."""
DESCRIBED = (
    "segments", "codec", "sample_rate_hz", "loudness_lufs", "loudness_range_lu", "tempo_bpm", "brightness_hz",
    "silent_share", "energy_db", "fingerprint",
)  # fmt: skip
"""Columns of a track's row that extraction states under the same name."""
TRACKS_PER_COMMIT = 64
FileRow = Mapping[str, Any]


@dataclass(frozen=True)
class Heard:
    """A decoded track, as it waits to be embedded."""

    mels: Lake
    """A temporary lake."""
    shard: str
    """Of its mels, in that lake."""
    segments: int
    sound: str | None
    """A file of its samples at the rate of an audio encoder: mono, 16 bits, without a header."""


Embed = Callable[[Heard], TrackEmbedding]


@dataclass(frozen=True)
class Decoded:
    """A file of a library after decoding: its row, and its track with what is to be embedded, or why there is none."""

    file: FileRow
    track: dict[str, Any] | None
    heard: Heard | None
    failure: Outcome | None


class Decoder:
    """Decodes files in a process pool, into shards of a temporary lake and, at `rate_hz`, files of samples."""

    def __init__(self, library: Library, mels: Lake, pool: PoolExtractor, rate_hz: int | None) -> None:
        self.mels = mels
        self._library = library
        self._pool = pool
        self._rates = () if rate_hz is None else (rate_hz,)

    def decode(self, files: Sequence[FileRow]) -> Iterator[Decoded]:
        """Yield the files as they become ready, in any order. `discard` what is heard of each when it is used."""
        waiting = {f"file-{number}": file for number, file in enumerate(files)}
        names, jobs = list(waiting), dict[str, FilmJob]()
        at_once = SOUNDS_AT_ONCE if self._rates else FILES_AT_ONCE
        for start in range(0, len(names), at_once):
            batch = [self._job(name, waiting[name]) for name in names[start : start + at_once]]
            jobs |= {job.film_id: job for job in batch}
            for result in self._pool.extract(batch, drain=start + at_once >= len(names)):
                yield self._decoded(waiting[result.film_id], jobs.pop(result.film_id), result)

    def discard(self, heard: Heard) -> None:
        """Delete the shard and the samples of a track."""
        if heard.sound is None:
            heard.mels.remove(heard.shard)
        else:
            shutil.rmtree(heard.mels.root)

    def _job(self, name: str, file: FileRow) -> FilmJob:
        path = self._library.mounted(file["folder"]) / str(file["path"])
        rows = ({"film_id": name, "track_id": name},)
        pending = str(Path(self.mels.root, "sounds", name)) if self._rates else ""
        recordings = (Recording(name, str(path)),)
        return FilmJob(name, 0, recordings, rows, describes=True, pending=pending, rates_hz=self._rates)

    def _decoded(self, file: FileRow, job: FilmJob, result: FilmResult) -> Decoded:
        failure = _change(file, job, result) or (result.outcomes[0] if result.shard is None else None)
        if failure is not None or result.shard is None:
            if result.shard is not None:
                self.mels.remove(result.shard)
            if job.pending:
                shutil.rmtree(job.pending, ignore_errors=True)
            return Decoded(file, None, None, failure)
        [row] = result.rows
        track = {name: row[name] for name in DESCRIBED}
        track |= {"track_id": row["audio_id"], "duration_seconds": row["decoded_seconds"]}
        mels, sound = self.mels, None
        if self._rates:
            mels, [(paths, _)] = Lake(job.pending), decoded_audio(job, result)
            sound = paths[self._rates[0]]
        return Decoded(file, track, Heard(mels, result.shard, row["segments"], sound), None)


def _change(file: FileRow, job: FilmJob, result: FilmResult) -> Outcome | None:
    """Return why what was heard cannot be said of the scanned file: another has its path since, or it is being written.

    Its row has the bytes that were scanned, by which a file that moved is recognised. New tags alone are no obstacle.
    """
    [recording], heard = job.recordings, {row.get("audio_id") for row in result.rows}
    try:
        found = Path(recording.path).stat()
    except OSError:
        return None  # the next scan marks it as vanished
    if (found.st_size, found.st_mtime_ns) == (file["size_bytes"], file["modified_ns"]) or file["track_id"] in heard - {
        None
    }:
        return None
    name = Path(recording.path).name
    said = f"{name} has changed while it was indexed; index the library again once nothing writes to it"
    return from_error(Stage.TRACK, recording.track_id, ItemError("changed", said, Retry.LATER))


@contextmanager
def open_decoder(
    library: Library, settings: MelSettings, run_id: str, workers: int, rate_hz: int | None = None
) -> Iterator[Decoder]:
    """Open a decoder whose mels are like those that a run was trained on; short tracks are padded with silence.

    `rate_hz`: the sample rate of the audio encoder that is to hear the tracks.
    """
    padded = replace(settings, short_tracks="pad")
    with tempfile.TemporaryDirectory(prefix="needledrop-library-") as folder:
        mels = open_lake(folder)
        with PoolExtractor(mels, padded, run_id, workers=workers) as pool:
            yield Decoder(library, mels, pool, rate_hz)


def files_to_index(library: Library, engine: str, folders: Collection[str] | None = None) -> list[dict[str, Any]]:
    """Return the files to decode for an engine: one per track that it has not embedded, and those not decoded yet.

    `folders`: the ids of those that are mounted, where not all are. A file that cannot be decoded is tried again when
    it changes, or when its failure may pass.
    """
    embedded, seen, chosen = embedded_tracks(library, engine), set[str](), []
    for row in library.file_rows():
        track_id = row["track_id"]
        if row["state"] == "vanished" or (row["state"] == "failed" and row["retry"] == Retry.NEVER):
            continue
        if folders is not None and row["folder"] not in folders:
            continue
        if track_id is None or (track_id not in embedded and track_id not in seen):
            chosen.append(row)
            seen |= {track_id} - {None}
    return chosen


@dataclass
class IndexCounts:
    """What became of the files of one run of the index."""

    files: int = 0
    embedded: int = 0
    copies: int = 0
    """Files that hold a track which is embedded already: a copy, or the same audio with other tags."""
    failed: int = 0


def index_files(
    library: Library, files: Sequence[FileRow], decoder: Decoder, embed: Embed, run_id: str, engine: str
) -> Iterator[IndexCounts]:
    """Decode, embed and commit files; yields the counts so far after each file.

    `run_id` is recorded with every row; `engine` is the trained run, or the audio encoder, that embeds.
    """
    counts = IndexCounts()
    known = set(embedded_tracks(library, engine))
    batch = _Batch(library, run_id, engine)
    for one in decoder.decode(files):
        counts.files += 1
        if one.failure is not None or one.track is None or one.heard is None:
            counts.failed += 1
            batch.files.append(_file_row(one, state="failed"))
        else:
            track_id = one.track["track_id"]
            if track_id in known:
                counts.copies += 1
            else:
                batch.embeddings.append((track_id, embed(one.heard)))
                batch.tracks.append(one.track)
                known.add(track_id)
                counts.embedded += 1
            batch.files.append(_file_row(one, state="present", track_id=track_id))
            decoder.discard(one.heard)
        if len(batch.files) >= TRACKS_PER_COMMIT:
            batch.commit()
        yield counts
    batch.commit()


class _Batch:
    """Rows that are committed together, in the order in which they depend on each other."""

    def __init__(self, library: Library, run_id: str, engine: str) -> None:
        self._library, self._run_id, self._engine = library, run_id, engine
        self.embeddings: list[tuple[str, TrackEmbedding]] = []
        self.tracks: list[dict[str, Any]] = []
        self.files: list[dict[str, Any]] = []

    def commit(self) -> None:
        self._library.record(self._library.tracks, self.tracks, self._run_id)
        append_embeddings(self._library, self._engine, self.embeddings)
        self._library.record(self._library.files, self.files, self._run_id)
        self.embeddings, self.tracks, self.files = [], [], []


def _file_row(one: Decoded, *, state: str, track_id: str | None = None) -> dict[str, Any]:
    kept = {name: value for name, value in one.file.items() if name not in ("run_id", "recorded_at")}
    failed = one.failure
    why = {"reason": failed.reason, "message": failed.message, "retry": str(failed.retry)} if failed else {}
    return {**kept, "state": state, "track_id": track_id, "reason": None, "message": None, "retry": None, **why}
