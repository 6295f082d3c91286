"""A client of MediaWiki's Action API and file hosts: queries with all their continuations, and downloads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from storage.errors import InputError, ItemError, Retry, SourcePaused
from tasks.films.polite_client import ATTEMPTS, TIMEOUTS_SECONDS, ApiError, PoliteClient, TransientError
from tasks.films.wiki.answers import Answer, checked_answer

MAXLAG_SECONDS = 5
"""Ask to be refused while the wiki's replicas lag further behind, as Wikimedia's etiquette demands."""
DOWNLOAD_ATTEMPTS = 3
_WEB_PAGES = (b"<!doctype html", b"<html")
MAX_FAILED_DOWNLOADS = 5
"""So many consecutive failures mean that the file host is down."""


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
        self._http = PoliteClient(
            "wikipedia",
            contact,
            requests_per_minute=requests_per_minute,
            timeouts_seconds=timeouts_seconds,
            sleep=sleep,
        )
        self._attempts = ATTEMPTS
        self._downloads = 0
        self._failed_downloads = 0

    @property
    def calls(self) -> int:
        """How many requests were sent to the API."""
        return self._http.calls - self._downloads

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @contextmanager
    def attempting(self, attempts: int) -> Iterator[None]:
        """Try each call of the API at most so often within this block."""
        before, self._attempts = self._attempts, attempts
        try:
            yield
        finally:
            self._attempts = before

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
        return self._http.with_retries(
            lambda: checked_answer(self._http.send(self.api_url, fields)), self.api_url, self._attempts
        )

    def download(self, url: str, hosts: frozenset[str], max_bytes: int) -> bytes:
        """Return the bytes at an address on one of these hosts (`name` or `name:port`).

        Raises `ItemError` with `foreign_host`, `missing`, `too_large` or `http_error`.
        """
        if urlsplit(url).scheme not in ("http", "https") or urlsplit(url).netloc.lower() not in hosts:
            raise ItemError("foreign_host", f"{url} is not on the wiki's own file hosts")
        try:
            data = self._http.with_retries(lambda: self._read_file(url, max_bytes), url, DOWNLOAD_ATTEMPTS)
        except InputError as error:
            raise ItemError("http_error", str(error), Retry.LATER) from error
        except ApiError as error:
            raise ItemError("too_large", f"{url} has more than {max_bytes:,} bytes") from error
        except SourcePaused as pause:
            self._failed_downloads += 1
            if pause.reason == "asked_to_wait" or self._failed_downloads >= MAX_FAILED_DOWNLOADS:
                raise
            raise ItemError("http_error", str(pause), Retry.LATER) from pause
        self._failed_downloads = 0
        return data

    def _read_file(self, url: str, max_bytes: int) -> bytes:
        """Return the body of a file, without retries."""
        self._downloads += 1
        response = self._http.send(url, max_bytes=max_bytes)
        if response.status in (404, 410):
            raise ItemError("missing", f"{url} does not exist", Retry.LATER)
        response.check()
        if not response.body or response.body[:100].lstrip().lower().startswith(_WEB_PAGES):
            raise TransientError("the answer is empty or a web page, such as a log-in, and no file")
        return response.body
