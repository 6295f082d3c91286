"""The token bucket that limits the rate of requests, and the contact in the User-Agent."""

from __future__ import annotations

import pytest

from storage.errors import InputError
from tasks.films.rate_limited_http import TokenBucket, user_agent


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


@pytest.mark.parametrize("contact", ["me@example.org", "https://example.org/bot", "User:Somebody"])
def test_the_user_agent_names_the_operator(contact: str) -> None:
    assert user_agent(contact).startswith("Needledrop/")
    assert f"({contact})" in user_agent(contact)


@pytest.mark.parametrize("contact", [None, "", "  ", "me", "me@example.org\r\nX: y", "mé@example.org", "a@b.cd (x"])
def test_a_contact_that_is_no_address_is_refused(contact: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEEDLEDROP_CONTACT", raising=False)
    with pytest.raises(InputError, match="contact"):
        user_agent(contact)


@pytest.mark.parametrize("contact", [None, ""])
def test_an_empty_contact_is_read_from_the_environment(contact: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEEDLEDROP_CONTACT", "worker@example.org")
    assert "(worker@example.org)" in user_agent(contact)
