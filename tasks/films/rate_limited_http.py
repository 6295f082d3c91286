"""Send HTTP requests politely: a rate limit, a User-Agent with a contact, retries, waits, bounded answers.

Transient failures (a busy server, one that cannot be reached, a truncated or foreign body, a timeout) are retried with
backoff, or after the wait that Retry-After asks for; a refusal is not retried. Where a source asks for a long wait, or
stays away for all retries, `SourcePaused` ends the work on it. An answer is bounded in size as it unpacks, and in time.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from threading import Lock
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import LocationParseError

from storage.errors import InputError, NeedledropError, SourcePaused
from tasks.retry_after_and_backoff import backoff_seconds, retry_after_seconds

T = TypeVar("T")

BURST_REQUESTS = 5
"""Requests that may follow each other at once after a pause."""
TIMEOUTS_SECONDS = (10.0, 60.0)
"""For the connection, and between two reads."""
MAX_REQUEST_SECONDS = 300.0
"""For one answer: a server that sends a byte a minute never reaches the time-out between two reads."""
MAX_ANSWER_BYTES = 32 * 2**20
"""Unpacked; a wiki's answers are at most 8 MiB of text before JSON escapes it."""
MAX_ERROR_BYTES = 65_536
ATTEMPTS = 6
MAX_WAIT_SECONDS = 300.0
"""A longer Retry-After ends the run instead of keeping a process waiting."""
_CHUNK_BYTES = 16_384
"""Read at once: packed a thousandfold, it unpacks to 16 MiB before its size is looked at."""
_OF_CONNECTION = re.compile(r"^<?\w[^:]*?(?:object at \w+>|\(host=[^)]*\)): ")
_CONTACT = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+|https?://\S+|User:\S+")

log = logging.getLogger(__name__)


class ApiError(NeedledropError):
    """A source refused a query or answered it in no known form, and would again; `code` is the API's error code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class RefusedError(InputError):
    """A source refuses this client, with HTTP 403; the message says what to check."""


class TransientError(Exception):
    """A failure to be retried. `wait_seconds` is what the source asks for, if it does."""

    def __init__(self, message: str, wait_seconds: float | None = None) -> None:
        super().__init__(message)
        self.wait_seconds = wait_seconds


def user_agent(contact: str | None) -> str:
    """Return the User-Agent of every request, which names the operator as Wikimedia's policy demands.

    Without a `contact` it is read from NEEDLEDROP_CONTACT, so a worker needs only its environment.
    Raises `InputError` without a mail address or web page to write to.
    """
    text = (contact or os.environ.get("NEEDLEDROP_CONTACT", "")).strip()
    if text and not _CONTACT.search(text):
        raise InputError(f"The contact {text!r} is no mail address or web page; give one, such as me@example.org")
    if not text:
        raise InputError(
            "The wiki wants to know whom to write to; give your mail address or page with --contact"
            " or in NEEDLEDROP_CONTACT (in a deployment: the parameter contact, or the worker's environment)"
        )
    if not text.isascii() or not text.isprintable() or any(character in "()" for character in text):
        raise InputError(f"The contact {text!r} cannot be sent in a header; give a plain mail address or web page")
    return f"Needledrop/{version('needledrop')} ({text}) python-requests/{requests.__version__}"


@dataclass(frozen=True)
class Response:
    """A whole answer: its status, address and body; `wait_seconds` is what Retry-After asks for."""

    status: int
    url: str
    body: bytes
    location: str | None = None
    wait_seconds: float | None = None

    @property
    def start(self) -> str:
        """The beginning of the body, for a message."""
        return (self.body[:1_000].decode(errors="replace").strip().splitlines() or [""])[0][:160]

    def check(self) -> None:
        """Raise for every status but 200: `TransientError` if a retry may help, else `InputError`."""
        if self.status == 429 or self.status >= 500:
            raise TransientError(f"HTTP {self.status}", self.wait_seconds)
        if 300 <= self.status < 400:
            raise InputError(f"{self.url} has moved to {self.location}; give that address instead")
        if self.status == 403:
            host = urlsplit(self.url).netloc
            raise RefusedError(f"{host} refuses this client ({self.start}); check --contact and the policy of the site")
        if self.status != 200:
            raise InputError(f"{self.url} answers HTTP {self.status} ({self.start}); check the address")

    def json(self) -> Any:
        """Return the body as JSON. Raises `TransientError` if it is none, or nested too deeply to be an answer."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise TransientError(f"the answer is not JSON ({self.start[:60]!r})") from error


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


