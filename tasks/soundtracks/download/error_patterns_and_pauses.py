"""List the kinds of failures: reason, action, the pattern of their messages, and the exceptions that state them.

The order matters: rules for the whole source precede rules for one video, and specific patterns precede vague ones.
The patterns were collected from yt-dlp's source and from YouTube's messages; apostrophes may be straight or curly.
A message that matches no rule is `unknown`: it is retried soon, and later with growing waits.

A permanent failure comes only from the player's own words about one recording, and from our own checks of its file. An
HTTP status, a field that the site no longer sends and a list that does not open say nothing about a recording.
"""

from __future__ import annotations

import errno
import re
import socket
import ssl
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from yt_dlp.networking import exceptions as network
from yt_dlp.utils import ContentTooShortError, GeoRestrictedError, RegexNotFoundError, UnsupportedError, UserNotLive


class CallKind(StrEnum):
    """The kinds of call to a source; each has its own counter of consecutive failures and its own pauses."""

    SEARCH = "search"
    LIST_SEARCH = "list_search"
    """A search for playlists."""
    LIST = "list"
    """The entries of a playlist."""
    PLAYER = "player"
    """The page and the player of one recording."""
    MEDIA = "media"
    """The audio of one recording."""
    ALBUM_SEARCH = "album_search"
    """A search for albums in the music catalogue."""
    ALBUM = "album"
    """One album's page in the music catalogue."""


LISTS = frozenset({CallKind.LIST, CallKind.ALBUM})
ABOUT_ONE_RECORDING = frozenset({CallKind.PLAYER, CallKind.MEDIA})


class Action(StrEnum):
    """What to do after a failure."""

    NEVER = "never"
    """A permanent failure of this recording; the film's next candidate is tried."""
    LATER = "later"
    """Retry at a later run, with growing waits; its film stops waiting for it after three runs."""
    SOON = "soon"
    """Retry in this run with exponential backoff; then as `LATER`."""
    PAUSE = "pause"
    """Pause the source; no attempt of the recording is counted."""
    ABORT = "abort"
    """Abort the run: this machine has no space or memory left."""


@dataclass(frozen=True)
class Rule:
    """One kind of failure."""

    action: Action
    words: str = ""
    """Pattern of its messages, case-insensitive; empty if only an exception class or a status identifies it."""
    counts_for_breaker: bool = False
    """Consecutive failures of five different items mean a block, or a change of the site that yt-dlp cannot read."""
    is_vague: bool = False
    """Vague: the log lines and responses of the call take precedence."""
    first_pause: timedelta = timedelta()
    longest_pause: timedelta = timedelta()
    """Consecutive pauses double up to this."""


_A = r"['’‘]?"
_HOUR, _MINUTE = timedelta(hours=1), timedelta(minutes=1)
_COUNTRY = r"(?:country|region|location|territory|jurisdiction|area)"


def _pause(words: str, first: timedelta, longest: timedelta) -> Rule:
    return Rule(Action.PAUSE, words, first_pause=first, longest_pause=longest)


