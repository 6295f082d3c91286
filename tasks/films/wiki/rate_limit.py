"""How a guest behaves on a wiki: who is calling, how often, and how long to wait after a refusal.

The pace is a token bucket in this process: it is the same every time, works offline and needs no server.
A wait that the wiki asks for is kept to the second; a wait of our own doubles with every try and is
scattered, so that many clients do not come back at the same moment.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from threading import Lock

import requests

from storage.errors import InputError

BURST_REQUESTS = 5
"""Requests that may follow each other at once after a pause."""
FIRST_BACKOFF_SECONDS = 1.0
LONGEST_BACKOFF_SECONDS = 60.0
LONGEST_ASKED_SECONDS = 30 * 86_400.0
"""A longer Retry-After is a mistake of whoever wrote it."""
_CONTACT = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+|https?://\S+|User:\S+")


@dataclass
class TokenBucket:
    """Lets `per_minute` requests through on average, and `burst` at once; safe to share between threads."""

    per_minute: float
    burst: int = BURST_REQUESTS
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _tokens: float = field(init=False)
    _filled_at: float = field(init=False)
    _lock: Lock = field(init=False, default_factory=Lock)

    def __post_init__(self) -> None:
        """Start full."""
        self._tokens = float(self.burst)
        self._filled_at = self.clock()

    def wait(self) -> float:
        """Take one token, sleeping until there is one; returns the seconds slept."""
        with self._lock:
            now = self.clock()
            self._tokens = min(self.burst, self._tokens + (now - self._filled_at) * self.per_minute / 60.0)
            self._filled_at = now
            self._tokens -= 1.0
            pause = max(0.0, -self._tokens * 60.0 / self.per_minute)
        if pause > 0:
            self.sleep(pause)
        return pause


def user_agent(contact: str | None) -> str:
    """The User-Agent of every request, which names the operator.

    Raises `InputError` without a contact: Wikimedia refuses anonymous clients, and who runs this one is
    not for its authors to say.
    """
    text = (contact or "").strip()
    if not _CONTACT.search(text):
        raise InputError(
            "The wiki wants to know whom to write to; give your mail address or page with --contact"
            " or in NEEDLEDROP_CONTACT"
        )
    if not text.isascii() or not text.isprintable() or any(c in "()" for c in text):
        raise InputError(f"The contact {text!r} cannot stand in a header; give a plain mail address or web page")
    return f"Needledrop/{version('needledrop')} ({text}) python-requests/{requests.__version__}"


def retry_after_seconds(header: str | None, now: datetime | None = None) -> float | None:
    """The seconds that a Retry-After header asks for, given as a number or as a date; None without one."""
    text = (header or "").strip()
    if not text:
        return None
    if re.fullmatch(r"\d+(?:\.\d+)?", text):
        return min(float(text), LONGEST_ASKED_SECONDS)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max(0.0, (moment - (now or datetime.now(UTC))).total_seconds()), LONGEST_ASKED_SECONDS)


def backoff_seconds(attempt: int) -> float:
    """The wait after the nth failure in a row (from 0): 1, 2, 4 … at most 60 s, each times 0.5 to 1.5."""
    scatter = 0.5 + random.random()  # noqa: S311  spreads clients out, keeps no secret
    return float(min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0**attempt)) * scatter
