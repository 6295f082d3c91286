"""Whether collected recordings are still there: videos are made private, accounts end, hosts go away.

A recording that came from the network is asked for again from time to time, without its media and through the
same door as everything else: consent, takedowns, breakers, daily budgets and waits hold here too. What is gone
is marked dead in `outcomes` and nowhere else: its mels stay, and so does every version that holds it, since what
was published must stay what it was. Nothing but a clear answer marks a recording, or three doubtful ones on
three days; a dead one is asked for again as well, and may come back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlparse

from storage.coordination.leases import leased
from storage.errors import ItemError, Retry, SourcePaused
from storage.lake.lake import Lake
from storage.records import outcomes
from storage.records.outcomes import RETRY_LATER_AFTER, Outcome, Stage, Status
from storage.records.takedown_list import read_takedowns
from storage.tables import tables
from storage.tables.schemas import OUTCOMES, TRACKS
from tasks.soundtracks.runs.collect import Report
from tasks.soundtracks.runs.context import Supply
from tasks.soundtracks.sources.url_list import UrlSource
from tasks.soundtracks.sources.youtube import YouTubeSource

GONE = frozenset({"age", "copyright", "drm", "geo", "http_gone", "members", "paid", "private", "removed"})
"""Answers about the recording itself, after which nobody can collect it again from here."""
DOUBTFUL = frozenset(
    {"http_403", "http_4xx", "http_auth", "needs_login", "restricted", "unavailable", "unreachable", "unsupported"}
)
"""Answers that a block or a bad day gives too."""
DOUBTS_UNTIL_DEAD = 3
"""Consecutive doubtful answers, each at least `RETRY_LATER_AFTER` after the one before, that mean a dead recording."""
HOST_REASONS = frozenset({"dns", "tls"})
"""Pauses that, for an address which a person listed, mean its host and not this machine's network."""
ANSWERS_A_COMMIT = 20


@dataclass(frozen=True)
class DueTrack:
    """A recording whose time to be asked for has come. `dead_because` is (reason, message) if it is marked."""

    track_id: str
    media_id: str
    url: str
    dead_because: tuple[str, str] | None
    doubts: int

    @property
    def host(self) -> str:
        """Where it lies."""
        return urlparse(self.url).hostname or ""


@dataclass(frozen=True)
class Rechecker:
    """Asks the sources of a run about what was collected from them."""

    supply: Supply
    run_id: str
    on_progress: Callable[[str, int, int], None] = lambda *_told: None

    def recheck(self) -> Report:
        """Ask for what is due, the longest unasked first; a source that pauses leaves the others to go on."""
        report = Report()
        settings, lake = self.supply.settings, self.supply.lake
        for source in self.supply.sources:
            if not isinstance(source, YouTubeSource | UrlSource):
                continue
            room = settings.most_rechecks - report.counts["tracks_checked"]
            with leased(lake, f"recheck-{source.name}") as lease:
                if lease is None or room <= 0:
                    continue
                due = due_tracks(lake, source.name, settings.recheck_days, room)
                try:
                    self._recheck(source, due, report)
                except SourcePaused as pause:
                    report.paused = report.paused or pause
        return report

    def _recheck(self, source: YouTubeSource | UrlSource, due: list[DueTrack], report: Report) -> None:
        answers: list[Outcome] = []
        told: set[str] = set()
        try:
            for track in due:
                if track.track_id in told:
                    continue
                for one, outcome in self._ask(source, track, [one for one in due if one.track_id not in told]):
                    told.add(one.track_id)
                    answers.append(outcome)
                    report.counts["tracks_checked"] += 1
                    report.counts["tracks_dead"] += outcome.status is Status.FAILED and one.dead_because is None
                    report.counts["tracks_back"] += outcome.status is Status.OK and one.dead_because is not None
                self.on_progress("Asking whether tracks are still there", len(told), len(due))
                if len(answers) >= ANSWERS_A_COMMIT:
                    outcomes.record(self.supply.lake, answers, self.run_id)
                    answers.clear()
        finally:
            outcomes.record(self.supply.lake, answers, self.run_id)

    def _ask(
        self, source: YouTubeSource | UrlSource, track: DueTrack, due: list[DueTrack]
    ) -> Iterator[tuple[DueTrack, Outcome]]:
        """One lookup, and what it says: of this recording, or of everything that is due from its host."""
        source.downloader.throttle.enter()  # a pause from before says nothing about this recording
        began, days = time.monotonic(), self.supply.settings.recheck_days
        try:
            source.downloader.probe(track.media_id, track.url)
        except ItemError as error:
            yield track, answered(track, error, days)
        except SourcePaused as pause:
            if isinstance(source, UrlSource) and pause.reason in HOST_REASONS:
                away = ItemError("unreachable", f"{track.host} cannot be reached ({pause.reason})")
                yield from ((one, answered(one, away, days)) for one in due if one.host == track.host)
            raise
        else:
            yield track, answered(track, None, days, time.monotonic() - began)


