"""What an HTTP status of a source means: the reason of a failure, by who answered with it.

A 403 of a page or an API of YouTube is a block; other error statuses of its hosts follow changes of the site, and
concern no recording.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlparse

from yt_dlp.networking import exceptions as network

from tasks.retry_after_and_backoff import retry_after_seconds

_MEDIA_DOMAIN = "googlevideo.com"
_YOUTUBE_DOMAINS = ("youtube.com", "youtube-nocookie.com", "youtubei.googleapis.com", _MEDIA_DOMAIN)
OF_THE_MEDIA = re.compile(r"video data|fragment|got error", re.IGNORECASE)
_REASONS_BY_STATUS = {
    401: "http_auth",
    402: "http_auth",
    403: "http_403",
    404: "http_gone",
    408: "timeout",
    410: "http_gone",
    416: "http_416",
    425: "rate_limit",
    429: "rate_limit",
    451: "http_auth",
}


@dataclass(frozen=True)
class ErrorResponse:
    """A response with an error status that the client received during the call."""

    status: int
    host: str
    retry_after_seconds: float | None = None

    @property
    def is_media(self) -> bool:
        """Whether the request was for a media file, not for a page or an API."""
        return self.host.endswith(_MEDIA_DOMAIN)


def by_responses(responses: Sequence[ErrorResponse]) -> str | None:
    """Return the reason in the statuses that yt-dlp did not raise: pauses first, then the last one."""
    for response in responses:
        if response.status == 429:
            return "rate_limit"
        if response.status == 403 and not response.is_media and response.host.endswith("youtube.com"):
            return "blocked"
    return status_reason(responses[-1].status) if responses else None


def by_status(chain: Iterable[BaseException]) -> str | None:
    """Return the reason for the status of an error of yt-dlp's network client, or None."""
    return next((status_reason(one.status) for one in chain if isinstance(one, network.HTTPError)), None)


def is_from_youtube(message: str, chain: Iterable[BaseException], responses: Sequence[ErrorResponse]) -> bool:
    """Return whether a status is YouTube's: by the failing response, else the last one, else the extractor's name."""
    hosts = [urlparse(one.response.url).hostname or "" for one in chain if isinstance(one, network.HTTPError)]
    hosts += [response.host for response in reversed(responses)]
    if not hosts:
        return message.startswith("[youtube")
    return any(hosts[0] == domain or hosts[0].endswith(f".{domain}") for domain in _YOUTUBE_DOMAINS)


def reason_of_youtube(
    reason: str, text: str, chain: Iterable[BaseException], responses: Sequence[ErrorResponse]
) -> str:
    """Return what an error status of YouTube's hosts means: of the media it concerns one file, else the whole site."""
    hosts = [urlparse(one.response.url).hostname or "" for one in chain if isinstance(one, network.HTTPError)]
    hosts += [response.host for response in reversed(responses)]
    is_media = hosts[0].endswith(_MEDIA_DOMAIN) if hosts else bool(OF_THE_MEDIA.search(text))
    if reason == "http_403":
        is_page = bool(hosts) or bool(re.search(r"API page|web ?page", text, re.IGNORECASE))
        return "blocked" if is_page and not is_media else "http_403"
    return "media_gone" if reason == "http_gone" and is_media else "youtube_4xx"


def status_reason(status: int) -> str | None:
    """Return the reason for an HTTP status, or None below 400."""
    if status in _REASONS_BY_STATUS:
        return _REASONS_BY_STATUS[status]
    if status >= 500:
        return "http_5xx"
    return "http_4xx" if status >= 400 else None


def retry_after(chain: Iterable[BaseException], responses: Sequence[ErrorResponse]) -> float | None:
    """Return the longest Retry-After of all responses, in seconds."""
    headers = [one.response.headers for one in chain if isinstance(one, network.HTTPError)]
    waits = [response.retry_after_seconds for response in responses] + [retry_after_seconds(one) for one in headers]
    return max((wait for wait in waits if wait), default=None)
