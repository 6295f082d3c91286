"""The rules that a user may set for a version of the data set, and their bounds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from storage.errors import InputError


@dataclass(frozen=True)
class CurationSettings:
    """The rules of one version. They are part of its identity: other rules, another version."""

    train_until: int = 2021
    """Last release year of the training split."""
    test_from: int = 2023
    """First release year of the test split; the years between are for validation."""
    require_plot: bool = True
    require_thumbnail: bool = True
    require_tracks: bool = True
    require_tag: bool = True
    """Exclude a film all of whose tags are rare: no tag would be left to query with."""
    min_films_per_tag: int = 2
    """A tag is kept when at least this many distinct films of the version have it."""
    leave_out: tuple[str, ...] = ()
    """Films, tracks, FILM/TRACK pairs or channel:ID to exclude."""

    def __post_init__(self) -> None:
        """Raise `InputError` for rules that no set of films could satisfy."""
        if self.test_from <= self.train_until:
            raise InputError(
                f"test_from={self.test_from} must be later than train_until={self.train_until}, "
                "because the split is chronological"
            )
        if self.min_films_per_tag < 1:
            raise InputError(f"min_films_per_tag={self.min_films_per_tag} must be at least 1")

    def as_parameters(self) -> dict[str, Any]:
        """Return the settings as the manifest records them."""
        return {**asdict(self), "leave_out": sorted(self.leave_out)}
