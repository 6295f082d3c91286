"""Use yt-dlp as a library, without the defaults that lose errors or bytes.

One client per worker is reused, so that the player's JavaScript and its solved challenges stay cached. yt-dlp's
defaults would not retry, skip missing HLS segments silently, append to a `.part` file of another format, return from
`max_filesize` and from filters without an error and without a file, and never end a very slow download. A finished
file is accepted only after `verify_audio`.

Before a run that downloads, what yt-dlp needs on this machine is checked, and how old yt-dlp is.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

from yt_dlp import YoutubeDL
from yt_dlp.dependencies import yt_dlp_ejs
from yt_dlp.extractor.youtube import YoutubeSearchURLIE as YouTubeSearch
from yt_dlp.globals import supported_js_runtimes
from yt_dlp.networking.common import Request
from yt_dlp.networking.exceptions import HTTPError
from yt_dlp.version import __version__ as yt_dlp_version

from storage.errors import InputError, SourcePaused
from tasks.retry_after_and_backoff import retry_after_seconds
from tasks.soundtracks.download.error_classification import Cancelled, ErrorResponse, Failure, classify
from tasks.soundtracks.download.error_patterns_and_pauses import CallKind
from tasks.soundtracks.download.throttle_and_breaker import Pace

MAX_BYTES = 64 << 20
"""Fifteen minutes at ten times the bit rate of a music stream: no larger file is a recording of a soundtrack."""
MAX_DOWNLOAD_SECONDS = 600.0
MAX_ENTRIES = 40
"""Entries that are read of a search or an album; later ones are never better."""
MAX_BYTES_PER_SECOND = 2_000_000
READ_BYTES = 16_384
"""A fixed small block: with growing blocks the progress hook sees a slow download only after minutes."""
FORMAT = "bestaudio[protocol^=http]/bestaudio/best[height<=?480]"
EXTRACTORS = ["^youtube$", "^youtube:search$", "^youtube:search_url$", "^youtube:tab$", "^generic$"]
"""The only extractors that are loaded; loading all 1,747 takes fifty times as long."""
PLAYLISTS_ONLY = "EgIQAw"
"""Begins the site's code for a search that lists playlists only."""
PLUGINS_SETTING = "NEEDLEDROP_YTDLP_PLUGINS"
"""Plugins of yt-dlp are code from anywhere on the Python path: they are loaded only if this variable is 1."""

log = logging.getLogger(__name__)

MatchFilter = Callable[[dict[str, Any]], str | None]
"""Receives a recording's metadata before its media is requested; returns why it is rejected, or None."""
MAX_AGE_DAYS = 45
"""YouTube changes every few weeks; an outdated release is the usual cause of errors."""
RUNTIME = "deno"


class CallFailed(Exception):
    """A call failed; `failure` is the classified error."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class FilteredOut(Exception):
    """The match filter rejected the recording after its page was read; `info` is the page's metadata."""

    def __init__(self, reason: str, info: dict[str, Any]) -> None:
        super().__init__(reason)
        self.reason = reason
        self.info = info


def disable_plugins() -> None:
    """Disable yt-dlp's plugins unless `PLUGINS_SETTING` is 1; call before the first client of the process."""
    if os.environ.get(PLUGINS_SETTING) != "1":
        os.environ["YTDLP_NO_PLUGINS"] = "1"


@dataclass
class _Call:
    """The state of one call: its kind, subjects, warnings, error responses and match filter."""

    kind: CallKind = CallKind.PLAYER
    subjects: frozenset[str] = frozenset()
    log_lines: list[str] = field(default_factory=list)
    responses: list[ErrorResponse] = field(default_factory=list)
    rejection: str | None = None
    rejected_info: dict[str, Any] = field(default_factory=dict)
    match_filter: MatchFilter | None = None
    download_started: float | None = None


def kind_of(url: str) -> CallKind:
    """Return the kind of call for an address: a search, a search for playlists, a playlist, or a recording's page."""
    path = urlparse(url).path
    if PLAYLISTS_ONLY in url:
        return CallKind.LIST_SEARCH
    if url.startswith("ytsearch") or path == "/results":
        return CallKind.SEARCH
    return CallKind.LIST if path == "/playlist" else CallKind.PLAYER


def _subjects(url: str) -> frozenset[str]:
    """Return the query and the ids in an address: errors repeat them, and they are nobody's verdict."""
    if url.startswith("ytsearch"):
        return frozenset({url.partition(":")[2]})
    named = parse_qs(urlparse(url).query)
    return frozenset(value for name in ("search_query", "v", "list") for value in named.get(name, ()))


