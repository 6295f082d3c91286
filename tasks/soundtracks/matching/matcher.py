"""Judge a candidate for one film with the state of the lake: other films, reviews, takedowns, owners of recordings.

The same for all sources. A recording stays with the film that already has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tasks.soundtracks.matching.film_index import FilmIndex
from tasks.soundtracks.matching.rule import judge
from tasks.soundtracks.matching.selection import apply_review, judge_for_all_films, with_decision
from tasks.soundtracks.models import Candidate, Decision, Film, Judged


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
