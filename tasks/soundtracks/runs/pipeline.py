"""Batches of films in a row: one is gathered while the one before it is still extracted.

A batch is committed as soon as its last film is extracted, whichever batch was begun in the meantime. What a crash
finds uncommitted is done again by the next run, or found in the shards (`recovery`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from storage.coordination.leases import LeaseKeeper
from tasks.soundtracks.extraction.film import FilmJob, FilmResult
from tasks.soundtracks.models import Film
from tasks.soundtracks.runs.collect import Batch, Collector, Report


class Extracting(Protocol):
    """Something that turns films into shards: worker processes here, or a task runner that may be elsewhere."""

    def extract(self, jobs: Sequence[FilmJob], *, to_the_end: bool) -> Iterator[FilmResult]:
        """Take these films on; yields those that end, also of earlier batches. `to_the_end` awaits them all."""


class Line:
    """The batches that were gathered and are not committed yet.

    The leases on their films are the caller's, who lets go of the rest only when nobody extracts any more.
    """

    def __init__(self, collector: Collector, extracting: Extracting, leases: LeaseKeeper) -> None:
        self._collector = collector
        self._extracting = extracting
        self._leases = leases
        self._open: list[tuple[Batch, list[str]]] = []  # with the films that are to be extracted
        self._results: dict[str, FilmResult] = {}

    def collect(self, films: Sequence[Film], *, is_last: bool) -> Report:
        """Gather these films and hand them out; commit every batch that is complete, and all of them if `is_last`."""
        batch = self._collector.gather(films, self._leases)
        jobs = batch.jobs
        self._open.append((batch, [job.film_id for job in jobs]))
        report = Report(batch.counts, batch.paused)
        for result in self._extracting.extract(jobs, to_the_end=is_last or batch.paused is not None):
            self._results[result.film_id] = result
            self._collector.on_film(result.film_id)
            self._commit_complete(report)
        self._commit_complete(report)  # a batch without a single recording
        return report

    def _commit_complete(self, report: Report) -> None:
        for batch, wanted in list(self._open):
            if all(film_id in self._results for film_id in wanted):
                results = [self._results.pop(film_id) for film_id in wanted]
                report.counts += self._collector.commit(batch, results)
                self._leases.release(batch.film_ids)
                self._open.remove((batch, wanted))
