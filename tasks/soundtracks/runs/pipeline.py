"""Run batches of films through the pipeline: gather batch n+1 while batch n is still being extracted.

A batch is committed as soon as its last film is extracted, whichever batch was begun in the meantime. What a crash
leaves uncommitted is done again by the next run, or recovered from the shards (`reconcile`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from storage.coordination.held_leases import OnWait
from storage.coordination.leases import LeaseKeeper, warn
from tasks.run_report import RunReport
from tasks.soundtracks.extraction.jobs import FilmJob, FilmResult
from tasks.soundtracks.models import Film
from tasks.soundtracks.runs.collect import Batch, Collector


class Extractor(Protocol):
    """Turns films into shards: in a process pool here, or as task runs that may be on other machines."""

    def extract(self, jobs: Sequence[FilmJob], *, drain: bool) -> Iterator[FilmResult]:
        """Submit films; yield results as they finish, also of earlier batches. `drain` waits for all of them."""


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

    def __init__(self, collector: Collector, extractor: Extractor, leases: LeaseKeeper, film_count: int = 0) -> None:
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
