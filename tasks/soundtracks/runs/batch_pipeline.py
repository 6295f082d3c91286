"""Run films through the pipeline in batches: how many at a time, with which runner, and as Prefect tasks.

Batch n+1 is gathered while batch n is still being extracted. A batch is committed as soon as its last film is
extracted, whichever batch was begun in the meantime. What a crash leaves uncommitted is done again by the next run, or
recovered from the shards (`crash_recovery`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.utilities.annotations import quote

from storage.coordination.leases import LeaseKeeper, OnWait, warn
from storage.lake.lake import Lake
from storage.mels.settings_and_shard_format import MelSettings
from tasks.progress import place
from tasks.run_report import RunReport
from tasks.soundtracks.candidate_recordings import Film
from tasks.soundtracks.download.downloader_and_staging import pending_folder
from tasks.soundtracks.extraction.dask import Versions, check_machine, installed_versions, open_dask
from tasks.soundtracks.extraction.embed_audio import EncodingExtractor, commit_film
from tasks.soundtracks.extraction.film_jobs import FilmExtractor, FilmJob, FilmResult
from tasks.soundtracks.extraction.process_pool import PoolExtractor, extract_films
from tasks.soundtracks.runs.collect_film import Batch, Collector
from tasks.soundtracks.runs.open_sources import RunContext
from tasks.soundtracks.runs.plan import WorkQueue
from tasks.soundtracks.runs.reopen_finished_films import Reopener, reopen_films

LOCAL_FILMS_PER_TASK_RUN = 64
"""About half a minute of two cores: the start of the workers hardly counts, and little is repeated after a crash."""
NETWORKED_FILMS_PER_TASK_RUN = 8
"""Politely fetching a film takes minutes; each is committed by itself."""


def collect_in_batches(collector: Collector, films: Sequence[Film]) -> RunReport:
    """Collect films in task runs, and add to finished ones in turn, until the last or until a source pauses."""
    settings = collector.context.settings
    size = NETWORKED_FILMS_PER_TASK_RUN if settings.is_networked else LOCAL_FILMS_PER_TASK_RUN
    report, context, begun = RunReport(), collector.context, 0
    retries, reopened = collector.plan.retries, collector.plan.reopened
    queue = WorkQueue(films, retries, settings.retry_share, context.spent_today, reopened)
    with open_pipeline(collector, len(films)) as pipeline:
        while len(queue):
            if finished := queue.take_reopened(size):
                report.add(pipeline.collect([], drain=True))
                report.add(reopen_films(quote(Reopener(context)), quote(finished)))  # type: ignore[call-overload]
                if report.paused:
                    break
                continue
            start, batch = begun, queue.take(size)
            begun, is_last = begun + len(batch), not len(queue)
            if settings.runner == "local":
                task_of_batch = collect_batch.with_options(task_run_name=place("films", start, len(batch), len(films)))
                report.add(task_of_batch(quote(pipeline), quote(batch), drain=is_last))  # type: ignore[call-overload]
            else:  # the task runs are those of extraction
                report.add(pipeline.collect(batch, drain=is_last))
            if report.paused:
                break
        if report.counts["films_of_other_workers"] and not report.paused:
            report.add(pipeline.collect_from_dead_workers())
    return report


@contextmanager
def open_pipeline(collector: Collector, film_count: int) -> Iterator[BatchPipeline]:
    """Open the pipeline with the runner of the settings; leases outlive the extraction of their films.

    Raises `InputError` when a Dask scheduler does not answer.
    """
    with LeaseKeeper(collector.lake) as leases, _open_extractor(collector.context) as extractor:
        yield BatchPipeline(collector, extractor, leases, film_count)


@contextmanager
def _open_extractor(context: RunContext) -> Iterator[FilmExtractor]:
    settings = context.settings
    if settings.runner == "local":
        with PoolExtractor(context.lake, settings.mels, context.run_id, workers=settings.workers) as pool:
            yield pool if context.encoders is None else embedding_extractor(context, pool)
        return
    parameters = {"lake": context.lake, "settings": settings.mels, "run_id": context.run_id}
    parameters["here"] = installed_versions()
    with open_dask(extract_batch, parameters, workers=settings.workers, address=settings.dask_address) as dask:
        yield dask


def embedding_extractor(context: RunContext, pool: FilmExtractor) -> EncodingExtractor:
    """Return an extractor that has the run's encoders embed each film before its shard is committed."""
    assert context.encoders is not None
    commit = commit_film(context.lake, context.encoders.cards)
    return EncodingExtractor(pool, context.encoders, lambda film_id: pending_folder(context.lake, film_id), commit)


