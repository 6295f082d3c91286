"""Select and order a film's recordings by the rule and the lake's state: other films, reviews, takedowns, owners.

The same for all sources. A recording stays with the film that already has it; otherwise its film is decided over all
films at once, so the result does not depend on the order in which films are processed. Candidates that are not selected
keep their rows, with the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from sys import intern

from storage.lake.lake import Lake
from storage.records.review_answers_and_agreement import album_answer, read_reviews
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import TRACKS
from storage.takedown_list_and_erasure import read_takedowns
from tasks.soundtracks.candidate_recordings import Candidate, Decision, Film, Judged, with_decision
from tasks.soundtracks.matching.film_index import FilmIndex, read_film_index
from tasks.soundtracks.matching.normalise import words_of
from tasks.soundtracks.matching.verdict import judge


@dataclass(frozen=True)
class Matcher:
    """The rule with the state of the lake. `owners` maps a track_id to the film whose shard holds it."""

    film_index: FilmIndex
    reviews: Mapping[tuple[str, str], bool] = field(default_factory=dict)
    takedowns: frozenset[str] = frozenset()
    owners: dict[str, str] = field(default_factory=dict)

    def judge(self, candidate: Candidate, film: Film) -> Judged:
        """Judge a candidate for this film, against all other films that it names."""
        if candidate.listed_for is not None:
            judged = Judged(film.film_id, candidate, judge(candidate, film))
        else:
            by_film = {one.film_id: one for one in judge_for_all_films(candidate, self.film_index)}
            unnamed = Judged(film.film_id, candidate, judge(candidate, film, self.film_index.rivals(film, candidate)))
            judged = by_film.get(film.film_id) or unnamed
        return self.apply_overrides(judged)

    def apply_overrides(self, judged: Judged) -> Judged:
        """Apply what overrides the rule: a takedown, the user's review, another film that has the recording already."""
        candidate = judged.candidate
        if self.is_taken_down(candidate):
            return with_decision(judged, Decision.REJECTED, "taken_down")
        judged = apply_review(judged, self.reviews)
        owner = self.owners.get(candidate.track_id, judged.film_id)
        if owner != judged.film_id and judged.verdict.decision is not Decision.REJECTED:
            return with_decision(judged, Decision.REJECTED, "taken_by_another_film")
        return judged

    def is_taken_down(self, candidate: Candidate) -> bool:
        """Return whether there is a takedown of this recording or its channel."""
        return bool({candidate.track_id, f"channel:{candidate.channel_id}"} & self.takedowns)


TRACKS_PER_FILM = 9
"""The limit per film: the paper's mean, so that no film dominates training."""
SAME_LENGTH_SECONDS = 2.0
_RANK = {Decision.TAKEN: 2, Decision.REVIEW: 1, Decision.REJECTED: 0}


def judge_for_all_films(candidate: Candidate, film_index: FilmIndex) -> list[Judged]:
    """Judge a candidate for every film that it names; at most one of the verdicts is "taken"."""
    films = film_index.named_in(candidate)
    judged = [
        Judged(film.film_id, candidate, judge(candidate, film, [f for f in films if f is not film])) for film in films
    ]
    return resolve_between_films(judged)


def resolve_between_films(judged: Sequence[Judged]) -> list[Judged]:
    """Give a recording to one film: the one with the highest score. A tie is left for review."""
    taken = [j for j in judged if j.verdict.decision is Decision.TAKEN]
    if len(taken) < 2:
        return list(judged)
    best = max(j.verdict.score or 0.0 for j in taken)
    winners = [j for j in taken if (j.verdict.score or 0.0) == best]
    resolved = []
    for one in judged:
        if one not in taken:
            resolved.append(one)
        elif one not in winners:
            resolved.append(with_decision(one, Decision.REJECTED, "belongs_to_another_film"))
        else:
            resolved.append(one if len(winners) == 1 else with_decision(one, Decision.REVIEW, "tie_between_films"))
    return resolved


