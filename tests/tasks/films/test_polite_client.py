"""The token bucket that limits the rate of requests."""

from __future__ import annotations

import pytest

from tasks.films.rate_limit import TokenBucket


def test_a_burst_passes_at_once_and_then_requests_wait() -> None:
    clock = [0.0]
    bucket = TokenBucket(60, burst=3, clock=lambda: clock[0], sleep=lambda s: clock.__setitem__(0, clock[0] + s))
    waits = [bucket.wait() for _ in range(6)]
    assert waits == [0, 0, 0, 1, 1, 1]
    clock[0] += 100
    assert [bucket.wait() for _ in range(4)] == [0, 0, 0, 1]


def test_the_average_rate_is_kept() -> None:
    clock = [0.0]
    bucket = TokenBucket(150, clock=lambda: clock[0], sleep=lambda s: clock.__setitem__(0, clock[0] + s))
    for _ in range(205):
        bucket.wait()
    assert clock[0] == pytest.approx(80)
