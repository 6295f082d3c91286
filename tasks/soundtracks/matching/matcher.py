"""A candidate judged for one film with everything that the lake knows: other films, people's answers, takedowns.

The same for all sources. A recording that another film already has stays there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tasks.soundtracks.matching.film_index import FilmIndex
from tasks.soundtracks.matching.rule import judge
from tasks.soundtracks.matching.selection import apply_review, judge_for_all_films
from tasks.soundtracks.models import Candidate, Decision, Film, Judged, Verdict


@dataclass(frozen=True)
class Matcher:
    """What judging needs beside the rule. `owners` maps a track_id to the film whose shard holds it."""

    film_index: FilmIndex
    reviews: Mapping[tuple[str, str], bool] = field(default_factory=dict)
    takedowns: frozenset[str] = frozenset()
    owners: dict[str, str] = field(default_factory=dict)

    def judge(self, candidate: Candidate, film: Film) -> Judged:
        """The verdict for this film, whichever other films the candidate may belong to."""
        if candidate.listed_for is not None:
            judged = Judged(film.film_id, candidate, judge(candidate, film))
        else:
            everywhere = {one.film_id: one for one in judge_for_all_films(candidate, self.film_index)}
            alone = Judged(film.film_id, candidate, judge(candidate, film, self.film_index.rivals(film, candidate)))
            judged = everywhere.get(film.film_id) or alone
        return self.apply_overrides(judged)

    def apply_overrides(self, judged: Judged) -> Judged:
        """What goes before the rule: a takedown, a person's answer, a film that has the recording already."""
        candidate = judged.candidate
        if self.is_taken_down(candidate):
            return _rejected(judged, "taken_down")
        judged = apply_review(judged, self.reviews)
        owner = self.owners.get(candidate.track_id, judged.film_id)
        if owner != judged.film_id and judged.verdict.decision is not Decision.REJECTED:
            return _rejected(judged, "taken_by_another_film")
        return judged

    def is_taken_down(self, candidate: Candidate) -> bool:
        """Whether somebody asked to leave this recording or its channel out."""
        return bool({candidate.track_id, f"channel:{candidate.channel_id}"} & self.takedowns)


def _rejected(judged: Judged, reason: str) -> Judged:
    verdict = judged.verdict
    return Judged(judged.film_id, judged.candidate, Verdict(Decision.REJECTED, reason, verdict.score, verdict.parts))
