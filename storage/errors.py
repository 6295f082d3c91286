"""The one error tree. Every message is a sentence that tells a person what to do.

    NeedledropError
    ├── InputError      what a person gave cannot be used         (exit status 2)
    ├── LakeError       the lake cannot be read or written        (exit status 3)
    ├── SourcePaused    a source asks us to stop for a while      (exit status 4)
    └── ItemError       one film or track failed: carries the reason and when to try again

An `ItemError` never ends a batch: the batch turns it into a row of `outcomes`.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum


class Retry(StrEnum):
    """When an item that did not succeed may be tried again."""

    NEVER = "never"
    LATER = "later"
    """At the next scheduled refresh after `retry_at`."""
    SOON = "soon"
    """In this run, or in the very next one."""


class NeedledropError(Exception):
    """The root: anything Needledrop itself raises on purpose."""

    exit_status = 1


class InputError(NeedledropError):
    """A file, a parameter or a setting that a person gave cannot be used; says how to mend it."""

    exit_status = 2


class LakeError(NeedledropError):
    """The lake is missing, damaged, read-only, full, or of a newer schema version."""

    exit_status = 3


class SourcePaused(NeedledropError):
    """A source asked us to stop. No item is to blame, so no attempt is counted."""

    exit_status = 4

    def __init__(self, source: str, reason: str, until: datetime, message: str) -> None:
        super().__init__(message)
        self.source = source
        self.reason = reason
        self.until = until


class ItemError(NeedledropError):
    """One film or track could not be processed.

    `reason` is one of `storage.records.outcomes.REASONS` for its stage; `retry` says when to try again.
    """

    def __init__(self, reason: str, message: str, retry: Retry = Retry.NEVER) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry = retry

    def __reduce__(self) -> tuple[type[ItemError], tuple[str, str, Retry]]:
        """Keep reason and retry when the error crosses a process boundary."""
        return type(self), (self.reason, str(self), self.retry)
