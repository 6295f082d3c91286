"""Classify the errors of yt-dlp: each gets a reason and an action (never, later, soon, pause or abort).

yt-dlp reports errors in three places, none of them complete: the chain of exceptions (empty for stalls and 5xx), the
message, and the warnings of the same call (which hold the statuses of the player API). The error responses that our
client received are the fourth. They are read in this order; the first specific one decides. The rules are data
(`error_patterns_and_pauses.py`), so that a new message is a new line there.

Messages are read without what others wrote into them (the query with the film's title, ids, addresses, names of
owners), or a film called "I'm Not a Robot" would pause the source. Only the player's own words about one recording may
be permanent: not the text of a search or a list, nor that of a request that failed. A 403 of a page or an API of
YouTube is a block; other error statuses of its hosts follow changes of the site, and concern no recording.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlparse

from yt_dlp.networking import exceptions as network
from yt_dlp.utils import DownloadCancelled

from storage.errors import Retry
from tasks.retry_after_and_backoff import retry_after_seconds
from tasks.soundtracks.download.error_patterns_and_pauses import (
    ABOUT_ONE_RECORDING,
    BY_MESSAGE,
    LISTS,
    RULES,
    Action,
    CallKind,
    reason_of_exception,
)

_STATUS_REASONS = {"http_403", "http_4xx", "http_auth", "http_gone"}
_MISSING_FIELDS = (LookupError, TypeError, AttributeError, json.JSONDecodeError)
"""What an extractor raises when the site no longer sends a field, or sends another type."""
_MAX_MESSAGE_CHARACTERS = 300
_RETRY = {Action.NEVER: Retry.NEVER, Action.LATER: Retry.LATER, Action.SOON: Retry.SOON}
_OTHERS_WORDS = [
    (re.compile(r'query ".*"(?= page \d|:|$)|query ".*?"'), "query"),
    (re.compile(r"https?://\S+"), "URL"),
    (re.compile(r"^(?:ERROR: |WARNING: )?\[[\w:.+-]+\] (?:\S+: )?"), ""),
    (re.compile(r'"[^"]*"|“[^”]*”'), '""'),
    (re.compile(r"(?<!\w)'[^']*[/\\][^']*'(?!\w)"), "'/'"),
    (re.compile(r"(?<=content from ).{1,80}?(?=,? who\b)"), "its owner"),
    (re.compile(r"(?<= claim by ).*|(?<= request by ).*|(?<= complaint by ).*|(?<=on level: ).*"), "its owner"),
    (re.compile(r"may yield HTTP Error \d+"), ""),  # of formats that are left out for want of a token; nothing failed
]
_REQUEST_FAILED = re.compile(
    r"unable to (?:download|extract|parse)|HTTP Error|report this issue|caused by <", re.IGNORECASE
)
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
class Failure:
    """A classified error: its reason and what to do."""

    reason: str
    action: Action
    message: str
    retry_after_seconds: float | None = None
    kind: CallKind = CallKind.PLAYER
    """The kind of call that failed."""

    @property
    def retry(self) -> Retry:
        """When the item may be retried; a pause or an abort does not count against it."""
        return _RETRY.get(self.action, Retry.SOON)

    @property
    def counts_for_breaker(self) -> bool:
        """Whether consecutive failures of several videos mean a block or an outdated yt-dlp."""
        return RULES[self.reason].counts_for_breaker


class Cancelled(DownloadCancelled):  # type: ignore[misc]  # yt_dlp is untyped
    """Our own hooks stopped the download; `reason` is a key of `RULES`."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def classify(
    error: BaseException | str,
    log_lines: Sequence[str] = (),
    responses: Sequence[ErrorResponse] = (),
    kind: CallKind = CallKind.PLAYER,
    subjects: Collection[str] = (),
) -> Failure:
    """Return the failure behind an exception (or a message), with the log lines and error responses of its call.

    `subjects` are texts of ours that the message may repeat: the query, the id.
    """
    chain = list(_chain(error)) if isinstance(error, BaseException) else []
    message, text = _tidy(str(error)), own_words(str(error), subjects)
    may_condemn = kind in ABOUT_ONE_RECORDING and not _is_a_request_failing(text, chain)
    reason = _by_class(chain, may_condemn) or _by_message(text, may_condemn)
    if reason is None or RULES[reason].is_vague:
        inner = own_words(" ".join(str(one) for one in chain[1:]), subjects)
        reason = _by_message(inner, may_condemn) or reason
    if reason is None or RULES[reason].is_vague:
        lines = [own_words(line, subjects) for line in log_lines]
        reason = by_responses(responses) or _by_log(lines) or by_status(chain) or reason
        if responses:
            message = f"{responses[-1].host} answered {responses[-1].status}; {message}"
    reason = reason or by_status(chain) or ("unresolved_list" if kind in LISTS else None)
    if reason is None:
        reason = "extractor" if any(isinstance(one, _MISSING_FIELDS) for one in chain) else "unknown"
    if reason in _STATUS_REASONS and is_from_youtube(message, chain, responses):
        reason = reason_of_youtube(reason, text, chain, responses)
    return Failure(reason, RULES[reason].action, message, retry_after(chain, responses), kind)


