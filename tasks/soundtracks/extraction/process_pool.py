"""A pool of worker processes that turn films into shards: their limits, the order of films, and what follows a crash.

FFmpeg is C code over hostile input: it may loop, exhaust memory or crash. So each worker is a process with a memory
limit, which reports the recording that it is about to decode and is killed when that takes too long; its film is done
again without that recording. Workers are started by name (`python -m tasks.soundtracks.extraction.process_pool`), not
by `multiprocessing`: that would import the parent's main module, all of Prefect, into each of them, and could not set
their environment, where numerical libraries are limited to one thread. Decoding scales by 1.90 on two processes and by
1.41 on two threads.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, Pipe, wait
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from types import TracebackType
from typing import Any

from storage.errors import ItemError, LakeError, Retry
from storage.lake.lake import Lake
from storage.mels.settings_and_shard_format import MelSettings
from tasks.soundtracks.extraction.extract_film import extract_film
from tasks.soundtracks.extraction.film_jobs import FilmJob, FilmResult, WorkerError

KILL_CPU_SECONDS = 58.0
"""CPU time for one recording before its worker is killed: eight seconds more than the decoder allows itself."""
KILL_WALL_SECONDS = 310.0
"""Wall time for one recording, against a decoder that waits; on a busy machine work takes longer than its CPU time."""
CRASH_SIGNALS = frozenset({signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV, signal.SIGSYS})
"""How a process ends of its own defect. Other signals come from outside, such as the kernel's out-of-memory killer."""
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""There is one worker per core: a library that starts its own threads would only make them queue."""
KEEP_FREED_MEMORY = dict.fromkeys(("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), str(1 << 28))
"""The same buffers of a megabyte are freed and allocated again with every segment. By default glibc returns each to
the system, which must then clear its pages again: a tenth of the whole CPU time. Other C libraries ignore this."""
RETURN_TABLES = {"ARROW_DEFAULT_MEMORY_POOL": "system"}
"""Arrow's own allocator keeps the addresses of what was freed, and these count for a worker's limit: after a recording
of an hour, another one ran out of memory."""
WORKER_ENVIRONMENT = {**ONE_THREAD, **KEEP_FREED_MEMORY, **RETURN_TABLES}
MOST_QUEUED_BYTES = 1 << 16 if sys.platform == "linux" else 0
"""A film queued behind another waits in the pipe to its worker. A larger message would not fit: sending it would block
on a worker that may itself be blocked on sending. Pipes hold 200 KiB on Linux, as little as 8 elsewhere."""
MEMORY_LIMIT_BYTES = 1 << 30
"""Private memory of a worker; a three-hour film score needs a quarter of it. Linux only."""
IDLE_SECONDS = 60.0
"""A worker without a film for so long ends itself: the batches are over."""
FILM_ATTEMPTS = 3
"""How often a film may end a worker outside of any recording, which says nothing about the film, until the run ends."""


@dataclass(frozen=True)
class WorkerDied:
    """A worker process ended in the middle of `job`, while decoding `track_id` unless that is empty.

    `queued` are films that were sent to the same worker and not begun.
    """

    job: FilmJob
    track_id: str
    error: ItemError
    queued: tuple[FilmJob, ...]


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    connection: Connection[Any, Any]
    jobs: deque[FilmJob] = field(default_factory=deque)
    """The film in work, then those queued."""
    track_id: str = ""
    started_at: float = field(default_factory=time.monotonic)
    cpu_at_start: float = 0.0

    def start_clock(self, track_id: str) -> None:
        """Count CPU and wall time from now on, for one recording or, with an empty id, for none."""
        self.track_id, self.started_at, self.cpu_at_start = track_id, time.monotonic(), _cpu_seconds(self.process.pid)

    @property
    def is_overdue(self) -> bool:
        """Whether the recording being decoded has taken more time than any may."""
        cpu_seconds = _cpu_seconds(self.process.pid) - self.cpu_at_start
        wall_seconds = time.monotonic() - self.started_at
        return bool(self.track_id) and (cpu_seconds > KILL_CPU_SECONDS or wall_seconds > KILL_WALL_SECONDS)

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self.process.poll() is None

    def kill(self) -> None:
        """End the process and close the connection to it."""
        self.process.kill()
        self.process.wait()
        self.connection.close()


def _cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used; the wall clock where the system has no /proc."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return time.monotonic()
    fields = stat.rpartition(")")[2].split()  # from field 3 of proc(5) on; the command before it may contain spaces
    user_ticks, system_ticks = int(fields[14 - 3]), int(fields[15 - 3])
    return (user_ticks + system_ticks) / os.sysconf("SC_CLK_TCK")


_idle_workers: list[_Worker] = []
"""Workers of closed pools, for the next pool of this process (Dask opens one per task run): starting one costs a second
of CPU time. They end by themselves after a while, and at once when this process ends."""


class ProcessPool:
    """At most `size` worker processes; one that dies is replaced when the next film is submitted."""

    def __init__(self, size: int, lake: Lake, settings: MelSettings, run_id: str) -> None:
        self.size = size
        self._common = (lake, settings, run_id)
        self._workers: list[_Worker] = []

    def close(self) -> None:
        """Keep idle workers for the next pool, and kill those that are still at work."""
        for worker in self._workers:
            if worker.jobs:
                worker.kill()
            else:
                _idle_workers.append(worker)
        self._workers.clear()

    @property
    def is_busy(self) -> bool:
        """Whether any worker has a film."""
        return any(worker.jobs for worker in self._workers)

    def submit(self, job: FilmJob, *, queue: bool) -> bool:
        """Send a film to an idle worker, starting one if need be; with `queue` also behind the film of a busy one.

        Return False when no worker can take it.
        """
        self._reap_idle()
        message = ForkingPickler.dumps((*self._common, job))
        worker = self._acquire()
        if worker is None and queue and len(message) <= MOST_QUEUED_BYTES:
            worker = next((worker for worker in self._workers if len(worker.jobs) == 1), None)
        if worker is None:
            return False
        if not worker.jobs:
            worker.start_clock("")
        worker.jobs.append(job)
        with suppress(ConnectionError):  # it died: `wait` reports that, and the film is submitted again
            worker.connection.send_bytes(message)
        return True

    def _reap_idle(self) -> None:
        """Forget workers that ended after waiting too long for work: a film sent to one would count as an attempt."""
        for worker in list(self._workers):
            if not worker.jobs and not worker.is_alive:
                worker.connection.close()
                self._workers.remove(worker)

    def _acquire(self) -> _Worker | None:
        """Return an idle worker of this pool, of a closed one, or a new one; None when all are busy."""
        for worker in self._workers:
            if not worker.jobs:
                return worker
        if len(self._workers) >= self.size:
            return None
        worker = _reuse_worker() or _start_worker()
        self._workers.append(worker)
        return worker

    def wait(self) -> FilmResult | WorkerDied:
        """Return the next film that ends, well or not.

        Raises `LakeError` when a worker reports one, and RuntimeError, with the worker's traceback as a note, when
        it reports a defect.
        """
        while True:
            for worker in self._readable():
                event = self._receive(worker)
                if event is not None:
                    return event
            for worker in self._workers:
                if worker.jobs and worker.is_overdue:
                    limits = f"{KILL_CPU_SECONDS:.0f} s of CPU time, or {KILL_WALL_SECONDS:.0f} s in all"
                    # The machine may have been busy, so it may be tried again.
                    return self._remove(worker, "timeout", f"decoding it did not end within {limits}", Retry.LATER)

    def _readable(self) -> Iterator[_Worker]:
        """Yield the busy workers that sent something or ended, after waiting for at most a second."""
        busy = [worker for worker in self._workers if worker.jobs]
        ready = wait([worker.connection for worker in busy], timeout=1.0)
        return (worker for worker in busy if worker.connection in ready)

    def _receive(self, worker: _Worker) -> FilmResult | WorkerDied | None:
        """Read one message: a recording whose decoding begins or (empty) ended, a finished film, or an error."""
        try:
            message = worker.connection.recv()
        except (EOFError, ConnectionError):
            return self._crashed(worker)
        if isinstance(message, str):
            worker.start_clock(message)
            return None
        worker.jobs.popleft()
        worker.start_clock("")
        if isinstance(message, LakeError):
            raise message
        if isinstance(message, WorkerError):
            error = RuntimeError(f"Extracting {message.film_id} failed in a worker process: {message.message}")
            error.add_note(message.traceback)
            raise error
        return message  # type: ignore[no-any-return]

    def _crashed(self, worker: _Worker) -> WorkerDied:
        status = worker.process.wait()
        # Only a crash of the decoder itself is the recording's permanent failure.
        retry = Retry.NEVER if -status in CRASH_SIGNALS else Retry.LATER
        return self._remove(worker, "decoder_crashed", f"decoding it ended its worker (exit status {status})", retry)

    def _remove(self, worker: _Worker, reason: str, cause: str, retry: Retry) -> WorkerDied:
        worker.kill()
        self._workers.remove(worker)
        job, *queued = worker.jobs
        error = ItemError(reason, f"Gave up on {worker.track_id}: {cause}", retry)
        return WorkerDied(job, worker.track_id, error, tuple(queued))


def _reuse_worker() -> _Worker | None:
    """Return a living worker of a closed pool, if there is one."""
    while True:
        try:
            worker = _idle_workers.pop()
        except IndexError:  # not asked for its length before: threads of a Dask worker share the list
            return None
        if worker.is_alive:
            return worker
        worker.connection.close()


def _start_worker() -> _Worker:
    ours, theirs = Pipe()
    environment = {**os.environ, **WORKER_ENVIRONMENT, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    # -P: a folder `tasks` in the current directory is not this package.
    command = [sys.executable, "-P", "-m", "tasks.soundtracks.extraction.process_pool", str(theirs.fileno())]
    process = subprocess.Popen(  # noqa: S603
        command, env=environment, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
    )
    theirs.close()
    return _Worker(process, ours)


class PoolExtractor:
    """Extracts films in a pool of processes on this machine, one batch after another without a gap.

    The first films of a batch are dispatched while the last ones of the batch before are still in work, or one
    worker would wait for the other at the end of every batch.
    """

    def __init__(self, lake: Lake, settings: MelSettings, run_id: str, *, workers: int) -> None:
        self._pool = ProcessPool(workers, lake, settings, run_id)
        self._waiting: list[FilmJob] = []
        self._attempts: Counter[str] = Counter()

    def __enter__(self) -> PoolExtractor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Keep idle workers for later batches of this process, and kill those that an error left at work."""
        self._pool.close()

    def extract(self, jobs: Sequence[FilmJob], *, drain: bool) -> Iterator[FilmResult]:
        """Dispatch these films; yield every film that finishes meanwhile, also of earlier batches.

        Ends when all are dispatched, or with `drain` when all are finished. A film is dispatched as a whole, the
        longest list of recordings first, so that no worker starts a long one when the others are finished.
        Raises `LakeError` when a shard cannot be written.
        """
        self._waiting[:0] = sorted(jobs, key=lambda job: len(job.recordings))
        self._dispatch(drain=drain)
        while self._waiting or (drain and self._pool.is_busy):
            event = self._pool.wait()
            if isinstance(event, WorkerDied):
                self._waiting += [*event.queued, self._job_without_culprit(event)]
            self._dispatch(drain=drain)  # before the caller commits the result: no worker waits for that
            if isinstance(event, FilmResult):
                yield event

    def _dispatch(self, *, drain: bool) -> None:
        """Submit films to all idle workers, and queue one more for each: the caller gathers and commits meanwhile.

        The last films of all are not queued: whichever worker finishes first is to take them.
        """
        while self._waiting:
            queue = not drain or len(self._waiting) > self._pool.size
            if not self._pool.submit(self._waiting[-1], queue=queue):
                return
            self._waiting.pop()

    def _job_without_culprit(self, died: WorkerDied) -> FilmJob:
        """Return the same film, less the recording whose decoding ended the worker."""
        if died.track_id:
            return replace(died.job, abandoned={**died.job.abandoned, died.track_id: died.error})
        film_id = died.job.film_id
        self._attempts[film_id] += 1
        if self._attempts[film_id] >= FILM_ATTEMPTS:
            raise LakeError(
                f"Writing the shard of {film_id} ended {FILM_ATTEMPTS} worker processes; "
                "check this machine's memory and disk, and run again"
            )
        return died.job


