"""Plan a run: which films to collect and which finished ones to reopen, worked out from the lake alone.

A film is done when its shard exists, whatever was recorded: one whose damaged shard the user deleted is collected
again. Of the others, those are planned for which a source has something that was not tried before, or that may be
searched for again. A film for which there is nothing is recorded once, with the reason.

New films come first, but those that were tried before have a share of each day's requests.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from storage.coordination.list_and_free_leases import sweep_leases
from storage.mels.settings_and_shard_format import done_films
from storage.records.outcomes import Outcome, Stage, Status, attempts, from_error, not_due, record_new
from storage.tables import tables
from storage.tables.schemas import TRACKS
from tasks.soundtracks.candidate_recordings import Decision, Film, Judged, track_row, with_decision
from tasks.soundtracks.film_outcomes import nothing_taken, taken_down
from tasks.soundtracks.matching.track_selection import TRACKS_PER_FILM
from tasks.soundtracks.matching.verdict import RULE_VERSION
from tasks.soundtracks.runs.crash_recovery import clean_staging, drop_orphans
from tasks.soundtracks.runs.judge_again_by_newer_rule import films_to_search_again, read_refusals, rows_to_fetch_now
from tasks.soundtracks.runs.open_sources import RunContext
from tasks.soundtracks.runs.reopen_finished_films import FilmToReopen
from tasks.soundtracks.runs.retry_schedule import FilmHistory, History, Row, read_history, track_rows
from tasks.soundtracks.runs.takedown import purge


@dataclass(frozen=True)
class Plan:
    """The films to collect, in order of work; track items not to be tried; earlier attempts by (stage, item)."""

    films: list[Film]
    tracks_not_due: frozenset[str]
    attempts: dict[tuple[str, str], int]
    reopened: list[FilmToReopen] = field(default_factory=list)
    """Finished films to which a reviewer's yes, a retry or another version of yt-dlp or the rule may add recordings."""
    histories: Mapping[str, FilmHistory] = field(default_factory=dict)
    """film_id -> what earlier runs recorded, of films that are not done."""
    refusals: Mapping[str, tuple[Decision, str]] = field(default_factory=dict)
    """Decision and reason for recordings that their page refused."""

    @property
    def retries(self) -> frozenset[str]:
        """The films that were tried before."""
        return frozenset(film_id for film_id, history in self.histories.items() if history.was_asked)


def plan(context: RunContext) -> Plan:
    """Plan a run with the sources of `context`, and tidy up what crashed runs left behind, also of what was taken down.

    Outcomes of what needs no work are recorded here where they are new: recordings that match no film, films for
    which there is nothing, and recordings that came after their film was done.
    """
    lake = context.lake
    sweep_leases(lake)
    purge(lake, context.run_id)
    drop_orphans(lake)
    done = done_films(lake)
    clean_staging(lake, done, keep_audio=context.settings.keep_audio)
    history = read_history(context, done)
    films, skipped = _choose_films(context, history)
    _record_unplanned(context, {film.film_id for film in films}, done, skipped)
    opened = history.retried | history.opened
    counted = {key: n for key, n in attempts(lake, [Stage.TRACK], done).items() if key[1] not in opened}
    reopened, refusals = choose_reopened(context, history), read_refusals(lake, done)
    return Plan(films, history.tracks_not_due, counted, reopened, history.films, refusals)


def _choose_films(context: RunContext, history: History) -> tuple[list[Film], list[Outcome]]:
    """Return the films to collect, in order of work, and the outcomes of films for which there is nothing to do."""
    matcher, is_searching = context.matcher, context.is_searching
    approved_films = {film_id for (film_id, _track_id), is_match in matcher.reviews.items() if is_match}
    retried_films = {item.split("/")[0] for item in history.retried}
    films, skipped = [], []
    for film in matcher.film_index.films.values():
        if film.film_id in history.done or (context.settings.retry_reasons and film.film_id not in retried_films):
            continue
        if film.film_id in matcher.takedowns:
            skipped.append(taken_down(film))
            continue
        candidates = [judged for source in context.assigned for judged in source.by_film.get(film.film_id, ())]
        taken = [judged for judged in candidates if judged.verdict.decision is Decision.TAKEN]
        may_search = film.film_id not in history.films_not_due or film.film_id in approved_films | retried_films
        if any(judged.item not in history.tracks_not_due for judged in taken) or (is_searching and may_search):
            films.append(film)
        elif not taken and not is_searching and _says_something_new(context, history.films.get(film.film_id)):
            skipped.append(nothing_taken(film.film_id, candidates))
    return in_order(films, history.films), skipped


def _says_something_new(context: RunContext, history: FilmHistory | None) -> bool:
    """Return whether this run asks all sources that the newest outcome rests on; else that one says more."""
    return history is None or history.sources <= {source.name for source in context.sources}


