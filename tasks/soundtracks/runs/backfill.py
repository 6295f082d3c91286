"""Adding to films that are done: what a person said yes to, and what is tried again by reason.

The new recordings are turned into mels beside the lake and appended to the film's shard, which takes its
place whole: rows that were there keep their numbers, and a crash leaves the old shard or the new one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from storage.coordination.leases import leased
from storage.errors import ItemError, SourcePaused
from storage.lake.lake import Lake
from storage.mels.rewrite import add_tracks, read_mels
from storage.mels.writer import read_tracks
from storage.records import outcomes
from storage.records.outcomes import Outcome, Stage, from_error, ok
from storage.tables import tables
from storage.tables.schemas import TRACKS
from tasks.soundtracks.download.staging import release_staged
from tasks.soundtracks.extraction.film import FilmJob, FilmResult, Recording, extract_film
from tasks.soundtracks.matching.rule import RULE_VERSION
from tasks.soundtracks.matching.selection import TRACKS_PER_FILM
from tasks.soundtracks.models import Candidate, Decision, Film, Judged, Verdict, track_row
from tasks.soundtracks.runs.collect import Report
from tasks.soundtracks.runs.context import Supply
from tasks.soundtracks.runs.plan import Reopened

_FROM_ROW = """
source media_id url title artist album uploader channel_id release_year duration_seconds licence query position
"""


@dataclass(frozen=True)
class Reopener:
    """Does films again that have a shard, for the items that are asked for."""

    supply: Supply
    run_id: str

    def reopen(self, films: Sequence[Reopened]) -> Report:
        """Fetch, extract and append what is wanted of each film, up to its nine."""
        report = Report()
        for wanted in films:
            with leased(self.supply.lake, wanted.film.film_id) as lease:
                if lease is None:
                    report.counts["films_of_other_workers"] += 1
                    continue
                try:
                    self._reopen(wanted, report)
                except SourcePaused as pause:
                    report.paused = pause
                    break
        return report

    def _reopen(self, wanted: Reopened, report: Report) -> None:
        lake, film = self.supply.lake, wanted.film
        present = {row["track_id"]: row for row in read_tracks(lake, wanted.shard) if row.get("segments")}
        room = TRACKS_PER_FILM - len(present)
        recordings: list[Recording] = []
        added: list[dict[str, Any]] = []
        ended: list[Outcome] = []
        for row in wanted.rows:
            if row["track_id"] in present:  # a crash fell between the shard and its rows
                known = {name: value for name, value in present[row["track_id"]].items() if name != "run_id"}
                tables.append(lake, TRACKS, [known], self.run_id)
                ended.append(ok(Stage.TRACK, f"{film.film_id}/{row['track_id']}"))
            elif len(recordings) < room and (fetched := self._fetch(film, row, ended)) is not None:
                recordings.append(fetched[0])
                added.append(track_row(fetched[1], RULE_VERSION))
        if recordings:
            job = FilmJob(film.film_id, film.year or 0, tuple(recordings), tuple(added))
            result = self._extend(film, wanted.shard, job)
            ended += [outcome for outcome in result.outcomes if outcome.stage is Stage.TRACK]
        outcomes.record(lake, ended, self.run_id)
        release_staged(lake, film.film_id, keep_audio=self.supply.settings.keep_audio)
        report.counts["films_reopened"] += 1
        report.counts["tracks"] += sum(outcome.reason == "ok" for outcome in ended)

    def _fetch(self, film: Film, row: dict[str, Any], ended: list[Outcome]) -> tuple[Recording, Judged] | None:
        """One recording that the lake knows by its row, from the source that offered it."""
        candidate = Candidate(**{name: row[name] for name in _FROM_ROW.split()})
        verdict = Verdict(Decision.TAKEN, "approved", row["score"], dict(row["score_parts"] or {}))
        judged = self.supply.matcher.apply_overrides(Judged(film.film_id, candidate, verdict))
        source = next((one for one in self.supply.sources if one.name == candidate.source), None)
        known = {one.item: one.candidate for each in self.supply.assigned for one in each.by_film.get(film.film_id, ())}
        if source is None or judged.verdict.decision is not Decision.TAKEN:
            return None
        if judged.item in known:  # a local file's path is not kept in the lake
            judged = Judged(film.film_id, known[judged.item], judged.verdict)
        elif candidate.source == "music_folder":
            return None
        try:
            fetched = source.fetch(judged, film)
        except ItemError as error:
            ended.append(from_error(Stage.TRACK, judged.item, error))
            return None
        return (fetched.recording, fetched.judged) if fetched.recording is not None else None

    def _extend(self, film: Film, shard: str, job: FilmJob) -> FilmResult:
        """Make the new recordings' mels in a lake of their own, and append them to the film's shard."""
        lake = self.supply.lake
        with tempfile.TemporaryDirectory(prefix="needledrop-") as folder:
            beside = Lake(folder)
            result = extract_film(beside, job, self.supply.settings.mels, self.run_id)
            if result.shard is None:
                return result
            _settings, added = read_mels(beside, result.shard)
            new = {row["track_id"]: {**row, "shard": shard} for row in result.rows}
            kept = [row for row in read_tracks(lake, shard) if row["track_id"] not in new]
            first_rows = add_tracks(lake, shard, added, [*kept, *new.values()])
        for track_id, row in new.items():
            row.pop("run_id", None)
            row["first_row"] = first_rows.get(track_id)
        tables.append(lake, TRACKS, list(new.values()), self.run_id)
        return result
