"""Films through their sources into shards: which films are to be done, and how one film is done.

A film's recordings are gathered, turned into mels and committed as one shard, and only then does its
audio go. The shard is the commit: it carries the film's `tracks` rows too, so a crash after it loses
nothing (`recover`), and a crash before it leaves the film to be done by the next run, with what was
already downloaded still lying in the staging folder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from storage import outcomes, tables
from storage.claims import Claim, claim
from storage.errors import ItemError, Retry, SourcePaused
from storage.lake import Lake
from storage.mel_shards import read_tracks
from storage.mels import MelSettings, shard_path
from storage.outcomes import REASONS, Outcome, Stage, Status, from_error, ok
from storage.schemas import OUTCOMES, TRACKS
from tasks.soundtracks.candidates import Decision, Film, Judged, track_row
from tasks.soundtracks.choosing import TRACKS_A_FILM, decided, in_order
from tasks.soundtracks.extraction import FilmJob, FilmResult, Recording, extract_films
from tasks.soundtracks.matching import RULE_VERSION
from tasks.soundtracks.sources import Source


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

    @property
    def job(self) -> FilmJob:
        """What extraction needs."""
        rows = tuple(track_row(judged, RULE_VERSION) for judged in self.judged)
        return FilmJob(self.film.film_id, self.film.year or 0, tuple(self.recordings), rows)


@dataclass(frozen=True)
class Collector:
    """Everything that a batch of films is done with."""

    lake: Lake
    sources: Sequence[Source]
    settings: MelSettings
    run_id: str
    workers: int
    settled_tracks: frozenset[str] = frozenset()
    """Items of stage track that are not to be tried now."""
    on_film: Callable[[str], None] = lambda _film_id: None

    def collect(self, films: Sequence[Film]) -> Report:
        """Do these films together, and commit what came of each. Films that another worker has are left to it."""
        report = Report()
        held: dict[str, Claim] = {}
        try:
            gathered = self._gather_all(films, held, report)
            self._commit(gathered, report)
        finally:
            for claimed in held.values():
                claimed.release()
        return report

    def _gather_all(self, films: Sequence[Film], held: dict[str, Claim], report: Report) -> list[Gathered]:
        gathered = []
        for film in films:
            claimed = claim(self.lake, film.film_id)
            if claimed is None:
                report.counts["films_of_other_workers"] += 1
                continue
            held[film.film_id] = claimed
            if self.lake.exists(shard_path(film.film_id, film.year or 0)):
                continue  # another worker finished it between the plan and the claim
            try:
                gathered.append(self._gather(film, claimed))
            except SourcePaused as pause:
                report.paused = pause
                break
        return gathered

    def _gather(self, film: Film, claimed: Claim) -> Gathered:
        """A film's recordings from the first source that has any."""
        gathered = Gathered(film)
        for source in self.sources:
            try:
                candidates = in_order(source.find(film))
            except ItemError as error:
                gathered.outcomes.append(from_error(Stage.SOUNDTRACK, film.film_id, error))
                continue
            for judged in candidates:
                claimed.renew()
                gathered.judged.append(self._take(gathered, source, judged))
            if gathered.recordings:
                break
        return gathered

    def _take(self, gathered: Gathered, source: Source, judged: Judged) -> Judged:
        """Fetch one candidate if it is wanted; returns it as it ends, with the reason."""
        if judged.verdict.decision is not Decision.TAKEN:
            return judged
        if len(gathered.recordings) >= TRACKS_A_FILM:
            return decided(judged, Decision.REJECTED, "enough_tracks")
        if judged.item in self.settled_tracks:
            return decided(judged, Decision.REJECTED, "failed_before")
        try:
            gathered.recordings.append(source.fetch(judged))
        except ItemError as error:
            gathered.outcomes.append(from_error(Stage.TRACK, judged.item, error))
            return decided(judged, Decision.REJECTED, error.reason)
        return judged

    def _commit(self, gathered: Sequence[Gathered], report: Report) -> None:
        """Extract what was gathered; then the rows, the outcomes, and only then the audio goes."""
        by_film = {one.film.film_id: one for one in gathered}
        jobs = [one.job for one in gathered if one.recordings]

        def film_done(result: FilmResult) -> None:
            self.on_film(result.film_id)

        results = (
            extract_films(self.lake, jobs, self.settings, self.run_id, workers=self.workers, on_film=film_done)
            if jobs
            else []
        )
        rows = [row for result in results for row in result.rows]
        ended = [outcome for result in results for outcome in result.outcomes]
        for one in gathered:
            ended += one.outcomes
            if not one.recordings:
                rows += one.job.rows
                ended.append(_nothing_taken(one))
                self.on_film(one.film.film_id)
        tables.append(self.lake, TRACKS, rows, self.run_id)
        outcomes.record(self.lake, ended, self.run_id)
        for result in results:
            if result.shard:
                for source in self.sources:
                    source.finish(by_film[result.film_id].film)
        report.counts += _counts(results, ended)


