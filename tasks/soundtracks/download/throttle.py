"""Throttle the calls to a source: a circuit breaker, a daily budget, and one canary call after a pause.

Breaker and budget are stored in the lake, so all workers on all machines share them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from storage.coordination.breakers_and_budgets import (
    Breaker,
    Budget,
    Pause,
    note_failure,
    note_success,
    open_breaker,
    read_breaker,
)
from storage.coordination.leases import LeaseKeeper, warn
from storage.errors import LakeError, SourcePaused
from storage.lake.lake import Lake
from tasks.soundtracks.download.error_rules import RULES, Action
from tasks.soundtracks.download.errors import Failure

REQUESTS_RESERVED = 10
"""Requests are reserved in batches: one write to the lake for about three videos."""


@dataclass
class SourceThrottle:
    """The throttle of one source in one worker. `limits` are the requests and downloads per day of all workers."""

    lake: Lake
    source: str
    run_id: str
    tool_version: str
    limits: dict[str, int]
    requests: int = 0
    """Requests made by this worker, for the run's summary."""
    _reserved_requests: int = 0
    _canary: LeaseKeeper | None = None
    """Holds the lease of the canary call, from before it until its result is known."""
    _breaker: Breaker = field(default_factory=lambda: Breaker(""))

    @property
    def budget(self) -> Budget:
        """The daily budget of all workers."""
        return Budget(self.lake, self.source, self.limits)

    def enter(self) -> None:
        """Raise `SourcePaused` before a call if the source is paused. After a pause one worker makes a canary call."""
        self._breaker = read_breaker(self.lake, self.source)
        if self._breaker.is_open(self.tool_version):
            raise self._breaker.error
        if self._breaker.state == "open" and self._canary is None:
            canary = LeaseKeeper(self.lake)
            if canary.acquire(f"canary-{self.source}", on_wait=warn) is None:
                canary.close()
                raise self._breaker.error  # another worker makes the canary call
            self._canary = canary

    def count_request(self) -> None:
        """Count a request before it is made. Raises `SourcePaused` if the budget of the day is spent."""
        if not self._reserved_requests:
            batch = max(1, min(REQUESTS_RESERVED, self.limits["requests"]))
            self.budget.reserve(requests=batch)
            self._reserved_requests = batch
        self._reserved_requests -= 1
        self.requests += 1

    def succeeded(self) -> None:
        """Report a successful call: close an open breaker and reset the consecutive failures."""
        if self._breaker.state == "open" or self._breaker.consecutive_failures:
            note_success(self.lake, self.source, self.run_id)
            self._breaker = Breaker(self.source)
        self._end_canary()

    def failed(self, media_id: str, failure: Failure) -> None:
        """Report a failure. Raises `SourcePaused` if it opens the breaker, `LakeError` on a lack of space or memory."""
        if failure.action is Action.ABORT:
            raise LakeError(f"This machine is out of resources ({failure.message}); free some and run again")
        if failure.action is Action.PAUSE:
            raise self._open(failure.reason, failure)
        if failure.counts_for_breaker and (
            note_failure(self.lake, self.source, media_id, self.run_id) or self._breaker.state == "open"
        ):
            raise self._open("outdated_extractor", failure)
        if not failure.counts_for_breaker:
            self._end_canary()  # an error about one video shows that the source itself works

    def _open(self, reason: str, failure: Failure) -> SourcePaused:
        rule, seconds = RULES[reason], failure.retry_after_seconds
        wait = timedelta(seconds=seconds) if seconds else None
        pause = Pause(reason, failure.message, rule.first_pause, rule.longest_pause, wait)
        opened = open_breaker(self.lake, self.source, pause, self.tool_version, self.run_id)
        self._end_canary()
        return opened.error

    def _end_canary(self) -> None:
        if self._canary is not None:
            self._canary.close()
            self._canary = None

    def close(self) -> None:
        """Return the reserved requests that were not made, and end the canary call."""
        if self._reserved_requests:
            self.budget.give_back(requests=self._reserved_requests)
            self._reserved_requests = 0
        self._end_canary()
