"""What a studio keeps in memory: the newest few queries, searches, references and lists of tags."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from needledrop.studio.api_answers import TagCount
from storage.libraries.decisions import AskedQuery
from storage.mels.writer import TrackMels
from training.retrieval.blended_query import Query, Vector

ENGINES_KEPT, QUERIES_KEPT, SEARCHES_KEPT, REFERENCES_KEPT = 2, 64, 512, 16

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True)
class Searched:
    """A search that was answered, for decisions about what it has found."""

    query: AskedQuery
    engine: str
    """The run, or the encoder, that ranked."""
    by: str
    found: dict[tuple[str, str], tuple[int, float]]
    """Library and track -> rank and score."""


@dataclass
class Memory:
    """What a studio keeps of the last searches, the newest few of each kind."""

    queries: dict[tuple[str, str], Query] = field(default_factory=dict)
    searches: dict[str, Searched] = field(default_factory=dict)
    references: dict[str, tuple[TrackMels, str] | tuple[Vector, str]] = field(default_factory=dict)
    """Id -> mels and their scale, or what an encoder has made of the recording, and the encoder."""
    sounds: dict[tuple[str, str], Vector] = field(default_factory=dict)
    """Engine and id of a reference -> what the engine makes of its mels."""
    tags: dict[str, list[TagCount]] = field(default_factory=dict)


def remember(kept: dict[K, V], key: K, value: V, most: int) -> None:
    """Keep a value under a key; the one that was kept first goes when there are too many."""
    kept.pop(key, None)
    kept[key] = value
    for oldest in list(kept)[:-most]:
        kept.pop(oldest, None)
