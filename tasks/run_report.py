"""What a run or a part of it did: counts for its summary, and the pause that a source asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from storage.errors import SourcePaused


def as_words(summary: Mapping[str, Any]) -> str:
    """Return what a run counted in words, without what is 0: "pages 3, films 2, dataset (version v1, new)"."""
    return ", ".join(_in_words(name.replace("_", " "), value) for name, value in summary.items() if value)


def _in_words(name: str, value: Any) -> str:
    if value is True:
        return name
    if isinstance(value, Mapping):
        return f"{name} ({as_words(value) or 'nothing'})"
    if isinstance(value, list | tuple):
        return f"{name} {', '.join(map(str, value))}"
    return f"{name} {value:,}" if isinstance(value, int) else f"{name} {value}"


@dataclass
class RunReport:
    """The counts of a run or of a part of it, and the pause that ended it early, if a source asked for one."""

    counts: Counter[str] = field(default_factory=Counter)
    paused: SourcePaused | None = None

    def add(self, other: RunReport) -> None:
        """Add the counts of a further part, and take over its pause."""
        self.counts.update(other.counts)
        self.paused = self.paused or other.paused

    def summary(self, **more: Any) -> dict[str, Any]:
        """Return the counts as a flow returns them; `paused` is the sentence about a pause."""
        summary: dict[str, Any] = {**self.counts, **more}
        return {**summary, "paused": str(self.paused)} if self.paused else summary
