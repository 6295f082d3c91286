"""The one door to a source on the network: whether it is paused, what may be spent, what the last call showed.

Breaker and budget live in the lake, so every worker on every machine goes through the same door.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from storage.coordination.breakers import Breaker, Pause, note_failure, note_success, open_breaker, read_breaker
from storage.coordination.budgets import Budget
from storage.coordination.leases import Lease, acquire_lease
from storage.errors import LakeError, SourcePaused
from storage.lake.lake import Lake
from tasks.soundtracks.download.error_rules import RULES, Action
from tasks.soundtracks.download.errors import Failure

REQUESTS_RESERVED = 10
"""Requests are reserved by the handful: one write to the lake for about three videos."""


@dataclass
class SourceThrottle:
    """A source's door for one worker. `limits` are the daily requests and downloads of all workers together."""

    lake: Lake
    source: str
    run_id: str
    tool_version: str
    limits: dict[str, int]
    requests: int = 0
    """Requests made through this door, for the run's summary."""
    _allowance: int = 0
    _canary: Lease | None = None
    _breaker: Breaker = field(default_factory=lambda: Breaker(""))

    @property
    def budget(self) -> Budget:
        """The daily budget, as far as one worker sees it."""
        return Budget(self.lake, self.source, self.limits)

    def enter(self) -> None:
        """Before a call: raises `SourcePaused` if the source is to be left alone now."""
        self._breaker = read_breaker(self.lake, self.source)
        if self._breaker.is_open(self.tool_version):
            raise self._breaker.error
        if self._breaker.state == "open" and self._canary is None:
            self._canary = acquire_lease(self.lake, f"canary-{self.source}")
            if self._canary is None:
                raise self._breaker.error  # another worker is trying the first call after the pause

    def count_request(self) -> None:
        """Before every single request; raises `SourcePaused` when the day's requests are spent."""
        if not self._allowance:
            handful = min(REQUESTS_RESERVED, self.limits["requests"])
            self.budget.reserve(requests=max(1, handful))
            self._allowance = max(1, handful)
        self._allowance -= 1
        self.requests += 1

    def succeeded(self) -> None:
        """A call brought what it should: an open breaker closes, suspects are forgotten."""
        if self._breaker.state == "open" or self._breaker.consecutive_failures:
            note_success(self.lake, self.source, self.run_id)
            self._breaker = Breaker(self.source)
        self._end_canary()

    def failed(self, media_id: str, failure: Failure) -> None:
        """Learn from a failure; raises `SourcePaused` or, for a machine out of order, `LakeError`."""
        if failure.action is Action.ABORT:
            raise LakeError(f"This machine cannot go on ({failure.message}); make room and run again")
        if failure.action is Action.PAUSE:
            raise self._open(failure.reason, failure)
        if failure.is_suspect and (
            note_failure(self.lake, self.source, media_id, self.run_id) or self._breaker.state == "open"
        ):
            raise self._open("outdated_extractor", failure)
        if not failure.is_suspect:
            self._end_canary()  # an answer about one video is an answer: the source itself works

    def _open(self, reason: str, failure: Failure) -> SourcePaused:
        rule, asked = RULES[reason], failure.retry_after_seconds
        wait = timedelta(seconds=asked) if asked else None
        pause = Pause(reason, failure.message, rule.first_pause, rule.longest_pause, wait)
        opened = open_breaker(self.lake, self.source, pause, self.tool_version, self.run_id)
        self._end_canary()
        return opened.error

    def _end_canary(self) -> None:
        if self._canary is not None:
            self._canary.release()
            self._canary = None

    def close(self) -> None:
        """Give back what was reserved and not used."""
        if self._allowance:
            self.budget.give_back(requests=self._allowance)
            self._allowance = 0
        self._end_canary()
