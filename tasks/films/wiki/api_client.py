"""Call MediaWiki's Action API: queries with all their continuations, and the form of every answer.

API errors arrive with HTTP 200, so every answer is searched for one. An answer is untrusted: what is not in the form
that MediaWiki documents is retried or refused with a sentence, and a page in another form counts as left out.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

from storage.errors import InputError
from tasks.films.rate_limited_http import ATTEMPTS, TIMEOUTS_SECONDS, ApiError, PoliteClient, Response, TransientError

Answer = dict[str, Any]
MAXLAG_SECONDS = 5
"""Ask to be refused while the wiki's replicas lag further behind, as Wikimedia's etiquette demands."""
LAG_WAIT_SECONDS = 5.0
MAX_GET_BYTES = 2_000
"""A longer query is sent by POST: Wikimedia refuses addresses of about 8 kB, and some proxies shorter ones."""
_TRANSIENT_CODES = frozenset({"maxlag", "ratelimited", "readonly"})
_PAGE_FIELDS: dict[str, type] = {
    "pageid": int,
    "ns": int,
    "title": str,
    "lastrevid": int,
    "touched": str,
    "pageimage": str,
    "revisions": list,
    "categories": list,
    "pageprops": dict,
    "thumbnail": dict,
    "original": dict,
}
log = logging.getLogger(__name__)


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
        is_long = len(urlencode(fields)) > MAX_GET_BYTES
        return self._http.with_retries(
            lambda: checked_answer(self._http.send(self.api_url, fields, by_post=is_long)),
            self.api_url,
            self._attempts,
        )

    def download(self, url: str, max_bytes: int, read: Callable[[Response], bytes], attempts: int) -> bytes:
        """Return what `read` makes of the answer from a file host, with retries. It is no call of the API."""

        def request() -> bytes:
            self._downloads += 1
            return read(self._http.send(url, max_bytes=max_bytes))

        return self._http.with_retries(request, url, attempts)


def checked_answer(response: Response) -> Answer:
    """Return the answer of the API in a response. Raises as `Response.check`, and `ApiError` for an API error."""
    response.check()
    answer = response.json()
    if not isinstance(answer, dict):
        raise TransientError(f"the answer is not one of the API ({response.start[:60]!r})")
    _check_error(answer, response.wait_seconds)
    query = answer.get("query", {}) or {}  # without `formatversion` an empty object is written as []
    following = answer.get("continue") or {}
    is_known = "query" in answer or "batchcomplete" in answer or following
    if not is_known or not isinstance(query, dict) or not _is_continuation(following):
        raise TransientError(f"the answer is not one of the API ({response.start[:60]!r})")
    warnings = answer.get("warnings") or {}
    for module, warning in warnings.items() if isinstance(warnings, dict) else enumerate([warnings]):
        log.warning("The wiki returned a warning about %s: %s", module, str(warning)[:500])
    return {**answer, "query": query, "continue": following}


def _is_continuation(following: Any) -> bool:
    return isinstance(following, dict) and all(isinstance(value, str | int) for value in following.values())


def _check_error(answer: Answer, wait_seconds: float | None) -> None:
    """Raise for an error in an answer with HTTP 200, in the old form (`error`) or the new one (`errors`)."""
    listed = answer.get("errors")
    errors = [*(listed if isinstance(listed, list) else [listed]), answer.get("error")]
    error = next((error for error in errors if error), None)
    if error is None:
        return
    if not isinstance(error, dict):  # of a gateway before the wiki
        raise TransientError(f"the answer is an error: {str(error)[:160]}", wait_seconds)
    code = str(error.get("code", "unknown"))[:80]
    text = str(error.get("info") or error.get("text") or "")[:300]
    if code in _TRANSIENT_CODES:
        raise TransientError(f"{code}: {text}", LAG_WAIT_SECONDS if wait_seconds is None else wait_seconds)
    if code.startswith("internal_api_error"):
        raise TransientError(f"{code}: {text}", wait_seconds)
    raise ApiError(code, f"The wiki refused a query ({code}: {text}); check the parameters, or run it again later")


def pages_of(part: Answer) -> list[Answer]:
    """Return the pages of a part of a result that are in the documented form, of either format version."""
    return [page for page in _all_pages(part) if _is_well_formed(page)]


def merge_pages(parts: list[Answer]) -> dict[int, Answer]:
    """Merge the parts of one query's result into pages by id: lists are joined, other values replaced.

    Pages without an id (missing or invalid ones) are left out, and those that any part gives in another form.
    """
    merged: dict[int, Answer] = {}
    refused: set[Any] = set()
    for part in parts:
        for page in _all_pages(part):
            if not _is_well_formed(page):
                log.warning("The wiki returned a page in an unknown form, which is left out: %.200s", page)
                page_id = page.get("pageid") if isinstance(page, dict) else None
                refused.add(page_id if isinstance(page_id, int) else None)
                continue
            if not page.get("pageid"):
                continue
            whole = merged.setdefault(page["pageid"], {})
            for name, value in page.items():
                before = whole.get(name)
                whole[name] = before + value if isinstance(before, list) and isinstance(value, list) else value
    return {page_id: page for page_id, page in merged.items() if page_id not in refused}


def listed(part: Answer, name: str, **fields: type) -> list[Answer]:
    """Return the entries of a list of a result, in which these fields have these types where they are given.

    Raises `ApiError` for another form: an entry that is passed over would be a film that is never found.
    """
    entries = part["query"].get(name) or []
    if isinstance(entries, list) and all(_has_types(entry, fields) for entry in entries):
        return entries
    raise ApiError("form", f"The wiki returned {name} in an unknown form; check that --wiki names a MediaWiki's API")


def flag(page: Answer, name: str) -> bool:
    """Return whether a page is marked as `missing`, `redirect` or the like: with true, or in the old format with ""."""
    return page.get(name, False) not in (False, None)


def moment(text: Any) -> datetime | None:
    """Return a timestamp of the API, or None for anything else."""
    try:
        parsed = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _all_pages(part: Answer) -> list[Any]:
    pages = part.get("query", {}).get("pages") or []
    return list(pages.values()) if isinstance(pages, dict) else pages if isinstance(pages, list) else []


def _is_well_formed(page: Any) -> bool:
    if not _has_types(page, _PAGE_FIELDS):
        return False
    categories = all(
        _has_types(category, {"title": str}) and "title" in category for category in page.get("categories", [])
    )
    revisions = all(
        _has_types(revision, {"revid": int, "slots": dict, "content": str}) for revision in page.get("revisions", [])
    )
    properties = all(isinstance(value, str) for value in page.get("pageprops", {}).values())
    images = all(isinstance(page.get(key, {}).get("source", ""), str) for key in ("thumbnail", "original"))
    return categories and revisions and properties and images


def _has_types(entry: Any, fields: Mapping[str, type]) -> bool:
    return isinstance(entry, dict) and all(
        isinstance(entry[name], kind) and not isinstance(entry[name], bool)
        for name, kind in fields.items()
        if name in entry
    )
