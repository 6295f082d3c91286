"""Every failure of a download becomes a reason and one of five answers: never, later, soon, pause, abort.

yt-dlp tells the truth in three places, none of them complete: the chain of exceptions (empty for stalls
and 5xx), the message, and the warnings of the same call (where statuses of the player API end up). The
responses that our own client saw are a fourth. They are read in this order; the first that says something
specific decides. The rules are data (`failure_rules.py`), so that a new message is a new line there.

An error status says something about a recording only where its address is the recording's own. YouTube answers
searches, lists and the player with 400 and 404 when its API has changed, so there a status is never a verdict.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlparse

from yt_dlp.networking import exceptions as network
from yt_dlp.utils import (
    ContentTooShortError,
    DownloadCancelled,
    GeoRestrictedError,
    UnsupportedError,
    UserNotLive,
)
from yt_dlp.utils import RegexNotFoundError as LayoutChanged

from storage.errors import Retry
from tasks.backoff import retry_after_seconds
from tasks.soundtracks.download.error_rules import BY_MESSAGE, RULES, Action

_DISK_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE}
_UNREACHABLE_ERRNOS = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN}
_STATUS_REASONS = {"http_4xx", "http_auth", "http_gone"}
_YOUTUBE_DOMAINS = ("youtube.com", "youtube-nocookie.com", "youtubei.googleapis.com", "googlevideo.com")
_SHOWN_CHARACTERS = 300
_RETRY = {Action.NEVER: Retry.NEVER, Action.LATER: Retry.LATER, Action.SOON: Retry.SOON}


@dataclass(frozen=True)
class Answered:
    """A response with an error status that the client saw during the call."""

    status: int
    host: str
    retry_after_seconds: float | None = None

    @property
    def is_media(self) -> bool:
        """Whether it was a media file that was refused, not a page or an API."""
        return self.host.endswith("googlevideo.com")


@dataclass(frozen=True)
class Failure:
    """What went wrong and what to do about it."""

    reason: str
    action: Action
    message: str
    retry_after_seconds: float | None = None

    @property
    def retry(self) -> Retry:
        """When the item may be tried again; a pause or an abort is no fault of the item."""
        return _RETRY.get(self.action, Retry.SOON)

    @property
    def is_suspect(self) -> bool:
        """Whether the same from several different videos in a row means a block or an outdated yt-dlp."""
        return RULES[self.reason].is_suspect


class Cancelled(DownloadCancelled):  # type: ignore[misc]  # yt_dlp is untyped
    """Our own hooks stopped the download; `reason` is one of the rules."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def classify(error: BaseException | str, log_lines: Sequence[str] = (), answers: Sequence[Answered] = ()) -> Failure:
    """The failure behind an exception (or a bare message), the call's log lines and its error responses."""
    chain = list(_chain(error)) if isinstance(error, BaseException) else []
    message = _tidy(str(error))
    reason = _by_class(chain) or _by_message(str(error))
    if reason is None or RULES[reason].is_vague:
        reason = _by_message(" ".join(str(one) for one in chain[1:])) or reason
    if reason is None or RULES[reason].is_vague:
        reason = _by_answers(answers) or _by_log(log_lines) or _by_status(chain) or reason
        if answers:
            message = f"{answers[-1].host} answered {answers[-1].status}; {message}"
    reason = reason or _by_status(chain) or "unknown"
    if reason in _STATUS_REASONS and _is_from_youtube(message, chain, answers):
        reason = "youtube_4xx"
    return Failure(reason, RULES[reason].action, message, _retry_after(chain, answers))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and everything that it was raised from or wraps, outermost first."""
    waiting: list[BaseException] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        info = getattr(one, "exc_info", None)
        inner = (getattr(one, "cause", None), one.__cause__, info[1] if info else None, one.__context__)
        waiting += [cause for cause in inner if isinstance(cause, BaseException)]


def _by_class(chain: Iterable[BaseException]) -> str | None:
    for one in chain:
        if isinstance(one, Cancelled):
            return one.reason
        if isinstance(one, network.HTTPError):
            if one.status == 429:
                return "rate_limit"
            continue  # the message may know more than the status
        reason = _by_system_error(one)
        for kind, named in _BY_CLASS.items():
            reason = reason or (named if isinstance(one, kind) else None)
        if reason:
            return reason
    return None


def _by_system_error(error: BaseException) -> str | None:
    if isinstance(error, (ssl.SSLCertVerificationError, network.CertificateVerifyError)):
        return "tls"
    if isinstance(error, socket.gaierror):
        return "dns"
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, OSError) and error.errno in _DISK_ERRNOS:
        return "disk"
    if isinstance(error, OSError) and error.errno in _UNREACHABLE_ERRNOS:
        return "dns"
    return None


_BY_CLASS: dict[type[BaseException], str] = {
    GeoRestrictedError: "geo",
    UnsupportedError: "unsupported",
    UserNotLive: "live",
    ContentTooShortError: "truncated",
    network.IncompleteRead: "truncated",
    network.ProxyError: "proxy",
    LayoutChanged: "extractor",
    MemoryError: "memory",
    ConnectionError: "transport",
}


def _by_message(text: str) -> str | None:
    """The first rule that knows the text."""
    return next((reason for reason, pattern in BY_MESSAGE if pattern.search(text)), None)


def _by_log(lines: Sequence[str]) -> str | None:
    """What the call's warnings say, newest first; a 403 there came from the player API, so it is a block."""
    for line in reversed(lines):
        reason = _by_message(line)
        if reason == "http_403":
            return "blocked"
        if reason is not None and not RULES[reason].is_vague:
            return reason
    return None


