"""Extract films as Prefect task runs on Dask: a cluster started here, or a scheduler that runs already.

A task run costs about 0.1 s of CPU time and a cluster takes seconds to start, which vanishes in big batches; in return
the batches may go to many machines, which are checked first: the same versions, and the music mounted. Films are still
gathered in the flow's process, since a source is asked at one rate. Only plain data travels: the lake's root,
recordings as paths and settings; back come rows and outcomes, never arrays.
"""

from __future__ import annotations

import hashlib
import os
import platform
import socket
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from prefect import Task
from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner

import storage
import tasks
from storage.errors import InputError
from storage.processes_and_signals import children_block_sigint
from tasks.soundtracks.extraction.film_jobs import FilmJob, FilmResult

FILMS_PER_TASK_RUN = 16
"""Half a minute of one core, at nine recordings of three minutes per film."""
TASK_RUNS_PER_WORKER = 2
"""One in work and one that waits, so that no worker is idle while the flow gathers and commits."""
_PACKAGES = ("needledrop", "prefect", "distributed", "av", "soxr", "numpy", "numba", "pyarrow")
"""What decides how films travel to a worker, and what its mels are."""
WAIT_SECONDS = 60
"""How long to wait for the first worker of a scheduler that was just started."""
Versions = Mapping[str, str]


class DaskExtractor:
    """Extracts films as task runs of `task`; results come batch by batch, in the order of submission."""

    def __init__(
        self,
        runner: TaskRunner[Any],
        task: Task[..., list[FilmResult]],
        parameters: Mapping[str, Any],
        *,
        most_submitted: int,
    ) -> None:
        self._runner = runner
        self._task = task
        self._parameters = parameters
        self._most_submitted = most_submitted
        self._submitted: deque[PrefectFuture[list[FilmResult]]] = deque()
        self._films = 0

    def extract(self, jobs: Sequence[FilmJob], *, drain: bool) -> Iterator[FilmResult]:
        """Submit these films; yield results until few enough task runs are left, with `drain` until none is.

        Raises `LakeError` when a shard cannot be written.
        """
        for start in range(0, len(jobs), FILMS_PER_TASK_RUN):
            films = list(jobs[start : start + FILMS_PER_TASK_RUN])
            one_each = [job.recordings[0].path for job in films if job.recordings]
            parameters = {**self._parameters, "jobs": films, "seen": visible_files(one_each)}
            name = f"films {self._films + 1:,}–{self._films + len(films):,}"
            self._films += len(films)
            # A process of the cluster that dies of Ctrl-C would leave its task run, and the flow, waiting for ever.
            with children_block_sigint():
                self._submitted.append(self._runner.submit(self._task.with_options(task_run_name=name), parameters))
        while len(self._submitted) > (0 if drain else self._most_submitted):
            yield from self._submitted.popleft().result()


@contextmanager
def open_dask(
    task: Task[..., list[FilmResult]], parameters: Mapping[str, Any], *, workers: int, address: str | None
) -> Iterator[DaskExtractor]:
    """Open an extractor over the Dask scheduler at `address`, or over a cluster of `workers` processes started here.

    `task` is called with `parameters`, a list of `jobs` and files of theirs that this machine sees (`seen`). Raises
    `InputError` when no scheduler answers, and when its workers are not installed as this machine is.
    """
    from prefect_dask.task_runners import DaskTaskRunner  # noqa: PLC0415  # an extra

    cluster = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}
    dask = DaskTaskRunner(address=address, cluster_kwargs=None if address else cluster)
    with _unchanged_environment(), dask as runner:
        try:
            runner.client  # noqa: B018  # connects, and would otherwise do so at the first batch
        except (OSError, ValueError) as error:
            message = f"No Dask scheduler answers at {address} ({error}); start it or correct the address"
            raise InputError(message) from error
        if address:
            check_workers(runner.client, address)
        yield DaskExtractor(runner, task, parameters, most_submitted=TASK_RUNS_PER_WORKER * workers)


@contextmanager
def _unchanged_environment() -> Iterator[None]:
    """Restore the environment: Dask sets one thread for its workers in this process too, where training may follow."""
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@cache
def installed_versions() -> Versions:
    """Return the versions on this machine by name; `code` is a digest of our own files, which have no number."""
    digest = hashlib.sha256()
    for package in (storage, tasks):
        folder = Path(package.__path__[0])
        for file in sorted(folder.rglob("*.py")):
            digest.update(f"{file.relative_to(folder)}\n".encode() + file.read_bytes())
    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python, **{name: version(name) for name in _PACKAGES}, "code": digest.hexdigest()[:12]}


def check_workers(client: Any, address: str) -> None:
    """Compare all workers of a `distributed.Client`; raises `InputError` for the first that differs, or if none is."""
    try:
        client.wait_for_workers(1, timeout=WAIT_SECONDS)
        answers = client.run(installed_versions)
    except TimeoutError as error:
        raise InputError(f"No Dask worker has joined {address}; start one with `dask worker {address}`") from error
    except ImportError as error:
        raise InputError(f"A Dask worker lacks Needledrop ({error}); install it there as it is here") from error
    for worker, versions in sorted(answers.items()):
        check_versions(installed_versions(), versions, worker)


def check_versions(here: Versions, there: Versions, worker: str) -> None:
    """Raise `InputError` when a worker has other versions than the flow."""
    different = [f"{name} {there.get(name)} instead of {here[name]}" for name in here if there.get(name) != here[name]]
    if different:
        raise InputError(
            f"The Dask worker {worker} has {', '.join(different)}; install the same release with constraints.txt on "
            "every machine and start the worker again"
        )


def check_machine(here: Versions, seen: Sequence[str]) -> None:
    """Check the machine that this runs on: `here` and `seen` are the versions of the flow and files that it sees.

    For workers that joined later too. Raises `InputError` for other versions, and when none of the files is there:
    without this, a machine that lacks the mount would record every recording as missing.
    """
    name = socket.gethostname()
    check_versions(here, installed_versions(), name)
    if seen and not any(Path(path).exists() for path in seen):
        raise InputError(
            f"The Dask worker on {name} sees no music, such as {seen[0]}; mount it there under the same path, or stop "
            "that worker, and run the same command again"
        )


def visible_files(paths: Sequence[str]) -> list[str]:
    """Return those of the paths that exist on this machine."""
    return [path for path in paths if Path(path).exists()]