def _nothing_taken(gathered: Gathered) -> Outcome:
    """Why a film has no music: nothing matched, somebody must look, or nothing could be had."""
    film_id = gathered.film.film_id
    if any(judged.verdict.decision is Decision.REVIEW for judged in gathered.judged):
        error = ItemError("awaiting_review", "A person must say yes or no: run needledrop review", Retry.LATER)
    elif gathered.outcomes:
        again = any(outcome.retry is not Retry.NEVER for outcome in gathered.outcomes)
        message = "No candidate could be fetched; see the outcomes of stage track"
        error = ItemError("no_usable_track", message, Retry.LATER if again else Retry.NEVER)
    else:
        error = ItemError("no_match", "No source has music that matches; add some or wait for more", Retry.LATER)
    return from_error(Stage.SOUNDTRACK, film_id, error, Status.SKIPPED)


def _counts(results: Iterable[FilmResult], ended: Iterable[Outcome]) -> Counter[str]:
    counts: Counter[str] = Counter(films=sum(result.shard is not None for result in results))
    for outcome in ended:
        if outcome.stage is Stage.TRACK:
            counts["tracks" if outcome.status is Status.OK else "tracks_failed"] += 1
        elif outcome.status is not Status.OK:
            counts["films_without_music"] += 1
    return counts


def done_films(lake: Lake) -> dict[str, str]:
    """film_id -> shard of every film whose music is committed."""
    shards = lake.list("mels", suffix=".parquet")
    return {name.rsplit("page=", 1)[1].removesuffix(".parquet"): name for name in shards if "page=" in name}


def recover(lake: Lake, run_id: str) -> int:
    """Write the rows and outcomes of films whose shard was committed just before a crash; returns how many."""
    with tables.connect(lake) as connection:
        query = f"SELECT item FROM {tables.latest_sql(lake, OUTCOMES)} WHERE stage = 'soundtrack' AND status = 'ok'"
        known = {item for (item,) in connection.execute(query).fetchall()}
    lost = {film_id: shard for film_id, shard in done_films(lake).items() if film_id not in known}
    rows = [row for shard in lost.values() for row in read_tracks(lake, shard)]
    tables.append(lake, TRACKS, [_writable(row) for row in rows], run_id)
    ended = [outcome for row in rows if (outcome := _recovered(row))]
    outcomes.record(lake, [*ended, *(ok(Stage.SOUNDTRACK, film_id) for film_id in lost)], run_id)
    return len(lost)


def _recovered(row: dict[str, Any]) -> Outcome | None:
    item = f"{row['film_id']}/{row['track_id']}"
    if row.get("segments"):
        return ok(Stage.TRACK, item, audio_seconds=row.get("decoded_seconds"))
    if row.get("reason") in REASONS[Stage.TRACK]:
        return Outcome(Stage.TRACK, item, Status.FAILED, row["reason"], message="Known from the film's shard")
    return None


def _writable(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "run_id"}


def record_changes(lake: Lake, ended: Sequence[Outcome], run_id: str) -> None:
    """Record outcomes that say something new: an item that is skipped for the same reason again adds no row."""
    with tables.connect(lake) as connection:
        query = f"SELECT stage, item, reason FROM {tables.latest_sql(lake, OUTCOMES)}"
        known = set(connection.execute(query).fetchall())
    new = [replace(one, seconds=None) for one in ended if (str(one.stage), one.item, one.reason) not in known]
    if new:
        outcomes.record(lake, new, run_id)
