"""Reopen films that are done, to add recordings: what a reviewer approved, what is tried again, what a new rule takes.

The new recordings are extracted into a temporary lake and appended to the film's shard, which is replaced as a whole:
the rows that were there keep their numbers, and a crash leaves the old shard or the new one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from storage.coordination.leases import leased
from storage.errors import ItemError, Retry, SourcePaused
from storage.lake.lake import Lake
from storage.mels.reader import read_mels, read_tracks
from storage.mels.writer import add_tracks
from storage.records import outcomes
from storage.records.outcomes import Outcome, Stage, Status, from_error, ok
from storage.tables import tables
from storage.tables.schemas import TRACKS
from tasks.run_report import RunReport
from tasks.soundtracks.candidate_recordings import Candidate, Decision, Film, Judged, Recording, Verdict, track_row
from tasks.soundtracks.download.downloader_and_staging import release_staged
from tasks.soundtracks.extraction.embed_audio import add_embeddings, decoded_audio, embedded_tracks, for_encoders
from tasks.soundtracks.extraction.extract_film import extract_film
from tasks.soundtracks.extraction.film_jobs import FilmJob, FilmResult
from tasks.soundtracks.matching.track_selection import TRACKS_PER_FILM
from tasks.soundtracks.matching.verdict import RULE_VERSION
from tasks.soundtracks.runs.crash_recovery import without_run
from tasks.soundtracks.runs.judge_again_by_newer_rule import search_again
from tasks.soundtracks.runs.open_sources import RunContext
from tasks.soundtracks.runs.retry_schedule import Row, stops_waiting, with_backoff
from tasks.soundtracks.runs.takedown import purge_films
from tasks.soundtracks.sources.source_protocol import Source
from tasks.soundtracks.sources.ytdlp_metadata import candidate_of_row


@dataclass(frozen=True)
class FilmToReopen:
    """A film that has a shard, and the `tracks` rows of the recordings to add to it."""

    film: Film
    shard: str
    rows: tuple[Row, ...]
    is_searched_again: bool = False
    """Whether its albums are searched for once more: an older rule refused them as a whole, so they have no rows."""


@dataclass(frozen=True)
class Reopener:
    """Fetches, extracts and appends the requested recordings of films that have a shard."""

    context: RunContext

    def reopen(self, films: Sequence[FilmToReopen]) -> RunReport:
        """Add what is requested of each film, up to the most tracks that a film may have."""
        report = RunReport()
        self.context.charge_retries(is_retry=True)
        for request in films:
            with leased(self.context.lake, request.film.film_id) as lease:
                if lease is None:
                    report.counts["films_of_other_workers"] += 1
                    continue
                try:
                    self._reopen(request, report)
                except SourcePaused as pause:
                    report.paused = pause
                    break
        self.context.charge_retries(is_retry=False)
        return report

    def _reopen(self, request: FilmToReopen, report: RunReport) -> None:
        lake, film = self.context.lake, request.film
        present = {row["track_id"]: row for row in read_tracks(lake, request.shard) if row.get("segments")}
        track_outcomes = self._restore_rows(request, present)
        missing = [row for row in request.rows if row["track_id"] not in present]
        wanted = [one for row in missing if (one := self._judged_of_row(film, row)) is not None]
        if request.is_searched_again:
            found = search_again(self.context, film, present, {one.candidate.track_id for one in wanted})
            report.counts["films_searched_again" if found is not None else "films_not_searched"] += 1
            wanted += found or []
            track_outcomes += [] if found is None else [ok(Stage.SOUNDTRACK, film.film_id)]
        job, failures, refused = self._fetch_all(film, wanted, TRACKS_PER_FILM - len(present))
        track_outcomes += self._to_be_retried(failures)
        tables.append(lake, TRACKS, refused, self.context.run_id)
        if job.recordings:
            result = self._extend_shard(request.shard, job)
            track_outcomes += [outcome for outcome in result.outcomes if outcome.stage is Stage.TRACK]
        outcomes.record(lake, self.context.decided(track_outcomes), self.context.run_id)
        purge_films(lake, self.context.takedowns.read(), [film.film_id], self.context.run_id)
        release_staged(lake, film.film_id, keep_audio=self.context.settings.keep_audio)
        if wanted or request.rows:
            report.counts["films_reopened"] += 1
        added = [one for one in track_outcomes if one.status is Status.OK and one.stage is Stage.TRACK]
        report.counts["tracks"] += len(added)

    def _restore_rows(self, request: FilmToReopen, present: dict[str, dict[str, Any]]) -> list[Outcome]:
        """Write again the rows that a crash kept from the tables after their shard was replaced."""
        restored = [present[row["track_id"]] for row in request.rows if row["track_id"] in present]
        tables.append(self.context.lake, TRACKS, [without_run(row) for row in restored], self.context.run_id)
        return [ok(Stage.TRACK, f"{request.film.film_id}/{row['track_id']}") for row in restored]

    def _to_be_retried(self, failures: Sequence[Outcome]) -> list[Outcome]:
        """Return failures with the time of the next try: each later than the one before, as in collection."""
        earlier, made = outcomes.earlier_attempts(self.context.lake, failures), []
        for one in failures:
            tries = earlier.get((str(one.stage), one.item), 0)
            is_late = one.retry is Retry.SOON and stops_waiting(tries)
            made.append(with_backoff(replace(one, retry=Retry.LATER) if is_late else one, tries))
        return made

    def _fetch_all(
        self, film: Film, wanted: Sequence[Judged], most: int
    ) -> tuple[FilmJob, list[Outcome], list[dict[str, Any]]]:
        """Fetch at most `most` of these recordings.

        Returns them as a job, the outcomes of failures, and the rows of those that their page refuses.
        """
        recordings: list[Recording] = []
        new_rows: list[dict[str, Any]] = []
        refused: list[dict[str, Any]] = []
        failures: list[Outcome] = []
        for judged in wanted:
            if len(recordings) >= most:
                break
            source = self._source_of(judged.candidate)
            if source is None:
                continue
            try:
                fetched = source.fetch(judged, film)
            except ItemError as error:
                failures.append(from_error(Stage.TRACK, judged.item, error))
                continue
            if fetched.recording is None:
                reason = fetched.judged.verdict.reason
                refusal = ItemError("not_wanted", f"Its page says that it is not to be taken ({reason})")
                failures.append(from_error(Stage.TRACK, judged.item, refusal))
                refused.append(track_row(fetched.judged, RULE_VERSION))
            else:
                recordings.append(fetched.recording)
                new_rows.append(track_row(fetched.judged, RULE_VERSION))
        return FilmJob(film.film_id, film.year or 0, tuple(recordings), tuple(new_rows)), failures, refused

    def _judged_of_row(self, film: Film, row: Row) -> Judged | None:
        """Return the recording of a row; None when it is not to be taken, or no source of this run has it.

        Its page decides by the present rule, unless a reviewer said yes.
        """
        candidate = candidate_of_row(row)
        verdict = Verdict(Decision.TAKEN, "matched", row["score"], dict(row["score_parts"] or {}))
        judged = self.context.matcher.apply_overrides(Judged(film.film_id, candidate, verdict))
        if self._source_of(candidate) is None or judged.verdict.decision is not Decision.TAKEN:
            return None
        listed = self._listed_candidate(judged)
        if listed is None and candidate.source == "music_folder":
            return None  # the path of a local file is not kept in the lake
        return judged if listed is None else Judged(film.film_id, listed, judged.verdict)

    def _source_of(self, candidate: Candidate) -> Source | None:
        return next((source for source in self.context.sources if source.name == candidate.source), None)

    def _listed_candidate(self, judged: Judged) -> Candidate | None:
        """Return the same recording as a source of this run lists it for the film, if one does."""
        listed = (one for source in self.context.assigned for one in source.by_film.get(judged.film_id, ()))
        return next((one.candidate for one in listed if one.item == judged.item), None)

    def _extend_shard(self, shard: str, job: FilmJob) -> FilmResult:
        """Extract the new recordings in a temporary lake, and append them to the film's shard.

        Their embeddings are committed first, as in collection.
        """
        lake, encoders = self.context.lake, self.context.encoders
        with tempfile.TemporaryDirectory(prefix="needledrop-") as folder:
            temporary = Lake(folder)
            job = for_encoders(job, encoders.cards if encoders else (), Path(folder))
            result = extract_film(temporary, job, self.context.settings.mels, self.context.run_id)
            if result.shard is None:
                return result
            if encoders:
                encoders.submit(decoded_audio(job, result))
                add_embeddings(lake, encoders.cards, job, embedded_tracks(job, result), encoders.receive())
            _settings, added = read_mels(temporary, result.shard)
            new = {row["track_id"]: {**row, "shard": shard} for row in result.rows}
            unchanged = [row for row in read_tracks(lake, shard) if row["track_id"] not in new]
            first_rows = add_tracks(lake, shard, added, [*unchanged, *new.values()])
        rows = [{**without_run(row), "first_row": first_rows.get(track_id)} for track_id, row in new.items()]
        tables.append(lake, TRACKS, rows, self.context.run_id)
        return result


@task(
    name="reopen-films",
    task_run_name="finished films to add recordings to",
    cache_policy=NO_CACHE,
    persist_result=False,
)
def reopen_films(reopener: Reopener, films: Sequence[FilmToReopen]) -> RunReport:
    """Add approved or retried recordings to finished films."""
    return reopener.reopen(films)