@task(name="collect-batch", cache_policy=NO_CACHE, persist_result=False)
def collect_batch(pipeline: BatchPipeline, films: Sequence[Film], *, drain: bool) -> RunReport:
    """Collect, extract and commit films; without `drain`, those still being extracted end with a later batch."""
    return pipeline.collect(films, drain=drain)


@task(name="extract-batch", cache_policy=NO_CACHE, persist_result=False)
def extract_batch(
    lake: Lake, jobs: Sequence[FilmJob], settings: MelSettings, run_id: str, here: Versions, seen: Sequence[str]
) -> list[FilmResult]:
    """Turn films into shards on a machine that Dask chooses; there, too, a worker process decodes and may crash.

    Raises `InputError` where that machine is not installed as the flow's, or lacks the music.
    """
    check_machine(here, seen)
    return extract_films(lake, jobs, settings, run_id, workers=1)


@dataclass(frozen=True)
class _OpenBatch:
    """A batch that is gathered and not committed, and the films that it waits for."""

    batch: Batch
    film_ids: tuple[str, ...]


class BatchPipeline:
    """Gathers, extracts and commits films, batch by batch.

    Films that come from the network are batches of one: fetching takes minutes, so each is committed before the next
    is fetched. `leases` belongs to the caller, who releases what is left only when nothing extracts any more.
    `film_count` is how many films there are in all, for the progress bar.
    """

    def __init__(
        self, collector: Collector, extractor: FilmExtractor, leases: LeaseKeeper, film_count: int = 0
    ) -> None:
        self._collector = collector
        self._extractor = extractor
        self._leases = leases
        self._open: list[_OpenBatch] = []
        self._of_other_workers: list[Film] = []
        self._results: dict[str, FilmResult] = {}
        self._film_count = film_count
        self._finished = 0

    def collect(self, films: Sequence[Film], *, drain: bool, on_wait: OnWait | None = None) -> RunReport:
        """Collect films until the last or until a source pauses; commit every batch that is complete.

        With `drain`, and always after a pause, all batches are completed and committed. Films of other workers are
        left to them; with `on_wait` only after waiting until it is known that these live.
        """
        report = RunReport()
        one_by_one = self._collector.context.settings.is_networked
        for batch in [[film] for film in films] if one_by_one else [films]:
            self._collect_batch(batch, report, drain=drain or one_by_one, on_wait=on_wait)
            if report.paused:
                break
        return report

    def collect_from_dead_workers(self) -> RunReport:
        """Collect the films that other workers held, now that these are done or have been silent for long enough."""
        films, self._of_other_workers = self._of_other_workers, []
        report = self.collect(films, drain=True, on_wait=warn)
        report.counts["films_of_other_workers"] -= len(films)  # they were counted, and those still held are again
        return report

    def _collect_batch(self, films: Sequence[Film], report: RunReport, *, drain: bool, on_wait: OnWait | None) -> None:
        batch = self._collector.gather(films, self._leases, on_wait)
        self._of_other_workers += batch.of_other_workers
        jobs = batch.jobs
        self._open.append(_OpenBatch(batch, tuple(job.film_id for job in jobs)))
        report.counts.update(batch.counts)
        report.paused = batch.paused
        for result in self._extractor.extract(jobs, drain=drain or batch.paused is not None):
            self._results[result.film_id] = result
            self._show_progress(1)
            self._commit_complete(report)
        self._show_progress(len(batch.gathered) - len(jobs))
        self._commit_complete(report)  # a batch without any recording is complete at once

    def _commit_complete(self, report: RunReport) -> None:
        for entry in list(self._open):
            if all(film_id in self._results for film_id in entry.film_ids):
                results = [self._results.pop(film_id) for film_id in entry.film_ids]
                report.counts.update(self._collector.commit(entry.batch, results, self._leases))
                self._leases.release(entry.batch.film_ids)
                self._open.remove(entry)

    def _show_progress(self, finished: int) -> None:
        self._finished += finished
        self._collector.context.progress("Turning music into mels", self._finished, self._film_count)
