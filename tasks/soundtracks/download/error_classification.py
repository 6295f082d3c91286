"""Classify the errors of yt-dlp: each gets a reason and an action (never, later, soon, pause or abort).

yt-dlp reports errors in three places, none of them complete: the chain of exceptions (empty for stalls and 5xx), the
message, and the warnings of the same call (which hold the statuses of the player API). The error responses that our
client received are the fourth. They are read in this order; the first specific one decides. The rules are data
(`error_rules.py`), so that a new message is a new line there.

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

from yt_dlp.networking import exceptions as network
from yt_dlp.utils import DownloadCancelled

from storage.errors import Retry
from tasks.soundtracks.download.error_rules import (
    ABOUT_ONE_RECORDING,
    BY_MESSAGE,
    LISTS,
    RULES,
    Action,
    CallKind,
    reason_of_exception,
)
from tasks.soundtracks.download.http_statuses import (
    OF_THE_MEDIA,
    ErrorResponse,
    by_responses,
    by_status,
    is_from_youtube,
    reason_of_youtube,
    retry_after,
)

_STATUS_REASONS = {"http_403", "http_4xx", "http_auth", "http_gone"}
_MISSING_FIELDS = (LookupError, TypeError, AttributeError, json.JSONDecodeError)
"""What an extractor raises when the site no longer sends a field, or sends another type."""
_MAX_MESSAGE_CHARACTERS = 300
_RETRY = {Action.NEVER: Retry.NEVER, Action.LATER: Retry.LATER, Action.SOON: Retry.SOON}


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


def own_words(message: str, subjects: Collection[str] = ()) -> str:
    """Return a message without what others wrote into it: the query, ids, addresses, paths and names of owners."""
    text = " ".join(message.split())
    for subject in sorted(filter(None, subjects), key=len, reverse=True):
        text = text.replace(f'query "{subject}"', "query").replace(subject, "it")
    for pattern, replacement in _OTHERS_WORDS:
        text = pattern.sub(replacement, text)
    return text


_REQUEST_FAILED = re.compile(
    r"unable to (?:download|extract|parse)|HTTP Error|report this issue|caused by <", re.IGNORECASE
)


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
