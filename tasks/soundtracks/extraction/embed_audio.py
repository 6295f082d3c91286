"""Have encoders hear what the workers decoded, and commit a film's embeddings before its shard.

A worker leaves a film's shard and its decoded audio in the film's staging folder; a process with the encoders, which
the flow gives us, embeds the audio meanwhile. The embeddings are committed first, then the shard, and then the audio
is deleted. After a crash before the shard, the film is not done: the next run does it again and replaces them.
"""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Protocol

from storage.audio_embeddings import EncoderCard, Vectors, embeddings_path, read_embeddings, write_embeddings
from storage.coordination.leases import check_lease
from storage.lake.atomic_writes_and_fences import fenced
from storage.lake.disk_space import write_error
from storage.lake.lake import CACHE_REMEDY, Lake
from tasks.soundtracks.audio.decode import Samples, Write, as_samples
from tasks.soundtracks.extraction.film_jobs import FilmExtractor, FilmJob, FilmResult

MOST_OPEN = 2
"""Films with the encoders at once: one is embedded while the next one waits, and no more audio lies in staging."""

DecodedAudio = tuple[Mapping[int, str], int]
"""A recording as encoders take it: its file at each sample rate, and how many segments its shard has of it."""
Embedded = list[list[Vectors]]
"""What the encoders made of a film's recordings: for each encoder, the embeddings of each recording."""
Commit = Callable[[FilmJob, FilmResult, Embedded], None]


class Encoders(Protocol):
    """The encoders of a run, in a process of their own; films come back in the order in which they were sent."""

    cards: Sequence[EncoderCard]

    def submit(self, recordings: Sequence[DecodedAudio]) -> None:
        """Send the recordings of one film."""

    def receive(self) -> Embedded:
        """Return the embeddings of the next film, waiting for them. Raises `NeedledropError` when there are none."""

    def is_ready(self) -> bool:
        """Return whether `receive` would not wait."""


class EncodingExtractor:
    """Extracts films and has them embedded; a film's result is yielded after its embeddings and shard are committed.

    `folder_of` returns the folder in which a film's shard and decoded audio wait. `commit` writes what came of a film.
    """

    def __init__(
        self, inner: FilmExtractor, encoders: Encoders, folder_of: Callable[[str], Path], commit: Commit
    ) -> None:
        self._inner = inner
        self._encoders = encoders
        self._folder_of = folder_of
        self._commit = commit
        self._jobs: dict[str, FilmJob] = {}
        self._open: deque[FilmResult] = deque()

    def extract(self, jobs: Sequence[FilmJob], *, drain: bool) -> Iterator[FilmResult]:
        """Dispatch these films; yield every film that finishes meanwhile, also of earlier batches.

        Raises `LakeError` when a shard, the audio or embeddings cannot be written, and `NeedledropError` when the
        encoders end.
        """
        pending = [for_encoders(job, self._encoders.cards, self._folder_of(job.film_id)) for job in jobs]
        self._jobs.update({job.film_id: job for job in pending})
        for result in self._inner.extract(pending, drain=drain):
            if result.shard is None:
                shutil.rmtree(self._jobs.pop(result.film_id).pending, ignore_errors=True)
                yield result
                continue
            yield from self._finished(MOST_OPEN - 1)
            self._encoders.submit(decoded_audio(self._jobs[result.film_id], result))
            self._open.append(result)
        yield from self._finished(0 if drain else MOST_OPEN)

    def _finished(self, most_open: int) -> Iterator[FilmResult]:
        """Commit and yield the films that are embedded, waiting until at most so many are not."""
        while self._open and (len(self._open) > most_open or self._encoders.is_ready()):
            embedded = self._encoders.receive()
            result = self._open.popleft()
            job = self._jobs.pop(result.film_id)
            self._commit(job, result, embedded)
            shutil.rmtree(job.pending, ignore_errors=True)
            yield result


def for_encoders(job: FilmJob, cards: Sequence[EncoderCard], folder: Path) -> FilmJob:
    """Return a job whose shard waits in a folder next to its decoded audio at the rates of these encoders."""
    rates = tuple(sorted({card.sample_rate_hz for card in cards}))
    return replace(job, pending=str(folder.absolute()), rates_hz=rates)


