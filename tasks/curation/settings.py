"""The rules that a user may set for a version of the data set, and their bounds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from storage.errors import InputError
from tasks.options import DatasetOptions


@dataclass(frozen=True, kw_only=True)
class CurationSettings(DatasetOptions):
    """The rules of one version. They are part of its identity: other rules, another version."""

    def __post_init__(self) -> None:
        """Raise `InputError` for rules that no set of films could satisfy."""
        if self.test_from <= self.train_until:
            raise InputError(
                f"test_from={self.test_from} must be later than train_until={self.train_until}, "
                "because the split is chronological"
            )
        if self.test_from == self.train_until + 1:
            raise InputError(
                f"test_from={self.test_from} leaves no year after train_until={self.train_until} to validate on; "
                "lower train_until or raise test_from"
            )
        if self.min_films_per_tag < 1:
            raise InputError(f"min_films_per_tag={self.min_films_per_tag} must be at least 1")

    def as_parameters(self) -> dict[str, Any]:
        """Return the settings as the manifest records them."""
        return {**asdict(self), "leave_out": sorted(self.leave_out)}
