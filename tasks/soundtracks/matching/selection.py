"""From judged candidates to a film's tracks: one film a recording, and in which order a film's are tried.

The film of a recording is decided over all films at once, so the result does not depend on the order in
which films are worked on. What is not chosen keeps its row, with the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from tasks.soundtracks.matching.film_index import FilmIndex
from tasks.soundtracks.matching.rule import judge
from tasks.soundtracks.matching.titles import words_of
from tasks.soundtracks.models import Candidate, Decision, Judged, Verdict

TRACKS_PER_FILM = 9
"""The most that one film may have: the paper's mean, so that no film dominates training."""
SAME_LENGTH_SECONDS = 2.0
_RANK = {Decision.TAKEN: 2, Decision.REVIEW: 1, Decision.REJECTED: 0}


def judge_for_all_films(candidate: Candidate, film_index: FilmIndex) -> list[Judged]:
    """A candidate judged for every film that it names; at most one of the verdicts is "taken"."""
    films = film_index.named_in(candidate)
    judged = [
        Judged(film.film_id, candidate, judge(candidate, film, [f for f in films if f is not film])) for film in films
    ]
    return resolve_between_films(judged)


def resolve_between_films(judged: Sequence[Judged]) -> list[Judged]:
    """One film a recording: the higher score has it; a tie is for a person to settle."""
    taken = [j for j in judged if j.verdict.decision is Decision.TAKEN]
    if len(taken) < 2:
        return list(judged)
    best = max(j.verdict.score or 0.0 for j in taken)
    winners = [j for j in taken if (j.verdict.score or 0.0) == best]
    settled = []
    for one in judged:
        if one not in taken:
            settled.append(one)
        elif one not in winners:
            settled.append(with_decision(one, Decision.REJECTED, "belongs_to_another_film"))
        else:
            settled.append(one if len(winners) == 1 else with_decision(one, Decision.REVIEW, "tie_between_films"))
    return settled


def most_promising(judged: Iterable[Judged]) -> list[Judged]:
    """What is worth a row for one recording: every film that takes or doubts it, else the best of the rest."""
    ordered = sorted(judged, key=lambda j: (-_RANK[j.verdict.decision], -(j.verdict.score or 0.0), j.film_id))
    kept = [j for j in ordered if j.verdict.decision is not Decision.REJECTED]
    return kept or ordered[:1]


def order_candidates(judged: Iterable[Judged]) -> list[Judged]:
    """A film's candidates as they are to be tried: taken first; a winning album in its own order, else by score.

    A second recording of the same title and length is rejected as a duplicate.
    """
    everything = list(judged)
    taken = [j for j in everything if j.verdict.decision is Decision.TAKEN]
    album = _winning_album(taken)

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
    others = [j for j in everything if j.verdict.decision is not Decision.TAKEN]
    for one in sorted(taken, key=key):
        if one.verdict.reason == "matched" and any(_same_recording(one.candidate, c.candidate) for c in chosen):
            others.append(with_decision(one, Decision.REJECTED, "duplicate"))
        else:
            chosen.append(one)
    return chosen + others


def with_decision(judged: Judged, decision: Decision, reason: str) -> Judged:
    """The same candidate and score with another decision."""
    verdict = judged.verdict
    return replace(judged, verdict=Verdict(decision, reason, verdict.score, verdict.parts))


def apply_review(judged: Judged, reviews: Mapping[tuple[str, str], bool]) -> Judged:
    """What a person has said about this pair goes before the rule."""
    answer = reviews.get((judged.film_id, judged.candidate.track_id))
    if answer is None:
        return judged
    return (
        with_decision(judged, Decision.TAKEN, "approved")
        if answer
        else with_decision(judged, Decision.REJECTED, "refused")
    )


def _winning_album(taken: Sequence[Judged]) -> str | None:
    """The album that more than half of the taken candidates come from."""
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
