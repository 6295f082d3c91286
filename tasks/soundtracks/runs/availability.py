"""Check whether collected recordings are still available: videos are made private, accounts end, hosts vanish.

A recording from the network is looked up again from time to time, without its media and through the same throttle as
everything else: consent, takedowns, breakers, daily budgets and waits hold here too. One that is no longer available
is marked dead in `outcomes` and nowhere else: its mels stay, and so does every data-set version that holds it. Only a
clear answer marks a recording, or three doubtful ones on three days; a dead one is checked as well and may come back.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlparse

from prefect import task
from prefect.cache_policies import NO_CACHE

from storage.coordination.leases import leased
from storage.errors import ItemError, Retry, SourcePaused
from storage.lake.lake import Lake
from storage.records import outcomes
from storage.records.outcomes import RETRY_LATER_AFTER, Outcome, Stage, Status
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import OUTCOMES, TRACKS
from storage.takedown_list_and_erasure import read_takedowns
from tasks.run_report import RunReport
from tasks.soundtracks.runs.open_sources import RunContext
from tasks.soundtracks.sources.source_protocol import NetworkedSource

CLEAR_REASONS = frozenset({"age", "copyright", "drm", "geo", "members", "paid", "private", "removed"})
"""Answers about the recording itself, after which nobody can collect it again from here."""
DOUBTFUL_REASONS = frozenset(
    {"http_403", "http_4xx", "http_auth", "http_gone", "needs_login", "restricted", "unavailable", "unreachable"}
    | {"unsupported"}
)
"""Answers that a block or a temporary fault gives too."""
DOUBTS_UNTIL_DEAD = 3
"""Consecutive doubtful answers, each at least `RETRY_LATER_AFTER` after the one before, that mean a dead recording."""
HOST_REASONS = frozenset({"dns", "tls"})
"""Pauses that, where each recording may have a host, concern that host and not this machine's network."""
ANSWERS_PER_COMMIT = 20


@dataclass(frozen=True)
class DueTrack:
    """A recording due for an availability check. `dead_because` is (reason, message) if it is marked dead."""

    track_id: str
    media_id: str
    url: str
    dead_because: tuple[str, str] | None
    doubts: int

    @property
    def host(self) -> str:
        """The host of its address."""
        return urlparse(self.url).hostname or ""


@dataclass(frozen=True)
class AvailabilityChecker:
    """Looks up what was collected from the networked sources of a run."""

    context: RunContext

    def check(self) -> RunReport:
        """Check the tracks that are due, the longest unchecked first; a pause of one source spares the others."""
        report = RunReport()
        settings, lake = self.context.settings, self.context.lake
        for source in self.context.networked:
            left = settings.most_rechecks - report.counts["tracks_checked"]
            with leased(lake, f"recheck-{source.name}") as lease:
                if lease is None or left <= 0:
                    continue
                due = due_tracks(lake, source.name, settings.recheck_days, left)
                try:
                    self._check_all(source, due, report)
                except SourcePaused as pause:
                    report.paused = report.paused or pause
        return report

    def _check_all(self, source: NetworkedSource, due: list[DueTrack], report: RunReport) -> None:
        answers: list[Outcome] = []
        unchecked = {track.track_id: track for track in due}
        try:
            for track in due:
                if track.track_id not in unchecked:
                    continue  # answered together with another track of its host
                for answered, outcome in self._check(source, track, list(unchecked.values())):
                    del unchecked[answered.track_id]
                    answers.append(outcome)
                    _count(report, answered, outcome)
                self.context.progress("Checking availability", len(due) - len(unchecked), len(due))
                if len(answers) >= ANSWERS_PER_COMMIT:
                    outcomes.record(self.context.lake, answers, self.context.run_id)
                    answers.clear()
        finally:
            outcomes.record(self.context.lake, answers, self.context.run_id)

    def _check(
        self, source: NetworkedSource, track: DueTrack, unchecked: list[DueTrack]
    ) -> Iterator[tuple[DueTrack, Outcome]]:
        """Look up one track; yield what the answer means for it, or for every unchecked track of its host."""
        source.downloader.throttle.enter()  # an earlier pause says nothing about this recording
        started, days = time.monotonic(), self.context.settings.recheck_days
        try:
            source.downloader.probe(track.media_id, track.url)
        except ItemError as error:
            yield track, outcome_of(track, error, days)
        except SourcePaused as pause:
            if source.has_many_hosts and pause.reason in HOST_REASONS:
                unreachable = ItemError("unreachable", f"{track.host} cannot be reached ({pause.reason})")
                for other in unchecked:
                    if other.host == track.host:
                        yield other, outcome_of(other, unreachable, days)
            raise
        else:
            yield track, outcome_of(track, None, days, time.monotonic() - started)


