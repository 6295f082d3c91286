"""Films through their sources into shards: which films are to be done, and how one film is done.

A film's recordings are gathered, turned into mels and committed as one shard, and only then does its
audio go. The shard is the commit: it carries the film's `tracks` rows too, so a crash after it loses
nothing (`recover`), and a crash before it leaves the film to be done by the next run, with what was
already downloaded still lying in the staging folder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from storage.coordination.leases import LeaseKeeper
from storage.errors import ItemError, Retry, SourcePaused
from storage.lake.lake import Lake
from storage.mels.layout import shard_path
from storage.records import outcomes
from storage.records.outcomes import Outcome, Stage, Status, from_error
from storage.tables import tables
from storage.tables.schemas import TRACKS
from tasks.soundtracks.download.staging import release_staged
from tasks.soundtracks.extraction.film import FilmJob, FilmResult, Recording, extract_films
from tasks.soundtracks.matching.rule import RULE_VERSION
from tasks.soundtracks.matching.selection import TRACKS_PER_FILM, order_candidates, with_decision
from tasks.soundtracks.models import Decision, Film, Judged, track_row
from tasks.soundtracks.runs.context import Supply
from tasks.soundtracks.runs.plan import Plan
from tasks.soundtracks.sources.base import Source

LOCAL_FILMS_TOGETHER = 64
"""About half a minute of two cores: enough for the workers' start to vanish, little to repeat after a crash."""
RUNS_UNTIL_GIVEN_UP = 3
"""A recording that failed in so many runs is not asked for again, except by `needledrop retry`."""
NEVER_GIVEN_UP = frozenset({"youtube_4xx"})
"""Failures that say nothing about the recording: its film no longer waits for it then, but it may be asked for."""


@dataclass
class Report:
    """What a batch did; `paused` is the source's own word when it asked to stop."""

    counts: Counter[str] = field(default_factory=Counter)
    paused: SourcePaused | None = None


@dataclass
class Gathered:
    """One film's recordings and everything that is known about its candidates."""

    film: Film
    recordings: list[Recording] = field(default_factory=list)
    judged: list[Judged] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    overdue: set[str] = field(default_factory=set)
    """Items of recordings that failed in so many runs that the film waits for them no longer."""

    @property
    def is_waiting(self) -> bool:
        """Whether a recording that the film has room for may still come: then its shard is not made yet."""
        failed = {o.item for o in self.outcomes if o.stage is Stage.TRACK and o.retry is not Retry.NEVER}
        return bool(failed - self.overdue) and len(self.recordings) < TRACKS_PER_FILM

    @property
    def job(self) -> FilmJob:
        """What extraction needs."""
        rows = tuple(track_row(judged, RULE_VERSION) for judged in self.judged)
        return FilmJob(self.film.film_id, self.film.year or 0, tuple(self.recordings), rows)


@dataclass
class Batch:
    """Films of which everything is gathered, ready for extraction and then for `Collector.commit`."""

    gathered: list[Gathered] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    paused: SourcePaused | None = None

    @property
    def jobs(self) -> list[FilmJob]:
        """What extraction is to do: plain data, which may travel to another machine."""
        return [one.job for one in self.gathered if one.recordings and not one.is_waiting]

    @property
    def film_ids(self) -> list[str]:
        """The films whose leases are held until the batch is committed."""
        return [one.film.film_id for one in self.gathered]


