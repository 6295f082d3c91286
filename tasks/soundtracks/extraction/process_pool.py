"""Worker processes for extraction, watched from outside.

FFmpeg is C code over hostile input: it may loop, eat memory or crash. So each worker is a process of
its own with a memory limit, says which recording it is about to open, and is killed when that takes
too long. Workers are started by name (`python -m tasks.soundtracks.worker`), not by
`multiprocessing`: that would import the parent's main module, all of Prefect, into each of them,
and could not give them an environment of their own, where numerical libraries use one thread.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe, wait
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.errors import ItemError, LakeError, Retry
from storage.lake.lake import Lake
from storage.mels.settings import MelSettings

if TYPE_CHECKING:
    from types import TracebackType

    from tasks.soundtracks.extraction.film import FilmJob, FilmResult

KILL_SECONDS = 58.0
"""A recording's CPU time before its worker is killed: eight seconds after it should have given up."""
KILL_WALL_SECONDS = 310.0
"""Its wall time, for one that waits and does not work; work on a crowded machine takes longer than its CPU time."""
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""One worker a core: a library that starts its own threads would only make them queue."""
KEEP_FREED_MEMORY = dict.fromkeys(("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), str(1 << 28))
"""The same megabyte buffers come and go with every segment. By default glibc returns each to the
system, which must then clear its pages anew: a tenth of the whole CPU time. Other libcs ignore this."""
WORKER_ENVIRONMENT = {**ONE_THREAD, **KEEP_FREED_MEMORY}


MOST_BYTES_AHEAD = 1 << 16 if sys.platform == "linux" else 0
"""A film that is handed to a worker at work lies in the pipe between; a larger one would not fit, and wait for the
worker, which may be waiting to hand over its own. Pipes hold 200 KiB on Linux, and as little as 8 elsewhere."""


@dataclass(frozen=True)
class WorkerDied:
    """A worker ended in the middle of a film, during `track_id` if it had begun one.

    `not_begun` are films that lay ready for it.
    """

    job: FilmJob
    track_id: str
    error: ItemError
    not_begun: tuple[FilmJob, ...]


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    connection: Connection[Any, Any]
    jobs: deque[FilmJob] = field(default_factory=deque)
    """The film at work, and those that lie ready."""
    track_id: str = ""
    since: float = field(default_factory=time.monotonic)
    cpu_before: float = 0.0

    def begin(self, track_id: str) -> None:
        """Count the time of one recording from now on."""
        self.track_id, self.since, self.cpu_before = track_id, time.monotonic(), self._cpu_seconds()

    @property
    def is_overdue(self) -> bool:
        """Whether its recording has taken more time than any may."""
        worked = self._cpu_seconds() - self.cpu_before
        return bool(self.track_id) and (worked > KILL_SECONDS or time.monotonic() - self.since > KILL_WALL_SECONDS)

    def _cpu_seconds(self) -> float:
        """The CPU time that the process has used; where the system does not tell, the clock stands for it."""
        try:
            user, system = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
        except OSError:
            return time.monotonic()
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


_resting: list[_Worker] = []
"""Workers without work, for the next batch of this process: starting one costs a second of CPU time.
They leave by themselves after a while, and at once when this process ends."""


class Workers:
    """A fixed number of worker processes; one that dies is replaced when work is given next."""

    def __init__(self, count: int, lake: Lake, settings: MelSettings, run_id: str) -> None:
        self._common = (lake, settings, run_id)
        self.count = count
        self._workers: list[_Worker] = []

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let idle workers rest, and end those that an error left at work."""
        for worker in self._workers:
            if not worker.jobs:
                _resting.append(worker)
            else:
                worker.process.kill()
                worker.process.wait()
                worker.connection.close()

    @property
    def busy(self) -> bool:
        """Whether any worker has a film."""
        return any(worker.jobs for worker in self._workers)

    def give(self, job: FilmJob, *, ahead: bool) -> bool:
        """Hand a film to an idle worker, starting one if need be; with `ahead` also to one at work, to begin next.

        False when there is no such worker.
        """
        self._forget_those_who_left()
        worker = next((worker for worker in self._workers if not worker.jobs), None)
        if worker is None and len(self._workers) < self.count:
            worker = self._hire()
        message = ForkingPickler.dumps((*self._common, job))
        if worker is None and ahead and len(message) <= MOST_BYTES_AHEAD:
            worker = next((worker for worker in self._workers if len(worker.jobs) == 1), None)
        if worker is None:
            return False
        if not worker.jobs:
            worker.begin("")
        worker.jobs.append(job)
        with suppress(ConnectionError):  # it died; `wait` hears of it and the film is given to another
            worker.connection.send_bytes(message)
        return True

    def _forget_those_who_left(self) -> None:
        """Workers that had no film for so long that they ended: a film given to one would count as tried."""
        for worker in list(self._workers):
            if not worker.jobs and worker.process.poll() is not None:
                worker.connection.close()
                self._workers.remove(worker)

    def _hire(self) -> _Worker:
        """A worker that rests from an earlier batch, or a new one."""
        worker = None
        while worker is None:
            try:
                rested = _resting.pop()
            except IndexError:  # asked for, not looked at before: a Dask worker runs several batches in one process
                break
            if rested.process.poll() is None:
                worker = rested
            else:
                rested.connection.close()
        worker = worker or self._start()
        self._workers.append(worker)
        return worker

    def _start(self) -> _Worker:
        ours, theirs = Pipe()
        environment = {**os.environ, **WORKER_ENVIRONMENT, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        # -P: a folder `tasks` in the current directory is not this package.
        command = [sys.executable, "-P", "-m", "tasks.soundtracks.extraction.worker", str(theirs.fileno())]
        process = subprocess.Popen(  # noqa: S603
            command, env=environment, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
        )
        theirs.close()
        return _Worker(process, ours)

    def wait(self) -> FilmResult | WorkerDied:
        """The next film that ends, well or not. Raises `LakeError` when a worker reports one."""
        while True:
            working = {worker.connection: worker for worker in self._workers if worker.jobs}
            for connection in wait(list(working), timeout=1.0):
                ended = self._hear(working[connection])  # type: ignore[index]
                if ended is not None:
                    return ended
            for worker in working.values():
                if worker.is_overdue:
                    limits = f"{KILL_SECONDS:.0f} s of work, or {KILL_WALL_SECONDS:.0f} s by the clock"
                    return self._bury(worker, "timeout", f"its decoding did not end in {limits}")

    def _hear(self, worker: _Worker) -> FilmResult | WorkerDied | None:
        """One message: the recording begun (a string), a finished film, or an error of the lake."""
        try:
            message = worker.connection.recv()
        except (EOFError, ConnectionError):
            code = worker.process.wait()
            return self._bury(worker, "decoder_crashed", f"decoding it ended the worker (exit status {code})")
        if isinstance(message, str):
            worker.begin(message)
            return None
        worker.jobs.popleft()
        worker.begin("")
        if isinstance(message, LakeError):
            raise message
        return message  # type: ignore[no-any-return]

    def _bury(self, worker: _Worker, reason: str, why: str) -> WorkerDied:
        retry = Retry.LATER if reason == "timeout" else Retry.NEVER  # the machine may have been busy
        worker.process.kill()
        worker.process.wait()
        worker.connection.close()
        self._workers.remove(worker)
        error = ItemError(reason, f"Given up on {worker.track_id}: {why}", retry)
        job, *not_begun = worker.jobs
        return WorkerDied(job, worker.track_id, error, tuple(not_begun))
