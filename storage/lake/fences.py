"""Fences: conditions that are checked just before a file of the lake is committed or removed.

A process that holds a lease puts a fence around the work that the lease protects. If the process slept, was stopped
or lost its network for so long that another one took over, its next commit is refused instead of written over its
successor's. Fences nest; each thread, and each process, has its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Check = Callable[[], None]
"""Raises `LakeError` when nothing may be committed any more."""

_checks: ContextVar[tuple[Check, ...]] = ContextVar("checks", default=())


@contextmanager
def fenced(check: Check) -> Iterator[None]:
    """Call `check` before every commit of the block, after those of the blocks around it."""
    setting = _checks.set((*_checks.get(), check))
    try:
        yield
    finally:
        _checks.reset(setting)


@contextmanager
def unfenced() -> Iterator[None]:
    """Commit in the block whatever the fences around it say: heartbeats, and how a run ended."""
    setting = _checks.set(())
    try:
        yield
    finally:
        _checks.reset(setting)


def check_fences() -> None:
    """Raise `LakeError` when a fence around this code refuses the commit."""
    for check in _checks.get():
        check()
