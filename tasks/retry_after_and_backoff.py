"""How long to wait before a retry: the Retry-After header of a response, else exponential backoff with jitter."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

MAX_BACKOFF_SECONDS = 60.0
MAX_RETRY_AFTER_SECONDS = 30 * 86_400.0
"""A Retry-After of more than a month is a mistake of the server."""


class Headers(Protocol):
    """The headers of a response: a mapping or an email message."""

    def get(self, name: str, /) -> str | None:
        """Return the value of a header, or None."""


def retry_after_seconds(headers: Headers, now: datetime | None = None) -> float | None:
    """Return how long the Retry-After header asks to wait, in seconds; None without one, or if it cannot be parsed.

    The header gives seconds or an HTTP date (RFC 9110, section 10.2.3); a date in the past means no wait.
    """
    value = (headers.get("Retry-After") or "").strip()
    if re.fullmatch(r"\d+(?:\.\d+)?", value):
        return min(float(value), MAX_RETRY_AFTER_SECONDS)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    seconds = (moment - (now or datetime.now(UTC))).total_seconds()
    return min(max(0.0, seconds), MAX_RETRY_AFTER_SECONDS)


def backoff_seconds(attempt: int) -> float:
    """Return how long to wait after failed attempt `attempt` (from 0): 1, 2, 4 … 60 s, times 1 to 1.5 at random.

    The jitter keeps many clients from retrying at the same moment.
    """
    return min(MAX_BACKOFF_SECONDS, 2.0**attempt) * random.uniform(1.0, 1.5)  # noqa: S311  no secret
