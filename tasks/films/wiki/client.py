"""A client of MediaWiki's Action API and file hosts: rate limit, retries, continuation, checks of every response.

API errors arrive with HTTP 200, so every response is searched for an `error`. Transient failures (a busy server, a
truncated or foreign body, a timeout) are retried with backoff, or after the wait that Retry-After asks for; a
refusal is not retried. Where the wiki asks for a long wait, `SourcePaused` ends the run; what it committed stays.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

import requests

from storage.errors import InputError, ItemError, NeedledropError, Retry, SourcePaused
from tasks.backoff import backoff_seconds, retry_after_seconds
from tasks.films.wiki.rate_limit import TokenBucket

Answer = dict[str, Any]
T = TypeVar("T")

MAXLAG_SECONDS = 5
"""Ask to be refused while the wiki's replicas lag further behind, as Wikimedia's etiquette demands."""
MAX_GET_BYTES = 2_000
"""A longer query is sent by POST: Wikimedia refuses addresses of about 8 kB, and some proxies shorter ones."""
TIMEOUTS_SECONDS = (10.0, 60.0)
"""For the connection, and between two reads."""
ATTEMPTS = 6
DOWNLOAD_ATTEMPTS = 3
MAX_FAILED_DOWNLOADS = 5
"""So many consecutive failures mean that the file host is down."""
MAX_WAIT_SECONDS = 300.0
"""A longer Retry-After ends the run instead of keeping a process waiting."""
LAG_WAIT_SECONDS = 5.0
_ANSWER_KEYS = frozenset({"query", "batchcomplete", "continue", "error", "errors"})
_TRANSIENT_CODES = frozenset({"maxlag", "ratelimited", "readonly"})
_DOWNLOAD_CHUNK_BYTES = 65_536
_CONTACT = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+|https?://\S+|User:\S+")

log = logging.getLogger(__name__)


class ApiError(NeedledropError):
    """The wiki refused a query, and would again; `code` is the API's error code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class _TransientError(Exception):
    """A failure to be retried. `wait_seconds` is what the wiki asks for, if it does."""

    def __init__(self, message: str, wait_seconds: float | None = None) -> None:
        super().__init__(message)
        self.wait_seconds = wait_seconds


def user_agent(contact: str | None) -> str:
    """Return the User-Agent of every request, which names the operator as Wikimedia's policy demands.

    Without a `contact` it is read from NEEDLEDROP_CONTACT, so a worker needs only its environment.
    Raises `InputError` without a mail address or web page to write to.
    """
    text = (contact or os.environ.get("NEEDLEDROP_CONTACT", "")).strip()
    if not _CONTACT.search(text):
        raise InputError(
            "The wiki wants to know whom to write to; give your mail address or page with --contact"
            " or in NEEDLEDROP_CONTACT (in a deployment: the parameter contact, or the worker's environment)"
        )
    if not text.isascii() or not text.isprintable() or any(character in "()" for character in text):
        raise InputError(f"The contact {text!r} cannot be sent in a header; give a plain mail address or web page")
    return f"Needledrop/{version('needledrop')} ({text}) python-requests/{requests.__version__}"


