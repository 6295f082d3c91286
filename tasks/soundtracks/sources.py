"""Where a film's music may come from: two questions that every source answers.

A film's tracks come from the first source, in the configured order, that has any. A source only finds
and fetches; which candidates are wanted, what becomes of failures and what is kept is decided once,
for all of them, in `collecting`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from storage.errors import ItemError, Retry
from tasks.soundtracks.candidates import Candidate, Film, Judged
from tasks.soundtracks.catalogue import Catalogue
from tasks.soundtracks.choosing import judge_everywhere, most_promising, with_reviews
from tasks.soundtracks.extraction import Recording
from tasks.soundtracks.matching import LISTED, judge


class Source(Protocol):
    """Something that offers recordings for a film."""

    name: str

    def find(self, film: Film) -> Sequence[Judged]:
        """The film's candidates, judged. Raises `SourcePaused`, or `ItemError` when the search itself failed."""

    def fetch(self, judged: Judged) -> Recording:
        """A candidate's audio as a local file. Raises `SourcePaused` or `ItemError`."""

    def finish(self, film: Film) -> None:
        """The film's mels are committed: let go of what was only needed for them."""


class MusicSource:
    """A person's own recordings, judged for all films at once, so that each goes to the film it fits best."""

    name = "music_folder"

    def __init__(
        self, candidates: Sequence[Candidate], catalogue: Catalogue, reviews: Mapping[tuple[str, str], bool]
    ) -> None:
        self.by_film: dict[str, list[Judged]] = {}
        self.homeless: list[tuple[Candidate, ItemError]] = []
        for candidate in candidates:
            for judged in self._judge(candidate, catalogue, reviews):
                self.by_film.setdefault(judged.film_id, []).append(judged)

    def _judge(
        self, candidate: Candidate, catalogue: Catalogue, reviews: Mapping[tuple[str, str], bool]
    ) -> list[Judged]:
        if candidate.listed_for is not None:
            return self._as_listed(candidate, candidate.listed_for, catalogue)
        judged = [with_reviews(one, reviews) for one in judge_everywhere(candidate, catalogue)]
        if not judged:
            message = f"No film in the lake is named by {candidate.url}; tag it, or pair it with its film in a CSV list"
            self.homeless.append((candidate, ItemError("no_film", message, Retry.LATER)))
        return most_promising(judged)

    def _as_listed(self, candidate: Candidate, name: str, catalogue: Catalogue) -> list[Judged]:
        films = catalogue.find(name)
        if len(films) == 1:
            return [Judged(films[0].film_id, candidate, judge(candidate, films[0]))]
        why = f"{len(films)} films are called {name!r}; give the film id" if films else f"{name!r} is not in the lake"
        self.homeless.append((candidate, ItemError("unknown_film", f"{why} ({LISTED}: {candidate.url})", Retry.LATER)))
        return []

    def find(self, film: Film) -> Sequence[Judged]:
        """The recordings that were judged for this film."""
        return self.by_film.get(film.film_id, ())

    def fetch(self, judged: Judged) -> Recording:
        """The file itself; its length is counted, not believed."""
        assert judged.candidate.path is not None
        return Recording(judged.candidate.track_id, judged.candidate.path)

    def finish(self, film: Film) -> None:
        """A person's files stay where they are."""
