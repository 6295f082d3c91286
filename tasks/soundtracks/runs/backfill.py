"""Add recordings to films that are done: what a reviewer approved, and what is tried again by reason.

The new recordings are extracted into a temporary lake and appended to the film's shard, which is replaced as a whole:
the rows that were there keep their numbers, and a crash leaves the old shard or the new one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from storage.coordination.leases import leased
from storage.errors import ItemError, SourcePaused
from storage.lake.lake import Lake
from storage.mels.writer import add_tracks, read_mels, read_tracks
from storage.records import outcomes
from storage.records.outcomes import Outcome, Stage, Status, from_error, ok
from storage.tables import tables
from storage.tables.schemas import TRACKS
from tasks.run_report import RunReport
from tasks.soundtracks.download.staging import release_staged
from tasks.soundtracks.extraction.film import extract_film
from tasks.soundtracks.extraction.jobs import FilmJob, FilmResult, Recording
from tasks.soundtracks.matching.matcher import TRACKS_PER_FILM
from tasks.soundtracks.matching.rule import RULE_VERSION
from tasks.soundtracks.models import Candidate, Decision, Film, Judged, Verdict, track_row
from tasks.soundtracks.runs.context import RunContext
from tasks.soundtracks.runs.plan import FilmToReopen
from tasks.soundtracks.runs.reconcile import without_run
from tasks.soundtracks.runs.takedown import purge_films
from tasks.soundtracks.sources.base import Source

_CANDIDATE_COLUMNS = (
    "source",
    "media_id",
    "url",
    "title",
    "artist",
    "album",
    "album_id",
    "uploader",
    "channel_id",
    "release_year",
    "duration_seconds",
    "licence",
    "query",
    "position",
)


@dataclass(frozen=True)
class Reopener:
    """Fetches, extracts and appends the requested recordings of films that have a shard."""

    context: RunContext

    def reopen(self, films: Sequence[FilmToReopen]) -> RunReport:
        """Add what is requested of each film, up to the most tracks that a film may have."""
        report = RunReport()
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
        return report

    def _reopen(self, request: FilmToReopen, report: RunReport) -> None:
        lake, film = self.context.lake, request.film
        present = {row["track_id"]: row for row in read_tracks(lake, request.shard) if row.get("segments")}
        track_outcomes = self._restore_rows(request, present)
        missing = [row for row in request.rows if row["track_id"] not in present]
        job, failures = self._fetch_all(film, missing, TRACKS_PER_FILM - len(present))
        track_outcomes += failures
        if job.recordings:
            result = self._extend_shard(request.shard, job)
            track_outcomes += [outcome for outcome in result.outcomes if outcome.stage is Stage.TRACK]
        outcomes.record(lake, self.context.decided(track_outcomes), self.context.run_id)
        purge_films(lake, self.context.takedowns.read(), [film.film_id], self.context.run_id)
        release_staged(lake, film.film_id, keep_audio=self.context.settings.keep_audio)
        report.counts["films_reopened"] += 1
        report.counts["tracks"] += len([one for one in track_outcomes if one.status is Status.OK])

    def _restore_rows(self, request: FilmToReopen, present: dict[str, dict[str, Any]]) -> list[Outcome]:
        """Write again the rows that a crash kept from the tables after their shard was replaced."""
        restored = [present[row["track_id"]] for row in request.rows if row["track_id"] in present]
        tables.append(self.context.lake, TRACKS, [without_run(row) for row in restored], self.context.run_id)
        return [ok(Stage.TRACK, f"{request.film.film_id}/{row['track_id']}") for row in restored]

    def _fetch_all(self, film: Film, rows: Sequence[dict[str, Any]], most: int) -> tuple[FilmJob, list[Outcome]]:
        """Fetch at most `most` of these rows' recordings; return them as a job, and the outcomes of failures."""
        recordings: list[Recording] = []
        new_rows: list[dict[str, Any]] = []
        failures: list[Outcome] = []
        for row in rows:
            if len(recordings) >= most:
                break
            try:
                fetched = self._fetch(film, row)
            except ItemError as error:
                failures.append(from_error(Stage.TRACK, f"{film.film_id}/{row['track_id']}", error))
                continue
            if fetched is not None:
                recordings.append(fetched[0])
                new_rows.append(track_row(fetched[1], RULE_VERSION))
        return FilmJob(film.film_id, film.year or 0, tuple(recordings), tuple(new_rows)), failures

    def _fetch(self, film: Film, row: dict[str, Any]) -> tuple[Recording, Judged] | None:
        """Fetch a recording by its row; None when it is not to be taken or its source is not part of this run."""
        candidate = Candidate(**{name: row[name] for name in _CANDIDATE_COLUMNS})
        verdict = Verdict(Decision.TAKEN, "approved", row["score"], dict(row["score_parts"] or {}))
        judged = self.context.matcher.apply_overrides(Judged(film.film_id, candidate, verdict))
        source = self._source_of(candidate)
        if source is None or judged.verdict.decision is not Decision.TAKEN:
            return None
        listed = self._listed_candidate(judged)
        if listed is not None:
            judged = Judged(film.film_id, listed, judged.verdict)
        elif candidate.source == "music_folder":
            return None  # the path of a local file is not kept in the lake
        fetched = source.fetch(judged, film)
        return (fetched.recording, fetched.judged) if fetched.recording is not None else None

    def _source_of(self, candidate: Candidate) -> Source | None:
        return next((source for source in self.context.sources if source.name == candidate.source), None)

    def _listed_candidate(self, judged: Judged) -> Candidate | None:
        """Return the same recording as a source of this run lists it for the film, if one does."""
        listed = (one for source in self.context.assigned for one in source.by_film.get(judged.film_id, ()))
        return next((one.candidate for one in listed if one.item == judged.item), None)

    def _extend_shard(self, shard: str, job: FilmJob) -> FilmResult:
        """Extract the new recordings in a temporary lake, and append them to the film's shard."""
        lake = self.context.lake
        with tempfile.TemporaryDirectory(prefix="needledrop-") as folder:
            temporary = Lake(folder)
            result = extract_film(temporary, job, self.context.settings.mels, self.context.run_id)
            if result.shard is None:
                return result
            _settings, added = read_mels(temporary, result.shard)
            new = {row["track_id"]: {**row, "shard": shard} for row in result.rows}
            unchanged = [row for row in read_tracks(lake, shard) if row["track_id"] not in new]
            first_rows = add_tracks(lake, shard, added, [*unchanged, *new.values()])
        rows = [{**without_run(row), "first_row": first_rows.get(track_id)} for track_id, row in new.items()]
        tables.append(lake, TRACKS, rows, self.context.run_id)
        return result