class PoliteClient:
    """A session with one source, named in its pauses. Threads must not share it."""

    def __init__(
        self,
        source: str,
        contact: str | None,
        *,
        requests_per_minute: float,
        burst: int = BURST_REQUESTS,
        timeouts_seconds: tuple[float, float] = TIMEOUTS_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Prepare a session without sending anything. Raises `InputError` for a bad contact."""
        self.source = source
        self.calls = 0
        self._sleep = sleep
        self._bucket = TokenBucket(requests_per_minute, burst, sleep=sleep)
        self._timeouts_seconds = timeouts_seconds
        self._session = requests.Session()
        self._session.headers.update({"User-Agent": user_agent(contact), "Accept-Encoding": "gzip"})

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def with_retries(self, request: Callable[[], T], address: str, attempts: int = ATTEMPTS) -> T:
        """Return the result of a request, retried after the wait that the source asks for, else with backoff."""
        failure, wait = TransientError(""), 0.0
        for attempt in range(attempts):
            if attempt:
                log.warning("%s: %s; trying again in %.1f s", address, failure, wait)
                self._sleep(wait)
            self._bucket.wait()
            try:
                return request()
            except (requests.exceptions.InvalidURL, LocationParseError) as error:
                raise InputError(f"{address} is no address ({error}); correct it") from error
            except requests.RequestException as error:
                failure = TransientError(_cause(error))
            except TransientError as error:
                failure = error
            wait = backoff_seconds(attempt) if failure.wait_seconds is None else failure.wait_seconds
            if wait > MAX_WAIT_SECONDS:
                break
        reason = "unavailable" if failure.wait_seconds is None else "asked_to_wait"
        until = datetime.now(UTC) + timedelta(seconds=max(wait, MAX_WAIT_SECONDS))
        message = f"{address} does not answer ({failure}); check the address and the network, or run it again later"
        raise SourcePaused(self.source, reason, until, message)

    def send(
        self,
        url: str,
        fields: Mapping[str, Any] | None = None,
        max_bytes: int = MAX_ANSWER_BYTES,
        *,
        by_post: bool = False,
    ) -> Response:
        """Send one request without retries: GET, or POST where asked to. Redirects are not followed.

        Raises `ApiError` with code `too_large` for an answer that unpacks to more than `max_bytes`.
        """
        self.calls += 1
        method, where = ("POST", "data") if by_post else ("GET", "params")
        options: dict[str, Any] = {where: fields or {}, "timeout": self._timeouts_seconds, "stream": True}
        with self._session.request(method, url, allow_redirects=False, **options) as answer:
            headers = answer.headers
            limit = max_bytes if answer.status_code == 200 else MAX_ERROR_BYTES
            body = _read(answer, limit, is_cut=answer.status_code != 200)
            wait = retry_after_seconds(headers)
            return Response(answer.status_code, answer.url, body, headers.get("Location"), wait)


def _cause(error: requests.RequestException) -> str:
    """Return what went wrong, without the connection's and the request's own words around it."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return f"{type(error).__name__}: {_OF_CONNECTION.sub('', str(reason or error))}"


def _read(answer: requests.Response, max_bytes: int, *, is_cut: bool) -> bytes:
    """Return the unpacked body; a longer one is cut or refused."""
    body, deadline = bytearray(), time.monotonic() + MAX_REQUEST_SECONDS
    for chunk in answer.iter_content(_CHUNK_BYTES):
        body += chunk
        if len(body) > max_bytes:
            if is_cut:
                break
            raise ApiError("too_large", f"{answer.url} answers with more than {max_bytes:,} bytes; check the address")
        if time.monotonic() > deadline:
            raise TransientError(f"the answer takes longer than {MAX_REQUEST_SECONDS:.0f} s")
    return bytes(body)
