"""Pace, waits and names of a polite client, without a network."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from storage.errors import InputError
from tasks.films.wiki.client import Wikipedia, merge_pages
from tasks.films.wiki.rate_limit import TokenBucket, backoff_seconds, retry_after_seconds, user_agent

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_bucket_lets_a_burst_through_and_then_keeps_the_pace() -> None:
    clock = [0.0]
    bucket = TokenBucket(60, burst=3, clock=lambda: clock[0], sleep=lambda s: clock.__setitem__(0, clock[0] + s))
    waits = [bucket.wait() for _ in range(6)]
    assert waits == [0, 0, 0, 1, 1, 1]
    clock[0] += 100
    assert [bucket.wait() for _ in range(4)] == [0, 0, 0, 1]


def test_two_hundred_requests_take_their_minute() -> None:
    clock = [0.0]
    bucket = TokenBucket(150, clock=lambda: clock[0], sleep=lambda s: clock.__setitem__(0, clock[0] + s))
    for _ in range(205):
        bucket.wait()
    assert clock[0] == pytest.approx(80)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7), ("0", 0), ("1.5", 1.5), (None, None), ("", None), ("soon", None), ("9" * 30, 2_592_000),
        ("Thu, 01 Jan 2026 00:02:00 GMT", 120), ("Wed, 31 Dec 2025 00:00:00 GMT", 0),
    ],
)  # fmt: skip
def test_retry_after_is_read_as_seconds_or_as_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header, NOW) == seconds


def test_waits_of_our_own_double_are_scattered_and_bounded() -> None:
    assert all(0.5 * 2**n <= backoff_seconds(n) <= 1.5 * 2**n for n in range(5))
    assert backoff_seconds(50) <= 90
    assert len({backoff_seconds(1) for _ in range(9)}) > 1


@pytest.mark.parametrize("contact", ["me@example.org", "https://example.org/bot", "User:Somebody"])
def test_the_operator_stands_in_the_user_agent(contact: str) -> None:
    assert user_agent(contact).startswith("Needledrop/")
    assert f"({contact})" in user_agent(contact)


@pytest.mark.parametrize("contact", [None, "", "  ", "me", "me@example.org\r\nX: y", "mé@example.org", "a@b.cd (x"])
def test_a_contact_that_cannot_be_written_to_is_bad_input(contact: str | None) -> None:
    with pytest.raises(InputError, match="contact"):
        user_agent(contact)


@pytest.mark.parametrize("address", ["", "en.wikipedia.org", "ftp://x/w/api.php", "https://en.wikipedia.org/wiki/Ash"])
def test_an_address_that_is_no_api_is_bad_input(address: str) -> None:
    with pytest.raises(InputError, match=r"api\.php"):
        Wikipedia(address, "me@example.org")


def test_parts_of_an_answer_are_merged_by_page_id() -> None:
    parts = [
        {"query": {"pages": [{"pageid": 1, "title": "A", "categories": [1]}, {"missing": True, "title": "B"}]}},
        {"batchcomplete": True, "query": {"pages": [{"pageid": 1, "title": "A", "categories": [2], "revisions": [3]}]}},
        {"batchcomplete": True},
    ]
    assert merge_pages(parts) == {1: {"pageid": 1, "title": "A", "categories": [1, 2], "revisions": [3]}}