class _Client(YoutubeDL):  # type: ignore[misc]  # yt_dlp is untyped
    """yt-dlp with a hook before every request and a record of every error response."""

    client: YtDlpClient

    def urlopen(self, request: Any) -> Any:
        self.client.on_request()
        try:
            return super().urlopen(request)
        except HTTPError as error:
            host = urlparse(error.response.url).hostname or ""
            wait = retry_after_seconds(error.response.headers)
            self.client.call.responses.append(ErrorResponse(error.status, host, wait))
            raise


class YoutubeSearchURLIE(YouTubeSearch):  # type: ignore[misc]  # yt_dlp is untyped
    """The search of yt-dlp, which knows albums too; yt-dlp finds an extractor by the name of its class.

    YouTube lists albums as playlists or with a type of their own, which yt-dlp 2026.10.26 warns of and leaves out.
    """

    def _extract_lockup_view_model(self, view_model: dict[str, Any]) -> Any:
        if view_model.get("contentType") == "LOCKUP_CONTENT_TYPE_ALBUM":
            view_model = {**view_model, "contentType": "LOCKUP_CONTENT_TYPE_PLAYLIST"}
        return super()._extract_lockup_view_model(view_model)


class YtDlpClient:
    """List and download with yt-dlp, one call at a time. Not thread-safe."""

    def __init__(
        self,
        cache_folder: Path,
        pace: Pace | None = None,
        on_request: Callable[[], None] = lambda: None,
        max_download_seconds: float = MAX_DOWNLOAD_SECONDS,
        max_bytes: int = MAX_BYTES,
        socket_timeout_seconds: float = 20.0,
    ) -> None:
        self.pace = pace or Pace()
        self.on_request = on_request
        self.call = _Call()
        self._max_download_seconds = max_download_seconds
        self._max_bytes = max_bytes
        disable_plugins()
        self._client = _Client(self._options(cache_folder, socket_timeout_seconds))
        self._client.client = self
        self._client.add_info_extractor(YoutubeSearchURLIE())

    def _options(self, cache_folder: Path, socket_timeout_seconds: float) -> dict[str, Any]:
        min_wait, max_wait = self.pace.before_download_seconds
        return {
            "format": FORMAT,
            "fixup": "never",  # a remux would depend on the ffmpeg of this machine
            "outtmpl": "%(id)s.%(format_id)s.%(ext)s",  # with the format, or parts of two formats are joined
            "restrictfilenames": True,
            "overwrites": False,
            "continuedl": True,
            "updatetime": False,
            "noplaylist": True,
            "ignoreerrors": False,
            "skip_unavailable_fragments": False,
            "retries": 3,
            "fragment_retries": 3,
            "file_access_retries": 3,
            "extractor_retries": 2,
            "retry_sleep_functions": dict.fromkeys(("http", "fragment", "extractor"), self._retry_wait),
            "socket_timeout": socket_timeout_seconds,
            "sleep_interval_requests": self.pace.between_requests_seconds * self.pace.factor,
            "sleep_interval": min_wait * self.pace.factor,
            "max_sleep_interval": max_wait * self.pace.factor,
            "ratelimit": MAX_BYTES_PER_SECOND,
            "noresizebuffer": True,
            "buffersize": READ_BYTES,
            "max_filesize": self._max_bytes,
            "match_filter": self._match,
            "progress_hooks": [self._on_progress],
            "allowed_extractors": EXTRACTORS,
            "cachedir": str(cache_folder / "yt-dlp"),
            "logger": _Logger(self),
            "quiet": True,
            "noprogress": True,
            "color": "never",
            "js_runtimes": {"deno": {}},
            "remote_components": [],
            "extract_flat": "in_playlist",
            "playlistend": MAX_ENTRIES,
        }

    def _retry_wait(self, n: int) -> float:  # yt-dlp passes the attempt as `n`
        return self.pace.retry_wait(n)

    def entries(self, url: str) -> dict[str, Any]:
        """Return a search, an album or a feed, with its `entries` as listed. Raises `CallFailed`."""
        self.call = _Call(kind_of(url), _subjects(url))
        info = self._extract(url, download=False)
        info["entries"] = [entry for entry in info.get("entries") or () if entry]
        for line in dict.fromkeys(self.call.log_lines):  # what a list leaves out is known only from here
            log.warning("yt-dlp: %s", line)
        return info

    def first_bytes(self, info: dict[str, Any], count: int) -> bytes:
        """Return the first bytes of a recording whose metadata `entries` gave. Raises `CallFailed`."""
        self.call = _Call()
        headers = {**(info.get("http_headers") or {}), "Range": f"bytes=0-{count - 1}"}
        try:
            with self._client.urlopen(Request(str(info["url"]), headers=headers)) as response:
                return bytes(response.read(count))
        except SourcePaused:
            raise
        except Exception as error:  # as in `_extract`
            raise CallFailed(classify(error, self.call.log_lines, self.call.responses)) from error

    def download(self, url: str, folder: Path, match_filter: MatchFilter) -> tuple[dict[str, Any], Path]:
        """Download one recording into its own folder, or resume its partial download there.

        Returns the source's metadata and the file. Raises `FilteredOut`, `CallFailed`.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.call = _Call(CallKind.PLAYER, _subjects(url), match_filter=match_filter)
        self._client.params["paths"] = {"home": str(folder)}
        info = self._extract(url, download=True)
        if self.call.rejection is not None:
            raise FilteredOut(self.call.rejection, self.call.rejected_info)
        [download, *_] = info.get("requested_downloads") or [{}]
        path = Path(download["filepath"]) if download.get("filepath") else None
        if path is None or not path.is_file():  # beyond `max_filesize` yt-dlp returns without an error
            raise CallFailed(self._classify(Cancelled("too_large", f"{url} is larger than {self._max_bytes >> 20} MB")))
        return info, path

    def _extract(self, url: str, *, download: bool) -> dict[str, Any]:
        try:
            info = self._client.extract_info(url, download=download)
        except SourcePaused:
            raise
        except Exception as error:  # extractors raise whatever a changed page makes them raise
            raise CallFailed(self._classify(error)) from error
        if info is None:
            raise CallFailed(self._classify(f"yt-dlp returned nothing for {url}"))
        return dict(self._client.sanitize_info(info))

    def _classify(self, error: BaseException | str) -> Failure:
        call = self.call
        return classify(error, call.log_lines, call.responses, call.kind, call.subjects)

    def _match(self, info: dict[str, Any], *, incomplete: bool | set[str] = False) -> str | None:
        """Apply the match filter to complete pages of recordings; lists and their entries always pass."""
        if incomplete or self.call.match_filter is None or not info.get("id"):
            return None
        if info.get("_type", "video") != "video":
            return None
        self.call.rejection = self.call.match_filter(info)
        if self.call.rejection is not None:
            self.call.rejected_info = dict(info)
        else:
            self.call.kind = CallKind.MEDIA  # the page was read; what follows is the media
        return self.call.rejection

    def _on_progress(self, progress: dict[str, Any]) -> None:
        if progress["status"] != "downloading":
            return
        now = time.monotonic()
        self.call.download_started = self.call.download_started or now  # without the wait before the download
        if now - self.call.download_started > self._max_download_seconds:
            raise Cancelled("deadline", f"Not downloaded in {self._max_download_seconds:.0f} s")
        if (progress.get("downloaded_bytes") or 0) > self._max_bytes:
            raise Cancelled("too_large", f"Larger than {self._max_bytes >> 20} MB")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


class _Logger:
    """Collects the warnings of the current call."""

    def __init__(self, client: YtDlpClient) -> None:
        self._client = client

    def debug(self, message: str) -> None:
        """Ignore the message."""

    info = debug

    def warning(self, message: str) -> None:
        """Keep the message: it may hold the status that the exception lost."""
        self._client.call.log_lines.append(message)

    error = warning


@dataclass(frozen=True)
class Readiness:
    """The versions that a run will use. `runtime` is the JavaScript runtime with its version."""

    yt_dlp_version: str
    age_days: int
    runtime: str

    @property
    def warning(self) -> str | None:
        """The warning to print before the run, or None."""
        if self.age_days <= MAX_AGE_DAYS:
            return None
        return (
            f"yt-dlp {self.yt_dlp_version} is {self.age_days} days old; most errors are caused by old releases: "
            "upgrade yt-dlp and yt-dlp-ejs"
        )


def check_readiness(today: date | None = None) -> Readiness:
    """Find the JavaScript runtime and the solver of yt-dlp. Raises `InputError` with what to install."""
    disable_plugins()
    info = supported_js_runtimes.value[RUNTIME]().info  # looks for the executable next to this Python, then on PATH
    if info is None or not info.supported:
        problem = f"{RUNTIME} {info.version} is too old" if info else f"{RUNTIME} is not installed"
        raise InputError(f"yt-dlp needs a JavaScript runtime for YouTube, but {problem}; run: pip install 'deno>=2.3'")
    if yt_dlp_ejs is None:
        raise InputError("yt-dlp's solver scripts are missing; run: pip install yt-dlp-ejs")
    released = datetime.strptime(".".join(yt_dlp_version.split(".")[:3]), "%Y.%m.%d").replace(tzinfo=UTC).date()
    age_days = ((today or datetime.now(UTC).date()) - released).days
    return Readiness(yt_dlp_version, age_days, f"{RUNTIME} {info.version}")
