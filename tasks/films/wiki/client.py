"""A client of MediaWiki's Action API, and of the files beside it: polite, patient, and strict about answers.

Every API error arrives as HTTP 200, so an answer is believed only after its `error` was looked for. What
may pass (a busy server, a cut or foreign body, a silence) is tried again with growing waits; a refusal is
not. Where a wiki asks for a long pause, the run stops with `SourcePaused` and what it committed stays.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

import requests

from storage.errors import InputError, ItemError, NeedledropError, Retry, SourcePaused
from tasks.films.wiki.rate_limit import TokenBucket, backoff_seconds, retry_after_seconds, user_agent

Answer = dict[str, Any]
T = TypeVar("T")

MAXLAG_SECONDS = 5
"""Ask to be refused while the wiki's replicas lag this far behind, as every polite client does."""
LONGEST_GET_BYTES = 2_000
"""A longer query is POSTed: Wikimedia refuses addresses of about 8 kB, and proxies do earlier."""
TIMEOUTS_SECONDS = (10.0, 60.0)
"""To connect, and of silence while reading."""
TRIES = 6
DOWNLOAD_TRIES = 3
FAILED_DOWNLOADS = 5
"""So many pictures failing one after another mean that the file host is down, not that the pictures are bad."""
LONGEST_PAUSE_SECONDS = 300.0
"""A longer Retry-After ends the run instead of keeping a process asleep."""
LAG_PAUSE_SECONDS = 5.0
_ANSWER_KEYS = frozenset({"query", "batchcomplete", "continue", "error", "errors"})
_PASSING_CODES = frozenset({"maxlag", "ratelimited", "readonly"})
_DOWNLOAD_CHUNK_BYTES = 65_536

log = logging.getLogger(__name__)