class Wikipedia:
    """The API of one wiki, called over one HTTP session. Threads must not share it."""

    def __init__(
        self,
        api_url: str,
        contact: str | None,
        *,
        requests_per_minute: float = 150,
        timeouts_seconds: tuple[float, float] = TIMEOUTS_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Prepare a session without sending anything. Raises `InputError` for a bad address or contact."""
        parts = urlsplit(api_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or not parts.path.endswith("api.php"):
            raise InputError(f"{api_url!r} is not the address of a wiki's API; give https://HOST/w/api.php with --wiki")
        self.api_url = api_url
        self.calls = 0
        self._sleep = sleep
        self._bucket = TokenBucket(requests_per_minute, sleep=sleep)
        self._timeouts_seconds = timeouts_seconds
        self._session = requests.Session()
        self._session.headers.update({"User-Agent": user_agent(contact), "Accept-Encoding": "gzip"})
        self._has_answered = False
        self._failed_downloads = 0

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def query(self, **parameters: str | int) -> Iterator[Answer]:
        """Yield every part of a query's result: the `continue` object of each is sent with the next request."""
        continuation: Answer = {}
        while True:
            answer = self.call(action="query", **parameters, **continuation)
            yield answer
            following = answer.get("continue") or {}
            if not following:
                return
            if following == continuation:
                raise ApiError("continue", f"{self.api_url} repeats a part of a query's result; it cannot be completed")
            continuation = following

    def call(self, **parameters: Any) -> Answer:
        """Call the API once and return its answer. Raises `ApiError`, `InputError` or `SourcePaused`."""
        fields = {**parameters, "format": "json", "formatversion": 2, "maxlag": MAXLAG_SECONDS, "utf8": 1}
        return self._with_retries(lambda: self._request(fields), self.api_url)

    def download(self, url: str, hosts: frozenset[str], max_bytes: int) -> bytes:
        """Return the bytes at an address on one of these hosts (`name` or `name:port`).

        Raises `ItemError` with `foreign_host`, `missing`, `too_large` or `http_error`.
        """
        if urlsplit(url).scheme not in ("http", "https") or urlsplit(url).netloc.lower() not in hosts:
            raise ItemError("foreign_host", f"{url} is not on the wiki's own file hosts")
        try:
            data = self._with_retries(lambda: self._read_file(url, max_bytes), url, DOWNLOAD_ATTEMPTS)
        except InputError as error:
            raise ItemError("http_error", str(error), Retry.LATER) from error
        except SourcePaused as pause:
            self._failed_downloads += 1
            if pause.reason == "asked_to_wait" or self._failed_downloads >= MAX_FAILED_DOWNLOADS:
                raise
            raise ItemError("http_error", str(pause), Retry.LATER) from pause
        self._failed_downloads = 0
        return data

    def _with_retries(self, request: Callable[[], T], address: str, attempts: int = ATTEMPTS) -> T:
        """Return the result of a request, retried after the wait that the wiki asks for, else with backoff."""
        failure, wait = _TransientError(""), 0.0
        for attempt in range(attempts):
            if attempt:
                log.warning("%s: %s; trying again in %.1f s", address, failure, wait)
                self._sleep(wait)
            self._bucket.wait()
            try:
                result = request()
            except requests.RequestException as error:
                failure = _TransientError(f"{type(error).__name__}: {error}")
                if isinstance(error, requests.ConnectionError) and not self._has_answered and attempt >= 1:
                    raise InputError(f"{address} cannot be reached; check the address and the network") from error
            except _TransientError as error:
                failure = error
            else:
                self._has_answered = True
                return result
            wait = backoff_seconds(attempt) if failure.wait_seconds is None else failure.wait_seconds
            if wait > MAX_WAIT_SECONDS:
                break
        reason = "unavailable" if failure.wait_seconds is None else "asked_to_wait"
        until = datetime.now(UTC) + timedelta(seconds=max(wait, MAX_WAIT_SECONDS))
        message = f"{address} does not answer ({failure}); run the same command again later"
        raise SourcePaused("wikipedia", reason, until, message)

    def _request(self, fields: Answer) -> Answer:
        """Send one call of the API and return its answer, without retries."""
        self.calls += 1
        encoded = urlencode(fields)
        options: dict[str, Any] = {"timeout": self._timeouts_seconds, "allow_redirects": False}
        if len(encoded) > MAX_GET_BYTES:
            response = self._session.post(self.api_url, data=fields, **options)
        else:
            response = self._session.get(self.api_url, params=fields, **options)
        _check_status(response)
        try:
            answer = response.json()
        except ValueError as error:
            raise _TransientError(f"the answer is not JSON ({response.text[:60]!r})") from error
        if not isinstance(answer, dict) or answer.keys().isdisjoint(_ANSWER_KEYS):
            raise _TransientError(f"the answer is not one of the API ({response.text[:60]!r})")
        _check_error(answer, retry_after_seconds(response.headers))
        for module, warning in (answer.get("warnings") or {}).items():
            log.warning("The wiki returned a warning about %s: %s", module, warning)
        return answer

    def _read_file(self, url: str, max_bytes: int) -> bytes:
        """Return the body of a file, without retries."""
        with self._session.get(url, timeout=self._timeouts_seconds, allow_redirects=False, stream=True) as response:
            if response.status_code in (404, 410):
                raise ItemError("missing", f"{url} does not exist", Retry.LATER)
            _check_status(response)
            body = bytearray()
            for chunk in response.iter_content(_DOWNLOAD_CHUNK_BYTES):
                body += chunk
                if len(body) > max_bytes:
                    raise ItemError("too_large", f"{url} has more than {max_bytes:,} bytes")
            return bytes(body)


def _check_status(response: requests.Response) -> None:
    """Raise for every status but 200: `_TransientError` if a retry may help, else `InputError`."""
    status = response.status_code
    if status == 429 or status >= 500:
        raise _TransientError(f"HTTP {status}", retry_after_seconds(response.headers))
    if 300 <= status < 400:
        raise InputError(f"{response.url} has moved to {response.headers.get('Location')}; give that address instead")
    if status == 403:
        raise InputError(f"The wiki refuses this client ({_first_line(response)}); check --contact and its policy")
    if status != 200:
        raise InputError(f"{response.url} answers HTTP {status} ({_first_line(response)}); check the address")


def _check_error(answer: Answer, wait_seconds: float | None) -> None:
    """Raise for an error in an answer with HTTP 200, in the old form (`error`) or the new one (`errors`)."""
    errors = answer.get("errors") or ([answer["error"]] if "error" in answer else [])
    if not errors:
        return
    code = str(errors[0].get("code", "unknown"))
    text = str(errors[0].get("info") or errors[0].get("text") or "")
    if code in _TRANSIENT_CODES:
        raise _TransientError(f"{code}: {text}", LAG_WAIT_SECONDS if wait_seconds is None else wait_seconds)
    if code.startswith("internal_api_error"):
        raise _TransientError(f"{code}: {text}", wait_seconds)
    raise ApiError(code, f"The wiki refused a query ({code}: {text})")


def _first_line(response: requests.Response) -> str:
    return (response.text.strip().splitlines() or [response.reason or ""])[0][:160]


def merge_pages(parts: list[Answer]) -> dict[int, Answer]:
    """Merge the parts of one query's result into pages by id: lists are joined, other values replaced.

    Pages without an id (missing or invalid ones) are left out.
    """
    merged: dict[int, Answer] = {}
    for part in parts:
        for page in (part.get("query") or {}).get("pages") or []:
            if not page.get("pageid"):
                continue
            whole = merged.setdefault(page["pageid"], {})
            for name, value in page.items():
                whole[name] = whole[name] + value if isinstance(value, list) and name in whole else value
    return merged
