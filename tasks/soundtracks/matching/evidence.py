"""What the rule reads of a candidate: its texts, and the words that mean nothing beside a film's title."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tasks.soundtracks.matching import keywords as vocabulary
from tasks.soundtracks.matching.titles import words_of
from tasks.soundtracks.models import Candidate

DESCRIPTION_CHARACTERS = 600
"""How much of a description is read: further down stand links to other films' albums."""


@dataclass(frozen=True)
class Evidence:
    """A candidate's texts, prepared once, and the words that may stand beside a film's title in them."""

    album: str
    title: str
    description: str
    known: frozenset[str]

    @classmethod
    def of(cls, candidate: Candidate) -> Evidence:
        """Read a candidate; a delivered description names its album on its third line."""
        people = words_of(f"{candidate.artist or ''} {_channel_name(candidate.uploader)}").words
        return cls(
            candidate.album or "",
            candidate.title or "",
            (candidate.description or "")[:DESCRIPTION_CHARACTERS],
            frozenset(people) | vocabulary.NEUTRAL_WORDS,
        )


def _channel_name(uploader: str | None) -> str:
    return re.sub(r"(?i)\s+-\s+topic$|vevo$|\s+(?:official|music|records)$", "", uploader or "")