def decoded_audio(job: FilmJob, result: FilmResult) -> list[DecodedAudio]:
    """Return the recordings of an extracted film that are in its shard, in the order of `embedded_tracks`."""
    segments = {row["track_id"]: row["segments"] for row in result.rows if row.get("segments")}
    return [
        ({rate: str(_audio_path(job, track_id, rate)) for rate in job.rates_hz}, segments[track_id])
        for track_id in embedded_tracks(job, result)
    ]


def embedded_tracks(job: FilmJob, result: FilmResult) -> list[str]:
    """Return the tracks of a job that became segments, in the order of its recordings."""
    usable = {row["track_id"] for row in result.rows if row.get("segments")}
    return [recording.track_id for recording in job.recordings if recording.track_id in usable]


def commit_film(lake: Lake, cards: Sequence[EncoderCard]) -> Commit:
    """Return the function that commits a film's embeddings by these encoders, and then its shard, into the lake."""

    def commit(job: FilmJob, result: FilmResult, embedded: Embedded) -> None:
        assert result.shard is not None
        tracks = embedded_tracks(job, result)
        with while_leased(lake, job.film_id, job.lease):
            for card, vectors in zip(cards, embedded, strict=True):
                write_embeddings(lake, card, job.film_id, job.year, list(zip(tracks, vectors, strict=True)))
            with lake.staged(result.shard, replace=False) as path:
                shutil.copyfile(Lake(job.pending).local_path(result.shard), path)

    return commit


def add_embeddings(
    lake: Lake,
    cards: Sequence[EncoderCard],
    job: FilmJob,
    tracks: Sequence[str],
    embedded: Embedded,
    only: Collection[str] | None = None,
) -> None:
    """Commit embeddings of recordings, or `only` of some, next to those that the film's file has of others."""
    for card, vectors in zip(cards, embedded, strict=True):
        new = {name: own for name, own in zip(tracks, vectors, strict=True) if only is None or name in only}
        path = embeddings_path(card.folder, job.film_id, job.year)
        known = read_embeddings(lake, path) if lake.exists(path) else {}
        if new:
            write_embeddings(lake, card, job.film_id, job.year, list({**known, **new}.items()))


def while_leased(lake: Lake, film_id: str, number: int | None) -> AbstractContextManager[None]:
    """Refuse commits once the film's lease is lost; a film in a temporary lake has none."""
    return nullcontext() if number is None else fenced(lambda: check_lease(lake, film_id, number))


@contextmanager
def audio_copies(job: FilmJob, track_id: str) -> Iterator[dict[int, Write]]:
    """Yield a function per sample rate of the job that appends to the recording's decoded audio.

    The files of a recording that fails are deleted: it is not embedded. Raises `LakeError` when the disk is full.
    """
    paths = {rate: _audio_path(job, track_id, rate) for rate in job.rates_hz}
    try:
        with ExitStack() as stack:
            yield {rate: _append_to(path, stack) for rate, path in paths.items()}
    except BaseException:
        for path in paths.values():
            path.unlink(missing_ok=True)
        raise


def _audio_path(job: FilmJob, track_id: str, rate_hz: int) -> Path:
    number = [recording.track_id for recording in job.recordings].index(track_id)
    return Path(job.pending, "audio", f"{number}-{rate_hz}.pcm")


def _append_to(path: Path, stack: ExitStack) -> Write:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file: BinaryIO = stack.enter_context(path.open("wb", buffering=0))
    except OSError as error:
        raise write_error(error, str(path.parent), CACHE_REMEDY) from error

    def append(block: Samples) -> None:
        try:
            _write_all(file, as_samples(block).tobytes())
        except OSError as error:
            raise write_error(error, str(path.parent), CACHE_REMEDY) from error

    return append


def _write_all(file: BinaryIO, data: bytes) -> None:
    """Write to an unbuffered file, so that a full disk shows here and not when the file is closed."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