def _count(report: RunReport, track: DueTrack, outcome: Outcome) -> None:
    was_dead = track.dead_because is not None
    report.counts["tracks_checked"] += 1
    if outcome.status is Status.FAILED and not was_dead:
        report.counts["tracks_dead"] += 1
    if outcome.status is Status.OK and was_dead:
        report.counts["tracks_back"] += 1


def outcome_of(track: DueTrack, error: ItemError | None, days: int, seconds: float | None = None) -> Outcome:
    """Return what an answer means (available, dead or unknown) and, as `retry_at`, when to check again."""
    now = datetime.now(UTC)
    next_check = now + timedelta(days=days)
    if error is None:
        return Outcome(Stage.AVAILABILITY, track.track_id, Status.OK, "ok", Retry.LATER, next_check, seconds=seconds)
    status, reason, message = Status.FAILED, error.reason, str(error)
    if error.reason not in CLEAR_REASONS:
        if track.dead_because is not None:  # nothing shows that it is back
            reason, message = track.dead_because
        elif error.reason not in DOUBTFUL_REASONS or track.doubts + 1 < DOUBTS_UNTIL_DEAD:
            status, next_check = Status.SKIPPED, now + RETRY_LATER_AFTER
    return Outcome(Stage.AVAILABILITY, track.track_id, status, reason, Retry.LATER, next_check, message)


def due_tracks(lake: Lake, source: str, days: int, limit: int, now: datetime | None = None) -> list[DueTrack]:
    """Return the collected recordings of a source that are due for a check, the longest unchecked first.

    One that was never checked counts from the day it was collected. What was taken down is never due.
    """
    query = f"""
        WITH checks AS (
            SELECT item AS track_id, status, reason, message, retry_at, recorded_at,
                {tables.ROW_ORDER} AS position
            FROM {tables.rows_sql(lake, OUTCOMES)} WHERE stage = '{Stage.AVAILABILITY}'
        ), newest AS (
            SELECT track_id, max(position) AS check_position,
                max(position) FILTER (status <> 'skipped') AS verdict_position
            FROM checks GROUP BY track_id
        ), doubtful AS (
            SELECT track_id, count(*) AS doubts FROM checks JOIN newest USING (track_id)
            WHERE list_contains($doubtful_reasons, reason)
                AND (verdict_position IS NULL OR position > verdict_position)
            GROUP BY track_id
        ), collected AS (
            SELECT track_id, any_value(media_id) AS media_id, any_value(url) AS url, max(recorded_at) AS collected_at
            FROM {tables.latest_sql(lake, TRACKS)} WHERE segments > 0 AND source = $source
                AND NOT list_has_any($takedowns, [film_id, track_id, 'channel:' || channel_id])
            GROUP BY track_id
        )
        SELECT collected.track_id, media_id, url,
            CASE WHEN status = 'failed' THEN {{'reason': reason, 'message': message}} END AS dead_because,
            coalesce(doubts, 0) AS doubts
        FROM collected LEFT JOIN newest USING (track_id)
        LEFT JOIN checks ON checks.track_id = collected.track_id AND position = check_position
        LEFT JOIN doubtful ON doubtful.track_id = collected.track_id
        WHERE coalesce(least(retry_at, recorded_at + to_days($days)), collected_at + to_days($days)) <= $now
        ORDER BY coalesce(recorded_at, collected_at), collected.track_id LIMIT $limit
    """
    parameters = {
        "doubtful_reasons": sorted(DOUBTFUL_REASONS),
        "source": source,
        "takedowns": sorted(read_takedowns(lake)),
        "days": days,
        "now": now or datetime.now(UTC),
        "limit": limit,
    }
    with duckdb_connection.connect(lake) as connection:
        rows = connection.execute(query, parameters).fetchall()
    return [
        DueTrack(track_id, media_id, url, (dead["reason"], dead["message"]) if dead else None, doubts)
        for track_id, media_id, url, dead, doubts in rows
    ]


@task(name="recheck-tracks", task_run_name="tracks to check again", cache_policy=NO_CACHE, persist_result=False)
def recheck_tracks(checker: AvailabilityChecker) -> RunReport:
    """Check whether tracks from the network are still available."""
    return checker.check()
