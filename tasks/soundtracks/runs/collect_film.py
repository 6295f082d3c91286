"""Collect a film: ask the sources in turn until one has music, fetch it, and commit what extraction made of it.

A film's recordings are gathered, turned into mels and committed as one shard, and only then is its audio deleted.
The shard is the commit: it carries the film's `tracks` rows too, so a crash after it loses nothing (`crash_recovery`),
and a crash before it leaves the film to the next run, with what was downloaded still in the staging folder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from storage.coordination.leases import LeaseKeeper, OnWait
from storage.errors import ItemError, Retry, SourcePaused
from storage.lake.lake import Lake
from storage.mels.settings_and_shard_format import shard_path
from storage.records import outcomes
from storage.records.outcomes import Outcome, Stage, Status, from_error
from storage.tables import tables
from storage.tables.schemas import TRACKS
from tasks.soundtracks.candidate_recordings import Decision, Film, Judged, Recording, track_row, with_decision
from tasks.soundtracks.download.downloader_and_staging import release_staged
from tasks.soundtracks.extraction.film_jobs import FilmJob, FilmResult
from tasks.soundtracks.film_outcomes import nothing_fetched, nothing_taken, recording_may_come, taken_down
from tasks.soundtracks.matching.track_selection import TRACKS_PER_FILM, order_candidates
from tasks.soundtracks.matching.verdict import RULE_VERSION
from tasks.soundtracks.runs.open_sources import RunContext
from tasks.soundtracks.runs.plan import Plan
from tasks.soundtracks.runs.retry_schedule import MOST_RUNS, stops_waiting, with_backoff
from tasks.soundtracks.runs.takedown import purge_films
from tasks.soundtracks.sources.source_protocol import NetworkedSource, Source


@dataclass
class GatheredFilm:
    """One film's recordings and everything that is known about its candidates."""

    film: Film
    recordings: list[Recording] = field(default_factory=list)
    judged: list[Judged] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    lease: int | None = None
    """The number of the film's lease."""
    overdue: set[str] = field(default_factory=set)
    """Items of recordings that failed in so many runs that the film no longer waits for them."""

    @property
    def is_waiting(self) -> bool:
        """Whether a recording may still come for which there is room: then the film's shard is not made yet."""
        may_come = {one.item for one in self.outcomes if one.stage is Stage.TRACK and one.retry is not Retry.NEVER}
        return bool(may_come - self.overdue) and len(self.recordings) < TRACKS_PER_FILM

    def without_shard(self, *, was_searched: bool) -> list[Outcome]:
        """Return why the film has no shard: it waits, nothing matched, it awaits a review, or nothing was fetched."""
        if any(outcome.stage is Stage.SOUNDTRACK for outcome in self.outcomes):
            return []
        if self.recordings:
            return [recording_may_come(self.film.film_id)]
        if not self.outcomes or any(judged.verdict.decision is Decision.REVIEW for judged in self.judged):
            return [nothing_taken(self.film.film_id, self.judged, was_searched=was_searched)]
        return [nothing_fetched(self.film.film_id, self.outcomes)]

    @property
    def job(self) -> FilmJob:
        """The film as extraction needs it."""
        rows = tuple(track_row(judged, RULE_VERSION) for judged in self.judged)
        return FilmJob(self.film.film_id, self.film.year or 0, tuple(self.recordings), rows, self.lease)