def extract_films(
    lake: Lake, jobs: Sequence[FilmJob], settings: MelSettings, run_id: str, *, workers: int
) -> list[FilmResult]:
    """Extract films in a process pool and return their results in the order in which they finish.

    Raises `LakeError` when a shard cannot be written.
    """
    with PoolExtractor(lake, settings, run_id, workers=workers) as extractor:
        return list(extractor.extract(jobs, drain=True))


def serve_films() -> None:
    """Run one worker process: serve films from the connection whose file descriptor is the first argument."""
    # A terminal sends SIGINT to every process. The parent ends its workers itself; one that died of the signal would
    # probe like a recording that crashed the decoder.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    connection: Connection[Any, Any] = Connection(int(sys.argv[1]))
    try:
        while connection.poll(IDLE_SECONDS):
            connection.send(_extract(connection, *connection.recv()))
    except (EOFError, ConnectionError):
        return  # the parent has no more work, or has ended


def _extract(
    connection: Connection[Any, Any], lake: Lake, settings: MelSettings, run_id: str, job: FilmJob
) -> FilmResult | LakeError | WorkerError:
    try:
        return extract_film(lake, job, settings, run_id, on_decode=connection.send)
    except LakeError as error:
        return error
    except Exception as error:  # noqa: BLE001  # the parent raises it, with this traceback
        return WorkerError(job.film_id, f"{type(error).__name__}: {error}", traceback.format_exc())


if __name__ == "__main__":
    serve_films()