def answered(track: DueTrack, error: ItemError | None, days: int, seconds: float | None = None) -> Outcome:
    """What an answer means: there, dead, or not told; and when to ask again."""
    now = datetime.now(UTC)
    in_time, soon = now + timedelta(days=days), now + RETRY_LATER_AFTER
    if error is None:
        return Outcome(Stage.AVAILABILITY, track.track_id, Status.OK, "ok", Retry.LATER, in_time, seconds=seconds)
    status, reason, message, retry_at = Status.FAILED, error.reason, str(error), in_time
    if error.reason not in GONE:
        if track.dead_because is not None:  # nothing says that it is back
            reason, message = track.dead_because
        elif error.reason not in DOUBTFUL or track.doubts + 1 < DOUBTS_UNTIL_DEAD:
            status, retry_at = Status.SKIPPED, soon
    return Outcome(Stage.AVAILABILITY, track.track_id, status, reason, Retry.LATER, retry_at, message)


def due_tracks(lake: Lake, source: str, days: int, limit: int, now: datetime | None = None) -> list[DueTrack]:
    """The collected recordings of a source that are to be asked for now, the longest unasked first.

    One that was never asked for counts from the day it was collected. What was taken down is never among them.
    """
    query = f"""
        WITH said AS (
            SELECT item AS track_id, status, reason, message, retry_at, recorded_at,
                {tables.ROW_ORDER} AS place
            FROM {tables.rows_sql(lake, OUTCOMES)} WHERE stage = '{Stage.AVAILABILITY}'
        ), places AS (
            SELECT track_id, max(place) AS place, max(place) FILTER (status <> 'skipped') AS told
            FROM said GROUP BY track_id
        ), doubts AS (
            SELECT track_id, count(*) AS doubts FROM said JOIN places USING (track_id)
            WHERE list_contains($doubtful, reason) AND (told IS NULL OR said.place > told) GROUP BY track_id
        ), collected AS (
            SELECT track_id, any_value(media_id) AS media_id, any_value(url) AS url, max(recorded_at) AS collected_at
            FROM {tables.latest_sql(lake, TRACKS)} WHERE segments > 0 AND source = $source
                AND NOT list_has_any($takedowns, [film_id, track_id, 'channel:' || channel_id])
            GROUP BY track_id
        )
        SELECT track_id, media_id, url, CASE WHEN status = 'failed' THEN {{'reason': reason, 'message': message}} END,
            coalesce(doubts, 0)
        FROM collected LEFT JOIN places USING (track_id) LEFT JOIN said USING (track_id, place)
        LEFT JOIN doubts USING (track_id)
        WHERE coalesce(least(retry_at, recorded_at + to_days($days)), collected_at + to_days($days)) <= $now
        ORDER BY coalesce(recorded_at, collected_at), track_id LIMIT $limit
    """
    given = {
        "doubtful": sorted(DOUBTFUL),
        "source": source,
        "takedowns": sorted(read_takedowns(lake)),
        "days": days,
        "now": now or datetime.now(UTC),
        "limit": limit,
    }
    with tables.connect(lake) as connection:
        rows = connection.execute(query, given).fetchall()
    return [
        DueTrack(track_id, media_id, url, (dead["reason"], dead["message"]) if dead else None, doubts)
        for track_id, media_id, url, dead, doubts in rows
    ]