def _by_answers(answers: Sequence[Answered]) -> str | None:
    """What the statuses say that yt-dlp swallowed: pauses first, then the last one."""
    for answer in answers:
        if answer.status == 429:
            return "rate_limit"
        if answer.status == 403 and not answer.is_media and answer.host.endswith("youtube.com"):
            return "blocked"
    return status_reason(answers[-1].status) if answers else None


def _by_status(chain: Iterable[BaseException]) -> str | None:
    return next((status_reason(one.status) for one in chain if isinstance(one, network.HTTPError)), None)


def _is_from_youtube(message: str, chain: Iterable[BaseException], answers: Sequence[Answered]) -> bool:
    """Whether a status came from YouTube: by the failing response, else the last one, else the extractor's name."""
    hosts = [urlparse(one.response.url).hostname or "" for one in chain if isinstance(one, network.HTTPError)]
    hosts += [answer.host for answer in reversed(answers)]
    if not hosts:
        return message.startswith("[youtube")
    return any(hosts[0] == domain or hosts[0].endswith(f".{domain}") for domain in _YOUTUBE_DOMAINS)


def status_reason(status: int) -> str | None:
    """The reason behind an HTTP status alone."""
    special = {401: "http_auth", 402: "http_auth", 403: "http_403", 404: "http_gone", 408: "timeout"}
    special |= {410: "http_gone", 416: "http_416", 425: "rate_limit", 429: "rate_limit", 451: "http_auth"}
    if status in special:
        return special[status]
    if status >= 500:
        return "http_5xx"
    return "http_4xx" if status >= 400 else None


def _retry_after(chain: Iterable[BaseException], answers: Sequence[Answered]) -> float | None:
    """The longest wait that any response asked for."""
    headers = [one.response.headers for one in chain if isinstance(one, network.HTTPError)]
    waits = [answer.retry_after_seconds for answer in answers] + [retry_after_seconds(one) for one in headers]
    return max((wait for wait in waits if wait), default=None)


def _tidy(message: str) -> str:
    """One line without colours and yt-dlp's request to report it there."""
    line = " ".join(message.replace("\x1b[0;31mERROR:\x1b[0m", "").split()).removeprefix("ERROR: ")
    return line.split("; please report this issue")[0][:_SHOWN_CHARACTERS]
