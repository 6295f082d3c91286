"""A film's recordings -> one committed mel shard, and films in parallel.

`extract_film` does one film in this process; `extract_films` spreads films over worker processes
(decoding scales 1.90 on two processes and 1.41 on two threads). One bad recording never loses the
others: it leaves an outcome with its reason, and the shard holds the rest. A recording that hangs
or crashes the decoder takes its worker with it; the film is then done again without that recording.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.errors import ItemError, LakeError, Retry
from storage.lake.lake import Lake
from storage.mels.layout import shard_path
from storage.mels.settings import MelSettings
from storage.mels.writer import ShardWriter, TrackMels, write_shard
from storage.records.outcomes import Outcome, Stage, from_error, ok
from tasks.soundtracks.audio.decode import AudioFile, length_tolerance_seconds
from tasks.soundtracks.audio.fingerprint import fingerprint
from tasks.soundtracks.audio.melspectrogram import segment_mels
from tasks.soundtracks.extraction.process_pool import WorkerDied, Workers

if TYPE_CHECKING:
    from types import TracebackType

FILM_ATTEMPTS = 3
"""A worker that dies outside of any recording says nothing about the film: it may be tried again."""


@dataclass(frozen=True)
class Recording:
    """One audio file of a film; `expected_seconds` is what its source says, never its own header."""

    track_id: str
    path: str
    expected_seconds: float | None = None


@dataclass(frozen=True)
class FilmJob:
    """A film's recordings and its `tracks` rows (all candidates, taken or not) before audio facts.

    `given_up` holds recordings that killed a worker: track_id -> the error that stands for them.
    """

    film_id: str
    year: int
    recordings: tuple[Recording, ...]
    rows: tuple[dict[str, Any], ...]
    given_up: Mapping[str, ItemError] = field(default_factory=dict)


@dataclass(frozen=True)
class FilmResult:
    """What became of a film: its shard (None when no recording was usable), completed rows, outcomes."""

    film_id: str
    shard: str | None
    rows: list[dict[str, Any]]
    outcomes: list[Outcome]


def extract_film(
    lake: Lake,
    job: FilmJob,
    settings: MelSettings,
    run_id: str,
    on_recording: Callable[[str], None] = lambda _track_id: None,
) -> FilmResult:
    """Decode a film's recordings into its mel shard and commit it.

    Rows come back completed with audio facts; `on_recording` hears each track_id before it is decoded.
    Raises `LakeError` when the shard cannot be written.
    """
    started = time.monotonic()
    rows = {row["track_id"]: dict(row, run_id=run_id) for row in job.rows}
    outcomes: list[Outcome] = []
    try:
        with write_shard(lake, job.film_id, job.year, settings) as writer:
            for recording in job.recordings:
                on_recording("" if recording.track_id in job.given_up else recording.track_id)
                row = rows.setdefault(recording.track_id, {"film_id": job.film_id, "track_id": recording.track_id})
                outcomes.append(_extract_recording(writer, job, recording, row))
            on_recording("")
            if not writer.rows:
                raise _NothingUsable
            writer.finish(list(rows.values()))
    except _NothingUsable:
        return FilmResult(job.film_id, None, list(rows.values()), [*outcomes, _film_failed(job, outcomes)])
    audio_seconds = sum(outcome.audio_seconds or 0.0 for outcome in outcomes)
    film = ok(Stage.SOUNDTRACK, job.film_id, time.monotonic() - started, audio_seconds)
    return FilmResult(job.film_id, shard_path(job.film_id, job.year), list(rows.values()), [*outcomes, film])


class _NothingUsable(Exception):
    """Leaves the staged shard behind uncommitted."""


def _extract_recording(writer: ShardWriter, job: FilmJob, recording: Recording, row: dict[str, Any]) -> Outcome:
    started = time.monotonic()
    item = f"{job.film_id}/{recording.track_id}"
    try:
        if recording.track_id in job.given_up:
            raise job.given_up[recording.track_id]
        facts, mels = _read_recording(recording, writer.settings)
    except ItemError as error:
        return _given_up(item, error, row, started)
    except MemoryError:
        too_large = ItemError("too_large", f"{Path(recording.path).name} needs more memory than a recording may have")
        return _given_up(item, too_large, row, started)
    except Exception as error:  # noqa: BLE001
        # Whatever else a hostile file makes a library raise: its film's other recordings go on, and the
        # outcome names the error and may be tried again, so that a mistake of ours is found and mended.
        unforeseen = ItemError("unforeseen_error", f"{type(error).__name__}: {error}", Retry.LATER)
        return _given_up(item, unforeseen, row, started)
    # Outside of the above: what fails here is the disk, and no recording is to blame for it.
    first_row = writer.append(recording.track_id, mels)
    row.update(facts, first_row=first_row, shard=shard_path(job.film_id, job.year))
    return ok(Stage.TRACK, item, time.monotonic() - started, facts["decoded_seconds"])


def _given_up(item: str, error: ItemError, row: dict[str, Any], started: float) -> Outcome:
    row.update(decision="rejected", reason=error.reason)
    return replace(from_error(Stage.TRACK, item, error), seconds=time.monotonic() - started)


def _read_recording(recording: Recording, settings: MelSettings) -> tuple[dict[str, Any], TrackMels]:
    """Decode one recording; returns its audio facts and its mels, or raises `ItemError`."""
    audio = AudioFile(recording.path, settings.sample_rate_hz)
    mels = segment_mels(audio.blocks(), settings, Path(recording.path).name)
    _check_length(audio.decoded_seconds, recording)
    facts = {
        "audio_sha256": _sha256(recording.path),
        "audio_bytes": Path(recording.path).stat().st_size,
        "codec": audio.codec,
        "sample_rate_hz": audio.source_rate_hz,
        "decoded_seconds": audio.decoded_seconds,
        "segments": len(mels),
        "fingerprint": fingerprint(mels),
    }
    return facts, mels


def _check_length(decoded_seconds: float, recording: Recording) -> None:
    """Truncation is silent in most formats: only the source's own length reveals it."""
    expected = recording.expected_seconds
    if expected and decoded_seconds < expected - length_tolerance_seconds(expected):
        raise ItemError(
            "truncated",
            f"{Path(recording.path).name} lasts {decoded_seconds:.1f} s of the {expected:.1f} s that its source says; "
            "fetch it again",
            Retry.LATER,
        )


