"""Define a source of recordings: it finds the candidates of a film and fetches one of them.

A film's tracks come from the first source, in the configured order, that has any. A source only finds and fetches;
`runs/collect.py` decides for all sources which candidates are fetched, what failures mean and what is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from storage.errors import ItemError, Retry
from tasks.soundtracks.download.downloader import Downloader
from tasks.soundtracks.extraction.jobs import Recording
from tasks.soundtracks.matching.matcher import Matcher, judge_for_all_films, most_promising
from tasks.soundtracks.models import Candidate, Film, Judged


@dataclass(frozen=True)
class Fetched:
    """A candidate after the fetch: its local file, or None if its page or its licence rejected it."""

    recording: Recording | None
    judged: Judged


class Source(Protocol):
    """A source of recordings."""

    name: str

    def find(self, film: Film) -> Sequence[Judged]:
        """Return the film's candidates, judged. Raises `SourcePaused`, or `ItemError` if the search failed."""

    def fetch(self, judged: Judged, film: Film) -> Fetched:
        """Return a candidate's audio as a local file. Raises `SourcePaused` or `ItemError`."""


@runtime_checkable
class NetworkedSource(Source, Protocol):
    """A source on the network, whose recordings may vanish."""

    downloader: Downloader
    has_many_hosts: bool
    """Whether each recording may have a host: then one that cannot be reached says nothing about the others."""


class PreassignedSource:
    """Recordings that are all known in advance, each assigned to the film that it fits best.

    The assignment does not depend on the order in which films are processed.
    """

    def __init__(self, candidates: Iterable[Candidate], matcher: Matcher) -> None:
        self.by_film: dict[str, list[Judged]] = {}
        self.unmatched: list[tuple[Candidate, ItemError]] = []
        """Recordings that match no film of the lake, with the reason."""
        for candidate in candidates:
            for judged in self._assign(candidate, matcher):
                self.by_film.setdefault(judged.film_id, []).append(matcher.apply_overrides(judged))

    def find(self, film: Film) -> Sequence[Judged]:
        """Return the recordings that were assigned to this film."""
        return self.by_film.get(film.film_id, ())

    def _assign(self, candidate: Candidate, matcher: Matcher) -> list[Judged]:
        if candidate.listed_for is not None:
            return self._as_listed(candidate, candidate.listed_for, matcher)
        judged = judge_for_all_films(candidate, matcher.film_index)
        if not judged:
            message = f"{candidate.url} names no film in the lake; tag it, or pair it with its film in a CSV list"
            self.unmatched.append((candidate, ItemError("no_film", message, Retry.LATER)))
        return most_promising(judged)

    def _as_listed(self, candidate: Candidate, name: str, matcher: Matcher) -> list[Judged]:
        films = matcher.film_index.find(name)
        if len(films) == 1:
            return [matcher.judge(candidate, films[0])]
        problem = (
            f"{len(films)} films are called {name!r}; give the film id" if films else f"No film is called {name!r}"
        )
        error = ItemError("unknown_film", f"{problem} (the list pairs it with {candidate.url})", Retry.LATER)
        self.unmatched.append((candidate, error))
        return []
