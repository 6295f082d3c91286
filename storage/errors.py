"""The error tree. Every message is a sentence that tells the user what to do.

    NeedledropError
    ├── InputError      what the user gave cannot be used          (exit status 2)
    ├── LakeError       the lake cannot be read or written         (exit status 3)
    │   └── StoreUnreachable    an object store does not answer; it may later
    ├── SourcePaused    a source asks for a pause                  (exit status 4)
    ├── TooManyFailed   too many items of a run failed             (exit status 5)
    └── ItemError       one film or track failed: carries the reason and when to retry

An `ItemError` never ends a batch: the batch turns it into a row of `outcomes`. Every error can be pickled, so it
keeps its attributes when it crosses a process boundary.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Any


class Retry(StrEnum):
    """When an item that did not succeed may be retried."""

    NEVER = "never"
    LATER = "later"
    """At the next scheduled refresh after `retry_at`."""
    SOON = "soon"
    """In this run, or in the next one."""


class NeedledropError(Exception):
    """The root of all errors that Needledrop raises on purpose."""

    exit_status = 1

    def __reduce__(self) -> tuple[Callable[..., NeedledropError], tuple[type[NeedledropError], Any, dict[str, Any]]]:
        """Pickle message and attributes, whatever arguments a subclass takes."""
        return _restore, (type(self), self.args, vars(self))


def _restore(kind: type[NeedledropError], args: tuple[Any, ...], attributes: dict[str, Any]) -> NeedledropError:
    error = kind.__new__(kind, *args)
    vars(error).update(attributes)
    return error


class InputError(NeedledropError):
    """A file, a parameter or a setting that the user gave cannot be used; the message says how to correct it."""

    exit_status = 2


class LakeError(NeedledropError):
    """The lake is missing, damaged, read-only, full, or of a newer schema version."""

    exit_status = 3


class StoreUnreachable(LakeError):
    """The object store of the lake does not answer or refuses its credentials; the same run may succeed later."""


class TooManyFailed(NeedledropError):
    """A larger share of a run's items failed than is allowed: the cause is probably common to them."""

    exit_status = 5


class SourcePaused(NeedledropError):
    """A source asked for a pause. No item is to blame, so no attempt is counted."""

    exit_status = 4

    def __init__(self, source: str, reason: str, until: datetime, message: str) -> None:
        super().__init__(message)
        self.source = source
        self.reason = reason
        self.until = until


class ItemError(NeedledropError):
    """One film or track could not be processed.

    `reason` is one of `storage.records.outcomes.REASONS` for its stage; `retry` says when to retry.
    """

    def __init__(self, reason: str, message: str, retry: Retry = Retry.NEVER) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry = retry