RULES: dict[str, Rule] = {
    # Whole source
    "bot": _pause(
        rf"not a (?:ro)?bot\b|you{_A}re (?:a )?human|\bcaptcha|unusual traffic"
        rf"|automated (?:queries|requests|traffic)"
        r"|(?:detected|flagged|identified) as (?:a )?(?:ro)?bot\b"
        rf"|IP(?: address)? (?:is|has been|was)[^.]*(?:block|ban)|block(?:ed|s|ing)? (?:this|your) IP"
        rf"|suspicious (?:activity|traffic)",
        6 * _HOUR,
        72 * _HOUR,
    ),
    "rate_limit": _pause(
        rf"content isn{_A}t available,? (?:please )?try again later|rate[- ]?limit|\b429\b|too many requests"
        rf"|quota (?:has been )?exceeded|request limit|slow down|sending requests too",
        65 * _MINUTE,
        6 * _HOUR,
    ),
    "cookies": _pause(
        r"cookies are (?:no longer|not) valid|account cookies|cookies have (?:been rotated|expired)",
        24 * _HOUR,
        72 * _HOUR,
    ),
    "blocked": _pause("", 6 * _HOUR, 72 * _HOUR),
    "tls": _pause(
        r"certificate[_ ]verif|self[- ]signed certificate|certificate has expired", 2 * _MINUTE, 30 * _MINUTE
    ),
    "dns": _pause(
        r"failed to resolve(?! (?:url|album)\b)|name resolution|name or service not known"
        r"|nodename nor servname|getaddrinfo"
        r"|network is (?:unreachable|down)|no route to host|no address associated",
        2 * _MINUTE,
        30 * _MINUTE,
    ),
    "proxy": _pause(
        r"unable to connect to proxy|proxy (?:error|authentication)|tunnel connection failed|SOCKS",
        2 * _MINUTE,
        30 * _MINUTE,
    ),
    "outdated_extractor": _pause("", 24 * _HOUR, 24 * _HOUR),
    "changed_layout": _pause("", 24 * _HOUR, 72 * _HOUR),
    # Local machine
    "disk": Rule(
        Action.ABORT,
        r"no space left|disk quota|read-only file system|unable to open for writing"
        r"|unable to (?:write|rename|create)"
        r"(?: data| file| directory)|permission denied: ['\"/]|too many open files|file name too long",
    ),
    "memory": Rule(Action.ABORT, r"cannot allocate memory|\bMemoryError\b"),
    # One list
    "unresolved_list": Rule(
        Action.LATER,
        r"failed to resolve (?:url|album)\b|unable to (?:recognize|find) (?:selected )?(?:tab|playlist)"
        r"|\b(?:playlist|album)\b[^.]{0,40}\b(?:does not exist|is private|is unavailable|was deleted|not found)"
        r"|\bprivate playlist",
        counts_for_breaker=True,
        is_vague=True,
    ),
    # One video, permanent: the player's own words about it
    "private": Rule(
        Action.NEVER,
        r"private (?:video|content)|(?:video|content|this) is private|made (?:it|this video) private"
        r"|set to private|protected by a password|password[- ]protected|--video-password",
    ),
    "members": Rule(
        Action.NEVER,
        r"members?[- ]only|join this channel|channel members|music premium"
        r"|youtube premium|premium (?:members|subscribers|users|account)"
        r"|subscribers?[- ]only|available (?:only )?to (?:this channel|paying|patrons|subscribers)",
    ),
    "paid": Rule(
        Action.NEVER,
        r"requires? (?:a )?(?:payment|purchase|rental)|must (?:buy|rent|purchase)"
        r"|(?:buy|rent|purchase) (?:this|to watch)|pay[- ]?per[- ]?view"
        r"|only available (?:for|to) registered|paid (?:content|video)|behind a paywall",
    ),
    "drm": Rule(Action.NEVER, r"\bDRM\b"),
    "age": Rule(
        Action.NEVER,
        r"confirm your age|verify your age|age[- ](?:restrict|verif|gate|limit)"
        r"|inappropriate (?:or offensive )?(?:for|to) some|identified[^.]{0,40} as inappropriate|adult content"
        r"|(?:over|least|under) 18|18 (?:years|or older|\+)|mature (?:audiences?|content)"
        r"|viewer discretion|suicide or self-harm",
    ),
    "geo": Rule(
        Action.NEVER,
        r"(?:available|block\w*|restrict\w*|viewable|playable|licensed)\b[^.]{0,60}"
        rf"\b(?:your|this|some|certain|the following) {_COUNTRY}"
        rf"|geo[- ]?(?:block|restrict)|from your {_COUNTRY}|outside (?:of )?(?:your|the) {_COUNTRY}"
        rf"|region[- ]lock",
    ),
    "copyright": Rule(
        Action.NEVER,
        r"copyright|trademark (?:claim|infring)|DMCA|legal (?:complaint|reasons|request)|court order"
        r"|content from .{1,80} who has blocked it",
    ),
    "removed": Rule(
        Action.NEVER,
        r"\b(?:video|(?<!your )account|channel|content|clip|track|user)\b[^.]{0,60}"
        r"\b(?:remov|terminat|delet|suspend|taken down)|\b(?:account|channel)\b[^.]{0,30}\bclosed"
        r"|removed (?:by|for|because)|closed (?:their|his|her|its)"
        r"|(?<!\bapp is )(?<!\bbrowser is )"
        r"no longer (?:exists?|available(?! (?:in|on) (?:this|your) (?:app|browser|device)))"
        r"|does(?:n['’]t| not) exist|violat(?:es|ed|ing)"
        r"|violations? of (?:our|the|you|this|its|terms|community|policy)"
        r"|\bvideo (?:was |could )?not (?:be )?found|has been (?:removed|deleted|taken down)",
    ),
    # One video, temporary
    "live": Rule(
        Action.LATER,
        r"premier(?:es?|ing) (?:in|will|at|on)|premiere (?:has not|hasn|will)"
        r"|live[- ]?(?:event|stream)s?\b|not currently live|is (?:currently )?offline"
        r"|\boffline\W*$"
        r"|is live\b|will (?:begin|start) (?:in|at|soon|shortly)|still being processed"
        r"|processing this video|upcoming",
    ),
    # The site as a whole says so too, to an address that it distrusts
    "needs_login": Rule(
        Action.LATER,
        r"please (?:sign|log) in|(?:sign|log)[- ]?in (?:required|to (?:view|watch|continue|see))|login (?:is )?required"
        r"|requires? (?:authentication|(?:a )?log ?in)|(?:use|pass|provide).{0,20}--cookies",
        counts_for_breaker=True,
    ),
    "restricted": Rule(Action.LATER, r"video is restricted|administrator|workspace"),
    "unsupported": Rule(
        Action.LATER,
        r"unsupported url|is not a valid url|no suitable (?:extractor|InfoExtractor)"
        r"|unsupported url scheme|file:// URLs|looks truncated|does not have an? [\w ]{1,20} tab",
    ),
    "reload": Rule(
        Action.SOON,
        r"needs? to be reloaded|reload the page|(?:not |no longer |isn['’]t |un)available on this (?:app|device)"
        r"|no longer supported (?:in|on) this (?:app|device)"
        r"|update (?:the|your) app|playback (?:on other|id|error)",
        counts_for_breaker=True,
    ),
    "no_format": Rule(
        Action.SOON,
        r"requested format (?:is )?not available|only images are available"
        r"|no (?:playable|audio) (?:streams?|formats?)",
        counts_for_breaker=True,
    ),
    "timeout": Rule(Action.SOON, r"(?<!gateway )time[d]?[- ]?out"),
    "truncated": Rule(
        Action.SOON,
        r"bytes read, \d+ more expected|incomplete ?read|content too short"
        r"|did not get any data|downloaded file is empty|fragments? (?:\d+ )?not found"
        r"|expected \d+ bytes"
        r"|unable to download (?:\w+ )?fragment|premature(?:ly)? (?:end|close)",
    ),
    "http_gone": Rule(Action.LATER, r"HTTP Error (?:404|410)|\b404\b[: ]+not found"),
    "media_gone": Rule(Action.LATER, counts_for_breaker=True),
    "http_auth": Rule(Action.LATER, r"HTTP Error (?:401|402|451)|unauthori[sz]ed"),
    "http_403": Rule(Action.SOON, r"HTTP Error 403|\b403\b[: ]+forbidden", counts_for_breaker=True),
    "http_416": Rule(Action.SOON, r"HTTP Error 416|conflicting range|range not satisfiable"),
    "http_5xx": Rule(
        Action.SOON,
        r"HTTP Error 5\d\d|internal server error|bad gateway|service (?:temporarily )?unavailable"
        r"|gateway time",
    ),
    "http_4xx": Rule(Action.LATER, r"HTTP Error 4\d\d"),
    "youtube_4xx": Rule(Action.SOON, counts_for_breaker=True),
    "transport": Rule(
        Action.SOON,
        r"connection (?:was )?(?:refused|reset|aborted|closed|broken|lost)"
        r"|remote end closed|\bSSL\b|EOF occurred|failed to establish"
        r"|broken pipe|server disconnected|bad status ?line|unable to connect"
        r"|redirect loop|too many redirects|exceeded \d+ redirects",
    ),
    "unavailable": Rule(
        Action.LATER,
        r"(?:video|content|track|playlist|media|stream|item|episode|song|this)\b[^.]{0,30}"
        rf"\b(?:unavailable|not available|isn{_A}t available|cannot be played)"
        r"|^\W*unavailable|temporarily unavailable|try again later|is unviewable",
    ),
    "extractor": Rule(
        Action.SOON,
        r"report this issue|failed to (?:extract|parse|decode)|no video formats"
        r"|unable to (?:extract|parse)|signature (?:extraction|solving)"
        r"|nsig|n challenge"
        r"|challenge solving|unexpected (?:response|data|error)|JSONDecodeError"
        r"|extractor error|KeyError|player response",
        counts_for_breaker=True,
        is_vague=True,
    ),
    # Own checks
    "too_large": Rule(Action.NEVER, r"larger than max-filesize"),
    "deadline": Rule(Action.SOON),
    "bad_audio": Rule(Action.SOON),
    "not_wanted": Rule(Action.NEVER),
    "unknown": Rule(Action.SOON, is_vague=True),
}

BY_MESSAGE = [(reason, re.compile(rule.words, re.IGNORECASE)) for reason, rule in RULES.items() if rule.words]

_DISK_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE}
_UNREACHABLE_ERRNOS = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN}
_REASONS_BY_CLASS: dict[type[BaseException], str] = {
    GeoRestrictedError: "geo",
    UnsupportedError: "unsupported",
    UserNotLive: "live",
    ContentTooShortError: "truncated",
    network.IncompleteRead: "truncated",
    network.ProxyError: "proxy",
    RegexNotFoundError: "extractor",
    MemoryError: "memory",
    ConnectionError: "transport",
}


def reason_of_exception(error: BaseException) -> str | None:
    """Return the reason that the class of an exception, or the error number of the system, states."""
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
    return next((reason for kind, reason in _REASONS_BY_CLASS.items() if isinstance(error, kind)), None)
