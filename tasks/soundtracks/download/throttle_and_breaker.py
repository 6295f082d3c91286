"""Throttle the calls to a source: waits, a circuit breaker per kind of call, a daily budget, a canary after a pause.

Breaker and budget are stored in the lake, so all workers on all machines share them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from storage.coordination.breakers import (
    FAILURES_TO_OPEN,
    Breaker,
    Pause,
    note_failure,
    note_success,
    open_breaker,
    read_breakers,
)
from storage.coordination.budgets import Budget
from storage.coordination.leases import LeaseKeeper, warn
from storage.errors import LakeError, SourcePaused
from storage.lake.lake import Lake
from tasks.retry_after_and_backoff import backoff_seconds
from tasks.soundtracks.download.error_classification import Failure
from tasks.soundtracks.download.error_patterns_and_pauses import ABOUT_ONE_RECORDING, RULES, Action, CallKind

EMPTY_TO_OPEN = 50
"""Searches for different films that found nothing, one after another: so large a site always lists something."""
_RESULTS = "_results"
"""Ends the kind of call under which empty results are counted: a search that finds nothing has not failed."""
REQUESTS_RESERVED = 10
"""Requests are reserved in batches: one write to the lake for about three videos."""


@dataclass(frozen=True)
class Pace:
    """Waits between requests, multiplied by `factor`; use a factor below 1 only for your own servers."""

    factor: float = 1.0
    between_requests_seconds: float = 0.75
    before_download_seconds: tuple[float, float] = (10.0, 20.0)

    def retry_wait(self, attempt: int) -> float:
        """Return the seconds to wait before retry `attempt` (from 0)."""
        return self.factor * backoff_seconds(attempt)


def _proves_all(breaker: Breaker, kinds: Collection[CallKind]) -> bool:
    """Return whether calls of these kinds end the pause of a whole source, of which an older version kept no kind.

    Blocks and rate limits show in calls for a recording; anything else shows in every call.
    """
    return breaker.reason not in ("blocked", "bot", "rate_limit") or bool(ABOUT_ONE_RECORDING & set(kinds))


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
    is_retry: bool = False
    """Whether requests are made for a film that was tried before: of each day's they are a share."""
    _retry_requests: int = 0
    _reserved_requests: int = 0
    _canary: LeaseKeeper | None = None
    """Holds the lease of the canary calls, from before the first until their result is known."""
    _breakers: dict[str, Breaker] = field(default_factory=dict)
    """The breakers of the kinds of call that are open or have failures, as of the last call."""

    @property
    def budget(self) -> Budget:
        """The daily budget of all workers."""
        return Budget(self.lake, self.source, self.limits)

    def enter(self) -> None:
        """Raise `SourcePaused` before a call if the source is paused. After a pause one worker makes canary calls.

        These may be of any kind, but only one of the kind that caused the pause ends it (`succeeded`).
        """
        self._breakers = {one.kind: one for one in read_breakers(self.lake) if one.source == self.source}
        closed = [one for one in self._breakers.values() if one.is_open(self.tool_version)]
        if closed:
            raise max(closed, key=lambda one: one.until or datetime.min).error
        if self._canary is None and (ended := [one for one in self._breakers.values() if one.state == "open"]):
            canary = LeaseKeeper(self.lake)
            if canary.acquire(f"canary-{self.source}", on_wait=warn) is None:
                canary.close()
                raise ended[0].error  # another worker makes the canary calls
            self._canary = canary

    def count_request(self) -> None:
        """Count a request before it is made. Raises `SourcePaused` if the budget of the day is spent."""
        if not self._reserved_requests:
            batch = max(1, min(REQUESTS_RESERVED, self.limits["requests"]))
            self.budget.reserve(requests=batch)
            self._reserved_requests = batch
        self._reserved_requests -= 1
        self._retry_requests += self.is_retry
        self.requests += 1

    def spent_today(self) -> Counter[str]:
        """Return what all workers have spent of this source today, with those requests that were for retries."""
        if self._retry_requests:
            self.budget.count(retry_requests=self._retry_requests)
            self._retry_requests = 0
        return Counter(self.budget.spent_today())

    def succeeded(self, *kinds: CallKind) -> None:
        """Report that calls of these kinds succeeded: close their breakers and reset their consecutive failures."""
        for breaker in list(self._breakers.values()):
            if breaker.kind in kinds or (not breaker.kind and _proves_all(breaker, kinds)):
                self._note_success(breaker.kind)
        if not any(one.state == "open" for one in self._breakers.values()):
            self._end_canary()

    def failed(self, item: str, failure: Failure) -> None:
        """Report a failure. Raises `SourcePaused` if it opens the breaker, `LakeError` on a lack of space or memory."""
        if failure.action is Action.ABORT:
            raise LakeError(f"This machine is out of resources ({failure.message}); free some and run again")
        if failure.action is Action.PAUSE:
            raise self._open(failure.reason, failure.message, failure.kind, failure.retry_after_seconds)
        if failure.counts_for_breaker and self._is_enough(item, failure.kind, FAILURES_TO_OPEN):
            raise self._open("outdated_extractor", failure.message, failure.kind)

    def found(self, item: str, kind: CallKind, *, anything: bool) -> None:
        """Report whether a search for an item (a film's query) found anything at all.

        A site whose layout changed answers every search with an empty list, without an error. Raises `SourcePaused`
        if each of the last `EMPTY_TO_OPEN` different searches was empty.
        """
        results = f"{kind}{_RESULTS}"
        if anything:
            self._note_success(results)
        elif self._is_enough(item, results, EMPTY_TO_OPEN):
            message = (
                f"each of the last {EMPTY_TO_OPEN} searches found nothing at all, so the site's layout has probably "
                "changed; upgrade yt-dlp and ytmusicapi"
            )
            raise self._open("changed_layout", message, results)

    def _is_enough(self, item: str, kind: str, to_open: int) -> bool:
        """Record a failure; return whether it opens the breaker: always while the end of a pause is being tried."""
        is_enough = note_failure(self.lake, self.source, item, self.run_id, kind, to_open=to_open)
        return is_enough or kind in {one.kind for one in self._breakers.values() if one.state == "open"}

    def _note_success(self, kind: str) -> None:
        breaker = self._breakers.pop(kind, None)
        if breaker is not None and (breaker.state == "open" or breaker.consecutive_failures):
            note_success(self.lake, self.source, self.run_id, kind)

    def _open(self, reason: str, message: str, kind: str, seconds: float | None = None) -> SourcePaused:
        rule, wait = RULES[reason], timedelta(seconds=seconds) if seconds else None
        pause = Pause(reason, message, rule.first_pause, rule.longest_pause, wait)
        opened = open_breaker(self.lake, self.source, pause, self.tool_version, self.run_id, kind)
        self._end_canary()
        return opened.error

    def _end_canary(self) -> None:
        if self._canary is not None:
            self._canary.close()
            self._canary = None

    def close(self) -> None:
        """Return the reserved requests that were not made, and end the canary call."""
        self.spent_today()  # writes what retries have cost
        if self._reserved_requests:
            self.budget.give_back(requests=self._reserved_requests)
            self._reserved_requests = 0
        self._end_canary()