def _sha256(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _film_failed(job: FilmJob, outcomes: Sequence[Outcome]) -> Outcome:
    again = any(outcome.retry is not Retry.NEVER for outcome in outcomes)
    error = ItemError(
        "no_usable_track",
        f"None of {len(job.recordings)} recordings became mels; see the outcomes of stage track",
        Retry.LATER if again else Retry.NEVER,
    )
    return from_error(Stage.SOUNDTRACK, job.film_id, error)


def extract_films(
    lake: Lake,
    jobs: Sequence[FilmJob],
    settings: MelSettings,
    run_id: str,
    *,
    workers: int,
    on_film: Callable[[FilmResult], None] | None = None,
) -> list[FilmResult]:
    """Extract films over worker processes; results come in the order in which films finish.

    Raises `LakeError` when a shard cannot be written.
    """
    results = []
    with Extraction(lake, settings, run_id, workers=workers) as extraction:
        for result in extraction.extract(jobs, to_the_end=True):
            results.append(result)
            if on_film is not None:
                on_film(result)
    return results


class Extraction:
    """Films through worker processes, one batch after another without a gap.

    A batch need not come to its end before the next one's first films are handed out, or one worker would
    wait for the other at every batch.
    """

    def __init__(self, lake: Lake, settings: MelSettings, run_id: str, *, workers: int) -> None:
        self._pool = Workers(workers, lake, settings, run_id)
        self._waiting: list[FilmJob] = []
        self._attempts: Counter[str] = Counter()

    def __enter__(self) -> Extraction:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Workers without a film rest; those that an error left at work are ended."""
        self._pool.__exit__(kind, error, trace)

    def extract(self, jobs: Sequence[FilmJob], *, to_the_end: bool) -> Iterator[FilmResult]:
        """Hand these films out; yields every film that ends meanwhile, also of earlier batches.

        Ends when all are handed out, or `to_the_end` when all are done. A film is handed out whole, the longest list
        of recordings first, so that the last worker does not start a long one when the others are done.
        Raises `LakeError` when a shard cannot be written.
        """
        self._waiting[:0] = sorted(jobs, key=lambda job: len(job.recordings))
        self._hand_out(to_the_end)
        while self._waiting or (to_the_end and self._pool.busy):
            ended = self._pool.wait()
            if isinstance(ended, WorkerDied):
                self._attempts[ended.job.film_id] += 1
                self._waiting += [*ended.not_begun, _without_culprit(ended, self._attempts[ended.job.film_id])]
            self._hand_out(to_the_end)  # before the caller hears of it: no worker waits while results are committed
            if isinstance(ended, FilmResult):
                yield ended

    def _hand_out(self, to_the_end: bool) -> None:
        """Films to all workers, and one more to each, for the caller gathers and commits meanwhile.

        The last ones of all are not given ahead: whichever worker ends first is to take them.
        """
        while self._waiting:
            ahead = not to_the_end or len(self._waiting) > self._pool.count
            if not self._pool.give(self._waiting[-1], ahead=ahead):
                return
            self._waiting.pop()


def _without_culprit(died: WorkerDied, attempts: int) -> FilmJob:
    """The same film, less the recording during which its worker died."""
    if died.track_id:
        return replace(died.job, given_up={**died.job.given_up, died.track_id: died.error})
    if attempts >= FILM_ATTEMPTS:
        raise LakeError(f"The shard of {died.job.film_id} killed {attempts} workers; look for a lack of memory or disk")
    return died.job
