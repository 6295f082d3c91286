"""Limit the rate of requests with a token bucket."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock

BURST_REQUESTS = 5
"""Requests that may follow each other at once after a pause."""


@dataclass
class TokenBucket:
    """Allow `per_minute` requests on average and `burst` at once. Threads may share it."""

    per_minute: float
    burst: int = BURST_REQUESTS
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _tokens: float = field(init=False)
    _filled_at: float = field(init=False)
    _lock: Lock = field(init=False, default_factory=Lock)

    def __post_init__(self) -> None:
        """Start with a full bucket."""
        self._tokens = float(self.burst)
        self._filled_at = self.clock()

    def wait(self) -> float:
        """Take one token, sleeping until there is one; return the seconds slept."""
        with self._lock:
            now = self.clock()
            self._tokens = min(self.burst, self._tokens + (now - self._filled_at) * self.per_minute / 60.0)
            self._filled_at = now
            self._tokens -= 1.0
            pause = max(0.0, -self._tokens * 60.0 / self.per_minute)
        if pause > 0:
            self.sleep(pause)
        return pause
