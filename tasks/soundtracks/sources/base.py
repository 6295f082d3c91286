"""Where a film's music may come from: two questions that every source answers.

A film's tracks come from the first source, in the configured order, that has any. A source only finds
and fetches; which candidates are wanted, what becomes of failures and what is kept is decided once,
for all of them, in `collecting`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from storage.errors import ItemError, Retry
from tasks.soundtracks.extraction.film import Recording
from tasks.soundtracks.matching.matcher import Matcher
from tasks.soundtracks.matching.selection import judge_for_all_films, most_promising
from tasks.soundtracks.models import Candidate, Film, Judged


@dataclass(frozen=True)
class Fetched:
    """A candidate after it was opened: its local file, or None when a closer look rejected it."""

    recording: Recording | None
    judged: Judged


class Source(Protocol):
    """Something that offers recordings for a film."""

    name: str

    def find(self, film: Film) -> Sequence[Judged]:
        """The film's candidates, judged. Raises `SourcePaused`, or `ItemError` when the search itself failed."""

    def fetch(self, judged: Judged, film: Film) -> Fetched:
        """A candidate's audio as a local file. Raises `SourcePaused` or `ItemError`."""


class PreassignedSource:
    """Recordings that are all known beforehand, each given to the film it fits best, whatever the order of films."""

    def __init__(self, candidates: Iterable[Candidate], matcher: Matcher) -> None:
        self.by_film: dict[str, list[Judged]] = {}
        self.unmatched: list[tuple[Candidate, ItemError]] = []
        """Recordings that no film of the lake wants, with the reason."""
        for candidate in candidates:
            for judged in self._assign(candidate, matcher):
                self.by_film.setdefault(judged.film_id, []).append(matcher.apply_overrides(judged))

    def _assign(self, candidate: Candidate, matcher: Matcher) -> list[Judged]:
        if candidate.listed_for is not None:
            return self._as_listed(candidate, candidate.listed_for, matcher)
        judged = judge_for_all_films(candidate, matcher.film_index)
        if not judged:
            message = f"No film in the lake is named by {candidate.url}; tag it, or pair it with its film in a CSV list"
            self.unmatched.append((candidate, ItemError("no_film", message, Retry.LATER)))
        return most_promising(judged)

    def _as_listed(self, candidate: Candidate, name: str, matcher: Matcher) -> list[Judged]:
        films = matcher.film_index.find(name)
        if len(films) == 1:
            return [matcher.judge(candidate, films[0])]
        why = f"{len(films)} films are called {name!r}; give the film id" if films else f"{name!r} is not in the lake"
        error = ItemError("unknown_film", f"{why} (the list pairs it with {candidate.url})", Retry.LATER)
        self.unmatched.append((candidate, error))
        return []
