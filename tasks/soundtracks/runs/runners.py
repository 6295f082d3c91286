"""Where films are turned into mels: in worker processes here, or as task runs on Prefect's process runner or on Dask.

Worker processes inside one task run at a time cost least, and are the default. A task runner pays seconds to start and
about 0.1 s of CPU time a task, which vanishes in big batches, and with Dask the batches may go to many machines.
Gathering stays in the flow's own process, since a source is asked at one pace. What travels is plain data: where
the lake is, the films' recordings as paths, the settings; what comes back are rows and outcomes, never arrays.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner

from storage.errors import InputError
from storage.lake.lake import Lake
from storage.mels.settings import MelSettings
from tasks.interrupts import children_block_sigint
from tasks.soundtracks.extraction.film import Extraction, FilmJob, FilmResult, extract_films
from tasks.soundtracks.runs.collect import Collector
from tasks.soundtracks.runs.pipeline import Extracting
from tasks.soundtracks.runs.settings import SoundtrackSettings

FILMS_A_TASK_RUN = 16
"""Half a minute of one core, at nine recordings of three minutes a film."""
TASK_RUNS_AHEAD = 2
"""For each worker: one at work and one that waits, so that none is idle while the flow gathers and commits."""


@task(name="extract-batch", cache_policy=NO_CACHE, persist_result=False)
def extract_batch(lake: Lake, jobs: Sequence[FilmJob], settings: MelSettings, run_id: str) -> list[FilmResult]:
    """Turn some films into shards, in a process or on a machine of the task runner's choice.

    Decoding still happens in a worker process of its own, which may crash and be killed.
    """
    return extract_films(lake, jobs, settings, run_id, workers=1)


@contextmanager
def open_extraction(collector: Collector) -> Iterator[Extracting]:
    """The extraction that a person chose. Raises `InputError` when a Dask scheduler does not answer."""
    settings, lake, run_id = collector.supply.settings, collector.lake, collector.run_id
    if settings.runner == "workers":
        with Extraction(lake, settings.mels, run_id, workers=settings.workers) as extraction:
            yield extraction
        return
    with _task_runner(settings) as runner:
        yield _Submitted(runner, lake, settings.mels, run_id, TASK_RUNS_AHEAD * settings.workers)


@contextmanager
def _task_runner(settings: SoundtrackSettings) -> Iterator[TaskRunner[Any]]:
    if settings.runner == "processes":
        with ProcessPoolTaskRunner(max_workers=settings.workers) as processes:
            yield processes
        return
    from prefect_dask.task_runners import DaskTaskRunner  # noqa: PLC0415  # an extra

    cluster = {"n_workers": settings.workers, "threads_per_worker": 1, "dashboard_address": None}
    dask = DaskTaskRunner(address=settings.dask_address, cluster_kwargs=None if settings.dask_address else cluster)
    with _environment_kept(), dask as runner:
        try:
            runner.client  # noqa: B018  # connects, and would otherwise do so at the first batch
        except (OSError, ValueError) as error:
            message = f"No Dask scheduler answers at {settings.dask_address} ({error}); start it or correct the address"
            raise InputError(message) from error
        yield runner


@contextmanager
def _environment_kept() -> Iterator[None]:
    """Dask sets one thread for its workers in this process too, where training may follow."""
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class _Submitted:
    """Films as task runs; results come batch by batch, in the order of submission."""

    def __init__(self, runner: TaskRunner[Any], lake: Lake, settings: MelSettings, run_id: str, ahead: int) -> None:
        self._runner = runner
        self._common = {"lake": lake, "settings": settings, "run_id": run_id}
        self._ahead = ahead
        self._submitted: deque[PrefectFuture[list[FilmResult]]] = deque()

    def extract(self, jobs: Sequence[FilmJob], *, to_the_end: bool) -> Iterator[FilmResult]:
        """Submit these films; yields results until few enough batches are under way, or none `to_the_end`.

        Raises `LakeError` when a shard cannot be written.
        """
        for start in range(0, len(jobs), FILMS_A_TASK_RUN):
            parameters = {**self._common, "jobs": list(jobs[start : start + FILMS_A_TASK_RUN])}
            with children_block_sigint():  # a child that dies of Ctrl-C leaves its task run waiting for ever
                self._submitted.append(self._runner.submit(extract_batch, parameters))
        while len(self._submitted) > (0 if to_the_end else self._ahead):
            yield from self._submitted.popleft().result()