@dataclass(frozen=True)
class Collector:
    """Does films with the sources of a run, as planned."""

    supply: Supply
    planned: Plan
    run_id: str
    on_film: Callable[[str], None] = lambda _film_id: None

    @property
    def lake(self) -> Lake:
        """Where everything is kept."""
        return self.supply.lake

    @property
    def films_together(self) -> int:
        """How many films are gathered before they are extracted: each by itself if fetching takes minutes."""
        return 1 if self.supply.settings.is_networked else LOCAL_FILMS_TOGETHER

    def collect(self, films: Sequence[Film]) -> Report:
        """Do these films, and commit what came of each. Films that another worker has are left to it."""
        report = Report()
        for start in range(0, len(films), self.films_together):
            with LeaseKeeper(self.lake) as leases:
                batch = self.gather(films[start : start + self.films_together], leases)
                report.counts += batch.counts + self.commit(batch, self._extract(batch.jobs))
            report.paused = batch.paused
            if report.paused:
                break
        return report

    def gather(self, films: Sequence[Film], leases: LeaseKeeper) -> Batch:
        """Lease these films and get hold of their recordings, until a source asks for a pause."""
        batch = Batch()
        for film in films:
            if not leases.acquire(film.film_id):
                batch.counts["films_of_other_workers"] += 1
                continue
            if self.lake.exists(shard_path(film.film_id, film.year or 0)):
                leases.release([film.film_id])  # another worker finished it between the plan and the lease
                continue
            one = Gathered(film)
            try:
                self._gather(one)
            except SourcePaused as pause:
                # What was learned of single recordings stays; the film itself was not tried to its end.
                batch.paused = pause
                outcomes.record(self.lake, [o for o in one.outcomes if o.stage is Stage.TRACK], self.run_id)
                leases.release([film.film_id])
                break
            batch.gathered.append(one)
        return batch

    def _gather(self, gathered: Gathered) -> None:
        """A film's recordings from the first source that has any."""
        film = gathered.film
        for source in self.supply.sources:
            try:
                candidates = order_candidates(source.find(film))
            except ItemError as error:
                gathered.outcomes.append(from_error(Stage.SOUNDTRACK, film.film_id, error))
                continue
            for judged in candidates:
                gathered.judged.append(self._take(gathered, source, judged))
            if gathered.recordings:
                break

    def _take(self, gathered: Gathered, source: Source, judged: Judged) -> Judged:
        """Fetch one candidate if it is wanted; returns it as it ends, with the reason."""
        if judged.verdict.decision is not Decision.TAKEN:
            return judged
        if len(gathered.recordings) >= TRACKS_PER_FILM:
            return with_decision(judged, Decision.REJECTED, "enough_tracks")
        judged = self.supply.matcher.apply_overrides(judged)  # another film of this run may have it by now
        if judged.verdict.decision is not Decision.TAKEN:
            return judged
        if judged.item in self.planned.settled_tracks:
            return with_decision(judged, Decision.REJECTED, "failed_before")
        try:
            fetched = source.fetch(judged, gathered.film)
        except ItemError as error:
            gathered.outcomes.append(self._failed(gathered, judged.item, error))
            return with_decision(judged, Decision.REJECTED, error.reason)
        if fetched.recording is not None:
            gathered.recordings.append(fetched.recording)
            # Before its mels are committed: the next batch is gathered while this one is extracted.
            self.supply.matcher.owners.setdefault(fetched.recording.track_id, gathered.film.film_id)
        return fetched.judged

    def _failed(self, gathered: Gathered, item: str, error: ItemError) -> Outcome:
        """Return the outcome of a recording's failure; the film stops waiting for what failed in three runs."""
        if self.planned.attempts.get((str(Stage.TRACK), item), 0) + 1 >= RUNS_UNTIL_GIVEN_UP:
            gathered.overdue.add(item)
            retry = Retry.LATER if error.reason in NEVER_GIVEN_UP else Retry.NEVER
            ending = "given up" if retry is Retry.NEVER else "no longer waited for"
            error = ItemError(error.reason, f"{error} ({ending} after {RUNS_UNTIL_GIVEN_UP} runs)", retry)
        return from_error(Stage.TRACK, item, error)

    def commit(self, batch: Batch, results: Sequence[FilmResult]) -> Counter[str]:
        """Record what became of a batch: the rows, the outcomes, and only then the audio goes."""
        rows = [row for result in results for row in result.rows]
        ended = [outcome for result in results for outcome in result.outcomes]
        extracted = {result.film_id for result in results}
        for one in batch.gathered:
            ended += one.outcomes
            if one.film.film_id not in extracted:
                rows += one.job.rows
                ended += _not_done(one)
                self.on_film(one.film.film_id)
        tables.append(self.lake, TRACKS, rows, self.run_id)
        outcomes.record(self.lake, ended, self.run_id)
        self._settle_owners(rows)
        for result in results:
            if result.shard:
                release_staged(self.lake, result.film_id, keep_audio=self.supply.settings.keep_audio)
        return _counts(results, ended)

    def _settle_owners(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """A recording belongs to the film whose shard holds it; one that came to nothing is free again."""
        owners = self.supply.matcher.owners
        for row in rows:
            if row.get("segments"):
                owners[row["track_id"]] = row["film_id"]
            elif owners.get(row["track_id"]) == row["film_id"]:
                del owners[row["track_id"]]

    def _extract(self, jobs: Sequence[FilmJob]) -> list[FilmResult]:
        if not jobs:
            return []
        return extract_films(
            self.lake,
            jobs,
            self.supply.settings.mels,
            self.run_id,
            workers=self.supply.settings.workers,
            on_film=lambda result: self.on_film(result.film_id),
        )


def _not_done(gathered: Gathered) -> list[Outcome]:
    """Why a film has no music yet: it waits, nothing matched, somebody must look, or nothing could be had."""
    film_id = gathered.film.film_id
    if any(outcome.stage is Stage.SOUNDTRACK for outcome in gathered.outcomes):
        return []
    if gathered.recordings:
        error = ItemError(
            "incomplete", "A recording may still come; what is there is kept for the next run", Retry.SOON
        )
    elif any(judged.verdict.decision is Decision.REVIEW for judged in gathered.judged):
        error = ItemError("awaiting_review", "A person must say yes or no: run needledrop review", Retry.LATER)
    elif gathered.outcomes:
        again = any(outcome.retry is not Retry.NEVER for outcome in gathered.outcomes)
        message = "No candidate could be fetched; see the outcomes of stage track"
        error = ItemError("no_usable_track", message, Retry.LATER if again else Retry.NEVER)
    else:
        error = ItemError("no_match", "No source has music that matches; add some or wait for more", Retry.LATER)
    return [from_error(Stage.SOUNDTRACK, film_id, error, Status.SKIPPED)]


def _counts(results: Iterable[FilmResult], ended: Iterable[Outcome]) -> Counter[str]:
    counts: Counter[str] = Counter(films=sum(result.shard is not None for result in results))
    for outcome in ended:
        if outcome.stage is Stage.TRACK:
            counts["tracks" if outcome.status is Status.OK else "tracks_failed"] += 1
        elif outcome.status is not Status.OK:
            counts["films_without_music"] += 1
    return counts