@dataclass
class Batch:
    """Films whose recordings are gathered, ready for extraction and then for `Collector.commit`."""

    gathered: list[GatheredFilm] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    paused: SourcePaused | None = None
    of_other_workers: list[Film] = field(default_factory=list)

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
    """Gathers and commits films with the sources of a run, as planned."""

    context: RunContext
    plan: Plan

    @property
    def lake(self) -> Lake:
        """The lake into which films are committed."""
        return self.context.lake

    def gather(self, films: Sequence[Film], leases: LeaseKeeper, on_wait: OnWait | None = None) -> Batch:
        """Lease these films and fetch their recordings, until a source pauses; films of other workers are left out.

        With `on_wait`, other workers of whom nobody knows whether they live are waited for.
        """
        batch = Batch()
        for film in films:
            lease = leases.acquire(film.film_id, on_wait=on_wait)
            if lease is None:
                batch.of_other_workers.append(film)
                batch.counts["films_of_other_workers"] += 1
                continue
            if self.lake.exists(shard_path(film.film_id, film.year or 0)):
                leases.release([film.film_id])  # another worker finished it between the plan and the lease
                continue
            gathered = GatheredFilm(film, lease=lease.number)
            self.context.charge_retries(is_retry=film.film_id in self.plan.retries)
            try:
                self._gather(gathered)
            except SourcePaused as pause:
                # What was learned about single recordings is recorded; the film itself was not tried completely.
                batch.paused = pause
                track_outcomes = [one for one in gathered.outcomes if one.stage is Stage.TRACK]
                outcomes.record(self.lake, self._completed(track_outcomes), self.context.run_id)
                leases.release([film.film_id])
                break
            batch.gathered.append(gathered)
        return batch

    def _gather(self, gathered: GatheredFilm) -> None:
        """Fetch a film's recordings from the first source that has any; none for a film that was taken down since."""
        film = gathered.film
        if film.film_id in self.context.takedowns.read():
            gathered.outcomes.append(taken_down(film))
            return
        for source in self.context.sources:
            try:
                candidates = order_candidates(source.find(film))
            except ItemError as error:
                gathered.outcomes.append(from_error(Stage.SOUNDTRACK, film.film_id, error))
                continue
            finally:
                self._add_failed_lists(gathered, source)
            for judged in candidates:
                gathered.judged.append(self._take(gathered, source, judged))
            if gathered.recordings:
                break

    def _add_failed_lists(self, gathered: GatheredFilm, source: Source) -> None:
        """Record the lists that failed while a film was searched for; the film waits for none of them."""
        if isinstance(source, NetworkedSource):
            for list_id, error in source.downloader.failed_lists:
                item = f"{gathered.film.film_id}/{source.name}:{list_id}"
                gathered.outcomes.append(self._failed_track(gathered, item, error))
                gathered.overdue.add(item)
            source.downloader.failed_lists.clear()

    def _take(self, gathered: GatheredFilm, source: Source, judged: Judged) -> Judged:
        """Fetch one candidate if it is to be taken; return it with its final decision and reason."""
        if judged.verdict.decision is not Decision.TAKEN:
            return judged
        if len(gathered.recordings) >= TRACKS_PER_FILM:
            return with_decision(judged, Decision.REJECTED, "enough_tracks")
        judged = self._with_what_changed(judged)
        if judged.verdict.decision is not Decision.TAKEN:
            return judged
        if judged.item in self.plan.tracks_not_due:
            return with_decision(judged, Decision.REJECTED, "failed_before")
        try:
            fetched = source.fetch(judged, gathered.film)
        except ItemError as error:
            gathered.outcomes.append(self._failed_track(gathered, judged.item, error))
            return with_decision(judged, Decision.REJECTED, error.reason)
        if fetched.recording is not None:
            gathered.recordings.append(fetched.recording)
            # Before its mels are committed: the next batch is gathered while this one is extracted.
            self.context.matcher.owners.setdefault(fetched.recording.track_id, gathered.film.film_id)
        return fetched.judged

    def _with_what_changed(self, judged: Judged) -> Judged:
        """Return the decision as of now: another film of this run may have the recording, or it was taken down.

        A recording that its page refused, by the present rule, stays refused: its page is not opened again.
        """
        if {judged.candidate.track_id, f"channel:{judged.candidate.channel_id}"} & self.context.takedowns.read():
            return with_decision(judged, Decision.REJECTED, "taken_down")
        judged = self.context.matcher.apply_overrides(judged)
        if judged.verdict.decision is Decision.TAKEN and judged.verdict.reason != "approved":
            return with_decision(judged, *self.plan.refusals.get(judged.item, (Decision.TAKEN, judged.verdict.reason)))
        return judged

    def _failed_track(self, gathered: GatheredFilm, item: str, error: ItemError) -> Outcome:
        """Return the outcome of a recording's failure; after `MOST_RUNS` runs its film no longer waits for it."""
        if stops_waiting(self.plan.attempts.get((str(Stage.TRACK), item), 0)) and error.retry is not Retry.NEVER:
            gathered.overdue.add(item)
            message = f"{error} (its film no longer waits for it after {MOST_RUNS} runs)"
            error = ItemError(error.reason, message, Retry.LATER)
        return from_error(Stage.TRACK, item, error)

    def commit(self, batch: Batch, results: Sequence[FilmResult], leases: LeaseKeeper) -> Counter[str]:
        """Write a batch's rows, then its outcomes, and only then delete its audio; return counts for the summary.

        What was taken down in the meantime is deleted again. Raises `LakeError` when the lease on a film is lost.
        """
        with leases.fenced(batch.film_ids):
            counts = self._commit(batch, results)
            purge_films(self.lake, self.context.takedowns.read(), batch.film_ids, self.context.run_id)
        return counts

    def _commit(self, batch: Batch, results: Sequence[FilmResult]) -> Counter[str]:
        rows = [row for result in results for row in result.rows]
        batch_outcomes = [outcome for result in results for outcome in result.outcomes]
        extracted = {result.film_id for result in results}
        for gathered in batch.gathered:
            batch_outcomes += gathered.outcomes
            if gathered.film.film_id not in extracted:
                rows += gathered.job.rows
                batch_outcomes += gathered.without_shard(was_searched=self.context.is_searching)
        tables.append(self.lake, TRACKS, rows, self.context.run_id)
        outcomes.record(self.lake, self._completed(batch_outcomes), self.context.run_id)
        self._update_owners(rows)
        for result in results:
            if result.shard:
                release_staged(self.lake, result.film_id, keep_audio=self.context.settings.keep_audio)
        return _count(results, batch_outcomes)

    def _completed(self, new: Iterable[Outcome]) -> list[Outcome]:
        """Return outcomes with what decided them and, where they are to be retried later, with their time."""
        return [with_backoff(one, self._earlier_tries(one)) for one in self.context.decided(new)]

    def _earlier_tries(self, outcome: Outcome) -> int:
        if outcome.stage is Stage.SOUNDTRACK:
            history = self.plan.histories.get(outcome.item)
            return history.tries if history else 0
        return self.plan.attempts.get((str(outcome.stage), outcome.item), 0)

    def _update_owners(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """A recording belongs to the film whose shard holds it; other films may have one that came to nothing."""
        owners = self.context.matcher.owners
        for row in rows:
            if row.get("segments"):
                owners[row["track_id"]] = row["film_id"]
            elif owners.get(row["track_id"]) == row["film_id"]:
                del owners[row["track_id"]]


def _count(results: Iterable[FilmResult], batch_outcomes: Iterable[Outcome]) -> Counter[str]:
    counts = Counter(films=sum(result.shard is not None for result in results))
    for outcome in batch_outcomes:
        if outcome.stage is Stage.TRACK:
            counts["tracks" if outcome.status is Status.OK else "tracks_failed"] += 1
        elif outcome.status is not Status.OK:
            counts["films_without_music"] += 1
    return counts
