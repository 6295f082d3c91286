"""How long to wait before a retry."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tasks.retry_after_and_backoff import backoff_seconds, retry_after_seconds

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7), ("0", 0), ("1.5", 1.5), ("", None), ("soon", None), ("-5", None), ("9" * 30, 2_592_000),
        ("Thu, 01 Jan 2026 00:02:00 GMT", 120), ("Thu, 01 Jan 2026 00:02:00", 120),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0), ("Wed, 21 Oct 2099 07:28:00 GMT", 2_592_000),
        ("Thu, 01 Jan 9999999999999 00:00:00 GMT", None),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert retry_after_seconds({"Retry-After": value}, NOW) == seconds


def test_without_a_retry_after_header_there_is_no_wait_to_read() -> None:
    assert retry_after_seconds({}) is None


def test_backoff_doubles_with_jitter_and_is_bounded() -> None:
    assert all(2**attempt <= backoff_seconds(attempt) <= 1.5 * 2**attempt for attempt in range(5))
    assert backoff_seconds(50) <= 90
    assert len({backoff_seconds(1) for _ in range(9)}) > 1
