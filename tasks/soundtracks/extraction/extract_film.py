"""Extract one film in this process: decode its recordings and commit them as one mel shard.

A bad recording never loses the others: it leaves an outcome with its reason, and the shard holds the rest.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from storage.errors import ItemError, LakeError, Retry
from storage.lake.lake import Lake
from storage.mels.reader import TrackMels, read_tracks
from storage.mels.settings_and_shard_format import MelSettings, shard_path
from storage.mels.writer import ShardWriter, write_shard
from storage.records.outcomes import Outcome, Stage, from_error, ok
from tasks.soundtracks.audio.decode import AudioFile, Write, length_tolerance_seconds, without_folders
from tasks.soundtracks.audio.descriptors import Listener, describe
from tasks.soundtracks.audio.fingerprint import fingerprint
from tasks.soundtracks.audio.melspectrogram import segment_mels
from tasks.soundtracks.candidate_recordings import Recording
from tasks.soundtracks.extraction.embed_audio import audio_copies, while_leased
from tasks.soundtracks.extraction.film_jobs import FilmJob, FilmResult


def extract_film(
    lake: Lake,
    job: FilmJob,
    settings: MelSettings,
    run_id: str,
    on_decode: Callable[[str], None] = lambda _track_id: None,
) -> FilmResult:
    """Decode a film's recordings into its mel shard, commit the shard and return the film's completed rows.

    `on_decode` is called with each track_id before its recording is decoded, and with "" when decoding it is over.
    Raises `LakeError` when the shard cannot be written, or the film's lease is lost.
    """
    started = time.monotonic()
    number = job.lease
    if job.pending:
        lake, number = _empty_pending(job.pending), None
    rows = {row["track_id"]: dict(row, run_id=run_id) for row in job.rows}
    outcomes: list[Outcome] = []
    try:
        with (
            while_leased(lake, job.film_id, number),
            write_shard(lake, job.film_id, job.year, settings) as writer,
        ):
            for recording in job.recordings:
                row = rows.setdefault(recording.track_id, {"film_id": job.film_id, "track_id": recording.track_id})
                outcomes.append(_extract_recording(writer, job, recording, row, on_decode))
            if not writer.rows:
                raise _NothingUsable
            writer.finish(list(rows.values()))
    except _NothingUsable:
        return FilmResult(job.film_id, None, list(rows.values()), [*outcomes, _film_failed(job, outcomes)])
    except LakeError as error:
        if not (isinstance(error.__cause__, FileExistsError) and _is_shard_of(lake, job, run_id)):
            raise
        # A worker of this run committed it and was killed before it could say so: the rows are the same.
    audio_seconds = sum(outcome.audio_seconds or 0.0 for outcome in outcomes)
    film = ok(Stage.SOUNDTRACK, job.film_id, time.monotonic() - started, audio_seconds)
    return FilmResult(job.film_id, shard_path(job.film_id, job.year), list(rows.values()), [*outcomes, film])


def _empty_pending(folder: str) -> Lake:
    """Return a temporary lake in a film's folder of what waits to be embedded, without what a crash left there."""
    shutil.rmtree(folder, ignore_errors=True)
    return Lake(folder)


def _is_shard_of(lake: Lake, job: FilmJob, run_id: str) -> bool:
    """Return whether the shard that exists was written by this run."""
    stored = read_tracks(lake, shard_path(job.film_id, job.year))
    return all(row["run_id"] == run_id for row in stored)


class _NothingUsable(Exception):
    """Leaves `write_shard` without committing a shard that has no rows."""


def _extract_recording(
    writer: ShardWriter, job: FilmJob, recording: Recording, row: dict[str, Any], on_decode: Callable[[str], None]
) -> Outcome:
    """Append one recording's mels to the shard and complete its row; a failure becomes its outcome."""
    started = time.monotonic()
    item = f"{job.film_id}/{recording.track_id}"
    try:
        if recording.track_id in job.abandoned:
            raise job.abandoned[recording.track_id]
        on_decode(recording.track_id)
        facts, mels = _decode(job, recording, writer.settings)
    except ItemError as error:
        row.update(decision="rejected", reason=error.reason)
        failed = from_error(Stage.TRACK, item, error)
        message = without_folders(failed.message, recording.path)
        return replace(failed, message=message, seconds=time.monotonic() - started)
    finally:
        on_decode("")
    # Not inside the `try`: an error of the disk, or a defect of ours, is not the recording's failure.
    first_row = writer.append(recording.track_id, mels)
    row.update(facts, first_row=first_row, shard=shard_path(job.film_id, job.year))
    return ok(Stage.TRACK, item, time.monotonic() - started, facts["decoded_seconds"])


def _decode(job: FilmJob, recording: Recording, settings: MelSettings) -> tuple[dict[str, Any], TrackMels]:
    """Return one recording's audio facts and mels.

    Raises `ItemError` for whatever goes wrong with it, and `LakeError` when its copies cannot be written.
    """
    name = Path(recording.path).name
    try:
        with audio_copies(job, recording.track_id) as copies:
            return _facts_and_mels(recording, settings, Listener() if job.describes else None, copies)
    except (ItemError, LakeError):
        raise
    except MemoryError as error:
        message = f"Decoding {name} ran out of memory; it is tried again, and fails again if the recording is to blame"
        raise ItemError("too_large", message, Retry.LATER) from error
    except Exception as error:
        # Whatever else a hostile file makes a library raise. The outcome names the error and may be tried again,
        # so that a defect of ours is found and fixed.
        raise ItemError("unforeseen_error", f"{type(error).__name__}: {error}", Retry.LATER) from error


def _facts_and_mels(
    recording: Recording, settings: MelSettings, listener: Listener | None, copies: Mapping[int, Write]
) -> tuple[dict[str, Any], TrackMels]:
    if listener is None:
        audio = AudioFile(recording.path, settings.sample_rate_hz, copies=copies)
        mels = segment_mels(audio.blocks(), settings, Path(recording.path).name)
    else:
        audio = AudioFile(recording.path, settings.sample_rate_hz, on_frame=listener.hear, copies=copies)
        mels = segment_mels(listener.through(audio.blocks()), settings, Path(recording.path).name)
    _check_length(audio.decoded_seconds, recording)
    facts = {
        "audio_sha256": _sha256(recording.path),
        "audio_bytes": Path(recording.path).stat().st_size,
        "codec": audio.codec,
        "sample_rate_hz": audio.source_rate_hz,
        "decoded_seconds": audio.decoded_seconds,
        "segments": len(mels),
        "fingerprint": fingerprint(mels, settings),
    }
    if listener is not None:
        facts |= listener.facts() | describe(mels, settings)
    return facts, mels


def _check_length(decoded_seconds: float, recording: Recording) -> None:
    """Raise `ItemError` for a truncated file: most formats hide it, only the source's stated length reveals it."""
    expected = recording.expected_seconds
    if expected and decoded_seconds < expected - length_tolerance_seconds(expected):
        raise ItemError(
            "truncated",
            f"{Path(recording.path).name} lasts {decoded_seconds:.1f} s, and its source states {expected:.1f} s; "
            "fetch it again",
            Retry.LATER,
        )


def _sha256(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _film_failed(job: FilmJob, outcomes: Sequence[Outcome]) -> Outcome:
    may_be_retried = any(outcome.retry is not Retry.NEVER for outcome in outcomes)
    error = ItemError(
        "no_usable_track",
        f"None of {len(job.recordings)} recordings became mels; see the outcomes of stage track",
        Retry.LATER if may_be_retried else Retry.NEVER,
    )
    return from_error(Stage.SOUNDTRACK, job.film_id, error)
