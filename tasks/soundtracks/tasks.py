"""The Prefect tasks of collecting soundtracks, and how films are divided among task runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.utilities.annotations import quote

from storage.coordination.leases import LeaseKeeper
from storage.lake.lake import Lake
from storage.mels.settings import MelSettings
from tasks.progress import place
from tasks.run_report import RunReport
from tasks.soundtracks.download.staging import pending_folder
from tasks.soundtracks.extraction.dask import Versions, check_machine, installed_versions, open_dask
from tasks.soundtracks.extraction.encoding import EncodingExtractor, FilmExtractor, commit_film
from tasks.soundtracks.extraction.jobs import FilmJob, FilmResult
from tasks.soundtracks.extraction.scheduler import PoolExtractor, extract_films
from tasks.soundtracks.models import Film
from tasks.soundtracks.runs.availability import AvailabilityChecker
from tasks.soundtracks.runs.backfill import Reopener
from tasks.soundtracks.runs.collect import Collector
from tasks.soundtracks.runs.context import RunContext
from tasks.soundtracks.runs.pipeline import BatchPipeline, Extractor
from tasks.soundtracks.runs.schedule import FilmToReopen, WorkQueue

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
def _open_extractor(context: RunContext) -> Iterator[Extractor]:
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


@task(
    name="reopen-films",
    task_run_name="finished films to add recordings to",
    cache_policy=NO_CACHE,
    persist_result=False,
)
def reopen_films(reopener: Reopener, films: Sequence[FilmToReopen]) -> RunReport:
    """Add approved or retried recordings to finished films."""
    return reopener.reopen(films)


@task(name="recheck-tracks", task_run_name="tracks to check again", cache_policy=NO_CACHE, persist_result=False)
def recheck_tracks(checker: AvailabilityChecker) -> RunReport:
    """Check whether tracks from the network are still available."""
    return checker.check()