def most_promising(judged: Iterable[Judged]) -> list[Judged]:
    """Return the verdicts on one recording that get a row: all taken or left for review, else the best rejected one."""
    ordered = sorted(judged, key=lambda j: (-_RANK[j.verdict.decision], -(j.verdict.score or 0.0), j.film_id))
    accepted = [j for j in ordered if j.verdict.decision is not Decision.REJECTED]
    return accepted or ordered[:1]


def order_candidates(judged: Iterable[Judged]) -> list[Judged]:
    """Return a film's candidates in the order of download: taken ones first, by album position or else by score.

    A second recording of the same title and length is rejected as a duplicate.
    """
    candidates = list(judged)
    taken = [j for j in candidates if j.verdict.decision is Decision.TAKEN]
    album = _main_album(taken)

    def key(one: Judged) -> tuple[bool, bool, float, int, str]:
        in_album = one.candidate.album == album
        position = one.candidate.position if one.candidate.position is not None else 1 << 30
        by_score = 0.0 if in_album else -(one.verdict.score or 1.0)
        return (
            one.verdict.reason not in ("listed", "approved"),
            not in_album,
            by_score,
            position,
            one.candidate.media_id,
        )

    chosen: list[Judged] = []
    others = [j for j in candidates if j.verdict.decision is not Decision.TAKEN]
    for one in sorted(taken, key=key):
        if one.verdict.reason == "matched" and any(_same_recording(one.candidate, c.candidate) for c in chosen):
            others.append(with_decision(one, Decision.REJECTED, "duplicate"))
        else:
            chosen.append(one)
    return chosen + others


def apply_review(judged: Judged, reviews: Mapping[tuple[str, str], bool]) -> Judged:
    """Replace the rule's decision by the review of this pair or else of its album, if there is one.

    A yes to an album does not lift what the rule rejects: a trailer on it, a recording that is enough already.
    """
    candidate, decision = judged.candidate, judged.verdict.decision
    is_approved = reviews.get((judged.film_id, candidate.track_id))
    if is_approved is None:
        is_approved = album_answer(reviews, judged.film_id, candidate.album_id, candidate.album)
        if is_approved is None or (is_approved and decision is Decision.REJECTED):
            return judged
    if is_approved:
        return with_decision(judged, Decision.TAKEN, "approved")
    return with_decision(judged, Decision.REJECTED, "refused")


def _main_album(taken: Sequence[Judged]) -> str | None:
    """Return the album of more than half of the taken candidates, or None."""
    counts = Counter(j.candidate.album for j in taken if j.candidate.album)
    album, count = counts.most_common(1)[0] if counts else (None, 0)
    return album if count * 2 > len(taken) else None


def _same_recording(one: Candidate, other: Candidate) -> bool:
    if one.media_id == other.media_id:
        return True
    if words_of(one.title).words != words_of(other.title).words:
        return False
    if one.duration_seconds is None or other.duration_seconds is None:
        return True
    return abs(one.duration_seconds - other.duration_seconds) <= SAME_LENGTH_SECONDS


def read_matcher(lake: Lake) -> Matcher:
    """Read all that matching needs from the lake: films, reviews, takedowns and which film has which recording."""
    owners: dict[str, str] = {}
    with duckdb_connection.connect(lake, duckdb_connection.SMALL_MEMORY_LIMIT) as connection:
        stored = f"FROM {tables.latest_sql(lake, TRACKS)} WHERE segments > 0 ORDER BY film_id, track_id"
        for batch in connection.sql(f"SELECT track_id, film_id {stored}").to_arrow_reader():
            films = map(intern, batch["film_id"].to_pylist())  # one string per film, however many tracks it has
            owners.update(zip(batch["track_id"].to_pylist(), films, strict=True))
    reviews = read_reviews(lake)
    for (film_id, track_id), is_match in reviews.items():
        if not is_match and owners.get(track_id) == film_id:
            del owners[track_id]  # it may belong to another film
    return Matcher(read_film_index(lake), reviews, read_takedowns(lake), owners)
