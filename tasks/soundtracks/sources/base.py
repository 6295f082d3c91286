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
from tasks.soundtracks.matching.matcher import Judge
from tasks.soundtracks.matching.selection import judge_everywhere, most_promising
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


class Assigned:
    """Recordings that are all known beforehand, each given to the film it fits best, whatever the order of films."""

    def __init__(self, candidates: Iterable[Candidate], judging: Judge) -> None:
        self.by_film: dict[str, list[Judged]] = {}
        self.homeless: list[tuple[Candidate, ItemError]] = []
        """Recordings that no film of the lake wants, with the reason."""
        for candidate in candidates:
            for judged in self._assign(candidate, judging):
                self.by_film.setdefault(judged.film_id, []).append(judging.settle(judged))

    def _assign(self, candidate: Candidate, judging: Judge) -> list[Judged]:
        if candidate.listed_for is not None:
            return self._as_listed(candidate, candidate.listed_for, judging)
        judged = judge_everywhere(candidate, judging.catalogue)
        if not judged:
            message = f"No film in the lake is named by {candidate.url}; tag it, or pair it with its film in a CSV list"
            self.homeless.append((candidate, ItemError("no_film", message, Retry.LATER)))
        return most_promising(judged)

    def _as_listed(self, candidate: Candidate, name: str, judging: Judge) -> list[Judged]:
        films = judging.catalogue.find(name)
        if len(films) == 1:
            return [judging.judge(candidate, films[0])]
        why = f"{len(films)} films are called {name!r}; give the film id" if films else f"{name!r} is not in the lake"
        error = ItemError("unknown_film", f"{why} (the list pairs it with {candidate.url})", Retry.LATER)
        self.homeless.append((candidate, error))
        return []


class MusicSource(Assigned):
    """A person's own recordings; they stay where they are."""

    name = "music_folder"

    def find(self, film: Film) -> Sequence[Judged]:
        """The recordings that were judged for this film."""
        return self.by_film.get(film.film_id, ())

    def fetch(self, judged: Judged, film: Film) -> Fetched:
        """The file itself; its length is counted, not believed."""
        assert judged.candidate.path is not None
        return Fetched(Recording(judged.candidate.track_id, judged.candidate.path), judged)