def own_words(message: str, subjects: Collection[str] = ()) -> str:
    """Return a message without what others wrote into it: the query, ids, addresses, paths and names of owners."""
    text = " ".join(message.split())
    for subject in sorted(filter(None, subjects), key=len, reverse=True):
        text = text.replace(f'query "{subject}"', "query").replace(subject, "it")
    for pattern, replacement in _OTHERS_WORDS:
        text = pattern.sub(replacement, text)
    return text


def _is_a_request_failing(text: str, chain: Iterable[BaseException]) -> bool:
    """Return whether a request or its parsing failed, so that the message is not the player's words."""
    return bool(_REQUEST_FAILED.search(text)) or any(isinstance(one, network.RequestError) for one in chain)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the exception and all exceptions that it was raised from or wraps, outermost first."""
    queue: list[BaseException] = [error]
    seen: set[int] = set()
    while queue:
        one = queue.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        info = getattr(one, "exc_info", None)
        inner = (getattr(one, "cause", None), one.__cause__, info[1] if info else None, one.__context__)
        queue += [cause for cause in inner if isinstance(cause, BaseException)]


def _by_class(chain: Iterable[BaseException], may_condemn: bool) -> str | None:
    for one in chain:
        if isinstance(one, Cancelled):
            return one.reason
        if isinstance(one, network.HTTPError):
            if one.status == 429:
                return "rate_limit"
            continue  # the message may be more specific than the status
        reason = reason_of_exception(one)
        if reason and (may_condemn or not _condemns(reason)):
            return reason
    return None


def _condemns(reason: str) -> bool:
    """Return whether a reason is the player's own: the checks of this program have no words of others."""
    return RULES[reason].action is Action.NEVER and bool(RULES[reason].words) and reason != "too_large"


def _by_message(text: str, may_condemn: bool) -> str | None:
    """Return the first reason whose pattern matches the text, a permanent one only if the text may condemn."""
    matching = (reason for reason, pattern in BY_MESSAGE if pattern.search(text))
    return next((reason for reason in matching if may_condemn or not _condemns(reason)), None)


def _by_log(lines: Sequence[str]) -> str | None:
    """Return the reason in the call's warnings, newest first; a 403 there is from the player API, so it is a block."""
    for line in reversed(lines):
        reason = _by_message(line, may_condemn=False)
        if reason == "http_403":
            return "http_403" if OF_THE_MEDIA.search(line) else "blocked"
        if reason is not None and not RULES[reason].is_vague:
            return reason
    return None


def _tidy(message: str) -> str:
    """Return a message as one line, without colours and without yt-dlp's request to report the error."""
    line = " ".join(message.replace("\x1b[0;31mERROR:\x1b[0m", "").split()).removeprefix("ERROR: ")
    return line.split("; please report this issue")[0][:_MAX_MESSAGE_CHARACTERS]


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