def choose_reopened(context: RunContext, history: History) -> list[FilmToReopen]:
    """Return the done films whose shards lack a recording that was approved, or is to be tried again.

    That is what the user names by reason and, while a film may have more, what another version of yt-dlp gave up, or
    of the rule did not take.
    """
    lake, matcher = context.lake, context.matcher
    approved = {f"{film_id}/{track_id}" for (film_id, track_id), is_match in matcher.reviews.items() if is_match}
    opened: frozenset[str] = frozenset()
    items = history.retried
    if not context.settings.retry_reasons:
        opened = frozenset(item for item in history.opened if item.split("/")[0] in history.done)
        items = items | opened | (approved - not_due(lake, Stage.TRACK, among=approved))
    sources, tracks_of = {source.name for source in context.sources}, Counter(matcher.owners.values())
    missing: dict[str, dict[str, Row]] = {}
    for row in track_rows(lake, items) if items else ():
        film_id = row["film_id"]
        is_asked_for = f"{film_id}/{row['track_id']}" in (items - opened) | approved
        if not is_asked_for and (row["source"] not in sources or tracks_of[film_id] >= TRACKS_PER_FILM):
            continue
        if not row["segments"] and film_id in history.done and film_id in matcher.film_index.films:
            missing.setdefault(film_id, {})[row["track_id"]] = row
    for row in rows_to_fetch_now(context, history.done):
        missing.setdefault(row["film_id"], {}).setdefault(row["track_id"], row)
    searched = films_to_search_again(context, history.done)
    reopened = [
        FilmToReopen(
            matcher.film_index.films[film_id],
            history.done[film_id],
            tuple(missing.get(film_id, {}).values()),
            is_searched_again=film_id in searched,
        )
        for film_id in sorted(missing.keys() | searched)
    ]
    return sorted(reopened, key=lambda film: film.is_searched_again)


def _record_unplanned(
    context: RunContext, planned: Collection[str], done: Collection[str], skipped: Sequence[Outcome]
) -> None:
    """Write outcomes and rows for recordings and films that are not worked on, where they say something new."""
    unmatched = [
        from_error(Stage.TRACK, candidate.track_id, error, Status.SKIPPED)
        for source in context.assigned
        for candidate, error in source.unmatched
    ]
    record_new(context.lake, context.decided([*skipped, *unmatched]), context.run_id)
    unplanned = [
        judged
        for source in context.assigned
        for film_id in sorted(source.by_film)
        for judged in source.by_film[film_id]
        if film_id not in planned
    ]
    stored_rows = {
        (row["film_id"], row["track_id"]): row
        for row in track_rows(context.lake, (judged.item for judged in unplanned))
    }
    rows = []
    for judged in unplanned:
        is_done = judged.film_id in done
        stored = stored_rows.get((judged.film_id, judged.candidate.track_id))
        if stored is None or _is_new_verdict(judged, stored, is_done):
            is_late = is_done and judged.verdict.decision is Decision.TAKEN
            shown = with_decision(judged, Decision.REJECTED, "film_already_done") if is_late else judged
            rows.append(track_row(shown, RULE_VERSION))
    tables.append(context.lake, TRACKS, rows, context.run_id)


def _is_new_verdict(judged: Judged, stored_row: dict[str, object], is_done: bool) -> bool:
    """Return whether the verdict differs from the stored row, which stays for a done film and a failed attempt."""
    if is_done or stored_row["segments"] or judged.verdict.decision is Decision.TAKEN:
        return False
    return stored_row["reason"] != judged.verdict.reason


def in_order(films: Iterable[Film], histories: Mapping[str, FilmHistory]) -> list[Film]:
    """Return films in the order of work: new ones, oldest first, then those tried before, the least tried first."""

    def key(film: Film) -> tuple[bool, int, int, str]:
        history = histories.get(film.film_id)
        is_retry = history is not None and history.was_asked
        return is_retry, history.tries if history and is_retry else 0, film.year or 0, film.film_id

    return sorted(films, key=key)


class WorkQueue:
    """The films of a run, handed out batch by batch: new ones, until retries are owed their share of the requests.

    `spent` returns what was spent today, by all workers: "requests", and of these "retry_requests". Finished films that
    are opened again are retries too, and the first: their recordings are known, so nothing has to be searched for.
    Those that are searched again are the last: they have music, and other retries have none.
    """

    def __init__(
        self,
        films: Sequence[Film],
        retries: Collection[str],
        share: float,
        spent: Callable[[], Counter[str]],
        reopened: Sequence[FilmToReopen] = (),
    ) -> None:
        self._new = deque(film for film in films if film.film_id not in retries)
        self._retries = deque(film for film in films if film.film_id in retries)
        self._reopened = deque(reopened)
        self._share = share
        self._spent = spent

    def __len__(self) -> int:
        return len(self._new) + len(self._retries) + len(self._reopened)

    def take(self, count: int) -> list[Film]:
        """Take the next films out, at most `count`: all new, or all tried before."""
        first, second = (self._retries, self._new) if self._owes_retries() else (self._new, self._retries)
        chosen = first or second
        return [chosen.popleft() for _ in range(min(count, len(chosen)))]

    def take_reopened(self, count: int) -> list[FilmToReopen]:
        """Take the next finished films out, at most `count`; none while it is the turn of the new ones."""
        is_turn = self._owes_retries() or not self._new
        if self._reopened and self._reopened[0].is_searched_again and self._retries:
            return []
        return [self._reopened.popleft() for _ in range(min(count, len(self._reopened)))] if is_turn else []

    def _owes_retries(self) -> bool:
        spent = self._spent()
        return spent["retry_requests"] < self._share * spent["requests"]
