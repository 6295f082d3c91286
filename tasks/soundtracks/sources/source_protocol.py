"""Define a source of recordings: it finds the candidates of a film and fetches one of them.

A film's tracks come from the first source, in the configured order, that has any. A source only finds and fetches;
`runs/collect_film.py` decides for all sources which candidates are fetched, what failures mean and what is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from tasks.soundtracks.candidate_recordings import Film, Judged, Recording
from tasks.soundtracks.download.downloader_and_staging import Downloader


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