class ApiError(NeedledropError):
    """The wiki refused a query for good; `code` is its own word for why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class _TryAgain(Exception):
    """A failure that may pass. `pause_seconds` is what the wiki asked for, if it did."""

    def __init__(self, why: str, pause_seconds: float | None = None) -> None:
        super().__init__(why)
        self.pause_seconds = pause_seconds


class Wikipedia:
    """One wiki's API under one keep-alive session. Not shared between threads."""

    def __init__(
        self,
        api_url: str,
        contact: str | None,
        *,
        requests_per_minute: float = 150,
        timeouts_seconds: tuple[float, float] = TIMEOUTS_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Prepare a session; nothing is sent yet. Raises `InputError` for a bad address or contact."""
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
        self._answered = False
        self._failed_downloads = 0

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def query(self, **parameters: str | int) -> Iterator[Answer]:
        """Every part of a query's answer: the whole `continue` object of one is sent with the next."""
        continuation: Answer = {}
        while True:
            answer = self.ask(action="query", **parameters, **continuation)
            yield answer
            following = answer.get("continue") or {}
            if not following:
                return
            if following == continuation:
                raise ApiError(
                    "continue", f"{self.api_url} continues a query in a circle; it cannot be read to its end"
                )
            continuation = following

    def ask(self, **parameters: Any) -> Answer:
        """One answer of the API. Raises `ApiError`, `InputError` or `SourcePaused`."""
        fields = {**parameters, "format": "json", "formatversion": 2, "maxlag": MAXLAG_SECONDS, "utf8": 1}
        return self._persist(lambda: self._answer(fields), self.api_url)

    def download(self, url: str, hosts: frozenset[str], maximum_bytes: int) -> bytes:
        """The bytes at an address on one of these hosts (`name` or `name:port`).

        Raises `ItemError` with `foreign_host`, `missing`, `too_large` or `http_error`.
        """
        if urlsplit(url).scheme not in ("http", "https") or urlsplit(url).netloc.lower() not in hosts:
            raise ItemError("foreign_host", f"{url} is not on the wiki's own file hosts")
        try:
            data = self._persist(lambda: self._bytes(url, maximum_bytes), url, DOWNLOAD_TRIES)
        except InputError as error:
            raise ItemError("http_error", str(error), Retry.LATER) from error
        except SourcePaused as pause:
            self._failed_downloads += 1
            if pause.reason == "asked_to_wait" or self._failed_downloads >= FAILED_DOWNLOADS:
                raise
            raise ItemError("http_error", str(pause), Retry.LATER) from pause
        self._failed_downloads = 0
        return data

    def _persist(self, once: Callable[[], T], address: str, tries: int = TRIES) -> T:
        """Do it until it succeeds, waiting between tries as the wiki asks, else ever longer."""
        failure, pause = _TryAgain(""), 0.0
        for attempt in range(tries):
            if attempt:
                log.warning("%s: %s; trying again in %.1f s", address, failure, pause)
                self._sleep(pause)
            self._bucket.wait()
            try:
                done = once()
            except requests.RequestException as error:
                failure = _TryAgain(f"{type(error).__name__}: {error}")
                if isinstance(error, requests.ConnectionError) and not self._answered and attempt >= 1:
                    raise InputError(f"{address} cannot be reached; check the address and the network") from error
            except _TryAgain as error:
                failure = error
            else:
                self._answered = True
                return done
            pause = backoff_seconds(attempt) if failure.pause_seconds is None else failure.pause_seconds
            if pause > LONGEST_PAUSE_SECONDS:
                break
        reason = "unavailable" if failure.pause_seconds is None else "asked_to_wait"
        until = datetime.now(UTC) + timedelta(seconds=max(pause, LONGEST_PAUSE_SECONDS))
        message = f"{address} does not answer ({failure}); run the same command again later"
        raise SourcePaused("wikipedia", reason, until, message)

    def _answer(self, fields: Answer) -> Answer:
        self.calls += 1
        encoded = urlencode(fields)
        options: dict[str, Any] = {"timeout": self._timeouts_seconds, "allow_redirects": False}
        if len(encoded) > LONGEST_GET_BYTES:
            response = self._session.post(self.api_url, data=fields, **options)
        else:
            response = self._session.get(self.api_url, params=fields, **options)
        _check_status(response)
        try:
            answer = response.json()
        except ValueError as error:
            raise _TryAgain(f"an answer that is not JSON ({response.text[:60]!r})") from error
        if not isinstance(answer, dict) or answer.keys().isdisjoint(_ANSWER_KEYS):
            raise _TryAgain(f"an answer that is none of the API's ({response.text[:60]!r})")
        _check_error(answer, retry_after_seconds(response.headers.get("Retry-After")))
        for module, warning in (answer.get("warnings") or {}).items():
            log.warning("The wiki warns about %s: %s", module, warning)
        return answer

    def _bytes(self, url: str, maximum_bytes: int) -> bytes:
        with self._session.get(url, timeout=self._timeouts_seconds, allow_redirects=False, stream=True) as response:
            if response.status_code in (404, 410):
                raise ItemError("missing", f"{url} is not there", Retry.LATER)
            _check_status(response)
            body = bytearray()
            for chunk in response.iter_content(_DOWNLOAD_CHUNK_BYTES):
                body += chunk
                if len(body) > maximum_bytes:
                    raise ItemError("too_large", f"{url} has more than {maximum_bytes:,} bytes")
            return bytes(body)


def _check_status(response: requests.Response) -> None:
    """Raise for everything but 200: `_TryAgain` for what may pass, `InputError` for what will not."""
    status = response.status_code
    if status == 429 or status >= 500:
        raise _TryAgain(f"HTTP {status}", retry_after_seconds(response.headers.get("Retry-After")))
    if 300 <= status < 400:
        raise InputError(f"{response.url} has moved to {response.headers.get('Location')}; give that address instead")
    if status == 403:
        raise InputError(f"The wiki refuses this client ({_first_line(response)}); check --contact and its policy")
    if status != 200:
        raise InputError(f"{response.url} answers HTTP {status} ({_first_line(response)}); check the address")


def _check_error(answer: Answer, pause_seconds: float | None) -> None:
    """Raise for an error inside an HTTP 200, in the old form (`error`) or the new (`errors`)."""
    errors = answer.get("errors") or ([answer["error"]] if "error" in answer else [])
    if not errors:
        return
    code = str(errors[0].get("code", "unknown"))
    text = str(errors[0].get("info") or errors[0].get("text") or "")
    if code in _PASSING_CODES:
        raise _TryAgain(f"{code}: {text}", LAG_PAUSE_SECONDS if pause_seconds is None else pause_seconds)
    if code.startswith("internal_api_error"):
        raise _TryAgain(f"{code}: {text}", pause_seconds)
    raise ApiError(code, f"The wiki refused a query ({code}: {text})")


def _first_line(response: requests.Response) -> str:
    return (response.text.strip().splitlines() or [response.reason or ""])[0][:160]


def merge_pages(parts: list[Answer]) -> dict[int, Answer]:
    """The pages of all parts of one query by page id: a page's lists are joined, its other values replaced.

    Pages without an id (missing, invalid) are left out.
    """
    merged: dict[int, Answer] = {}
    for part in parts:
        for page in (part.get("query") or {}).get("pages") or []:
            if not page.get("pageid"):
                continue
            known = merged.setdefault(page["pageid"], {})
            for name, value in page.items():
                known[name] = known[name] + value if isinstance(value, list) and name in known else value
    return merged
