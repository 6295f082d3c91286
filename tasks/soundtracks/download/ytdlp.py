"""yt-dlp as a library, with every default that loses errors or bytes turned round.

One object a worker, reused, so that the player's JavaScript and its solved challenges stay cached. Each
option below answers a trap that was run into: retries default to 0, missing HLS segments are skipped in
silence, a `.part` of another rendition is spliced, `max_filesize` and filters return without an error and
without a file, a trickle is never noticed. A finished file is believed only after `verify_audio`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from yt_dlp import YoutubeDL
from yt_dlp.networking.exceptions import HTTPError

from storage.errors import SourcePaused
from tasks.backoff import backoff_seconds, retry_after_seconds
from tasks.soundtracks.download.errors import Answered, Cancelled, Failure, classify

LARGEST_BYTES = 64 << 20
"""Fifteen minutes at ten times the bit rate of a music stream: anything larger is something else."""
LONGEST_DOWNLOAD_SECONDS = 600.0
LISTED_ENTRIES = 40
"""A search's or an album's first entries; later hits are never better."""
RATE_BYTES_A_SECOND = 2_000_000
READ_BYTES = 16_384
"""Read in small fixed blocks: with growing ones a trickle reaches the hook only after minutes."""
FORMAT = "bestaudio[protocol^=http]/bestaudio/best[height<=?480]"
EXTRACTORS = ["^youtube$", "^youtube:search$", "^youtube:search_url$", "^youtube:tab$", "^generic$"]
"""The only ones that may act; loading all 1,747 costs fifty times as long."""
PLUGINS_SETTING = "NEEDLEDROP_YTDLP_PLUGINS"
"""Plugins of yt-dlp are code from anywhere on the path: they run only if this variable is 1."""

Wanted = Callable[[dict[str, Any]], str | None]
"""Told what the source says of a recording, before its media is asked for; a string is why it is not wanted."""


class CallFailed(Exception):
    """A call ended in a failure that has been classified."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class FilteredOut(Exception):
    """`wanted` refused the recording after its page was read; `info` is what the page said."""

    def __init__(self, reason: str, info: dict[str, Any]) -> None:
        super().__init__(reason)
        self.reason = reason
        self.info = info


def keep_plugins_out() -> None:
    """Before the first client of this process: no plugin is loaded unless the person's setting says so."""
    if os.environ.get(PLUGINS_SETTING) != "1":
        os.environ["YTDLP_NO_PLUGINS"] = "1"


@dataclass(frozen=True)
class Pace:
    """How long to wait, multiplied by `factor`; below 1 only for servers of one's own."""

    factor: float = 1.0
    between_requests_seconds: float = 0.75
    before_download_seconds: tuple[float, float] = (10.0, 20.0)

    def retry_wait(self, attempt: int) -> float:
        """Return the seconds before retry number `attempt` (from 0)."""
        return self.factor * backoff_seconds(attempt)


@dataclass
class _Call:
    """What one call showed beside its result."""

    log_lines: list[str] = field(default_factory=list)
    answers: list[Answered] = field(default_factory=list)
    refusal: str | None = None
    refused: dict[str, Any] = field(default_factory=dict)
    wanted: Wanted | None = None
    download_started: float | None = None


class _Client(YoutubeDL):  # type: ignore[misc]  # yt_dlp is untyped
    """yt-dlp, telling of every request and every refusal."""

    client: YtDlpClient

    def urlopen(self, request: Any) -> Any:
        self.client.on_request()
        try:
            return super().urlopen(request)
        except HTTPError as error:
            host = urlparse(error.response.url).hostname or ""
            wait = retry_after_seconds(error.response.headers)
            self.client.call.answers.append(Answered(error.status, host, wait))
            raise


class YtDlpClient:
    """Lists and downloads, one call after the other. Not to be shared between threads."""

    def __init__(
        self,
        cache_folder: Path,
        pace: Pace | None = None,
        on_request: Callable[[], None] = lambda: None,
        longest_download_seconds: float = LONGEST_DOWNLOAD_SECONDS,
        socket_timeout_seconds: float = 20.0,
    ) -> None:
        self.pace = pace or Pace()
        self.on_request = on_request
        self.call = _Call()
        self._longest_download_seconds = longest_download_seconds
        keep_plugins_out()
        self._client = _Client(self._options(cache_folder, socket_timeout_seconds))
        self._client.client = self

    def _options(self, cache_folder: Path, socket_timeout_seconds: float) -> dict[str, Any]:
        least, most = self.pace.before_download_seconds
        return {
            "format": FORMAT,
            "fixup": "never",  # a remux by an ffmpeg that happens to be there gives other bytes
            "outtmpl": "%(id)s.%(format_id)s.%(ext)s",  # the rendition in the name, or parts are spliced
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
            "sleep_interval": least * self.pace.factor,
            "max_sleep_interval": most * self.pace.factor,
            "ratelimit": RATE_BYTES_A_SECOND,
            "noresizebuffer": True,
            "buffersize": READ_BYTES,
            "max_filesize": LARGEST_BYTES,
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
            "playlistend": LISTED_ENTRIES,
        }

    def _retry_wait(self, n: int) -> float:
        return self.pace.retry_wait(n)

    def entries(self, url: str) -> dict[str, Any]:
        """A search, an album or a feed with its `entries` as the list shows them. Raises `CallFailed`."""
        self.call = _Call()
        info = self._extract(url, download=False)
        info["entries"] = [entry for entry in info.get("entries") or () if entry]
        return info

    def download(self, url: str, folder: Path, wanted: Wanted) -> tuple[dict[str, Any], Path]:
        """Fetch one recording into its own folder; what lies there half is gone on with.

        Returns what the source says of it and the file. Raises `NotWanted`, `CallFailed`.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.call = _Call(wanted=wanted)
        self._client.params["paths"] = {"home": str(folder)}
        info = self._extract(url, download=True)
        if self.call.refusal is not None:
            raise FilteredOut(self.call.refusal, self.call.refused)
        fetched = info.get("requested_downloads") or [{}]
        path = Path(fetched[0].get("filepath") or folder / "nothing")
        if not path.is_file():
            raise CallFailed(classify(Cancelled("too_large", f"{url} is larger than {LARGEST_BYTES >> 20} MB")))
        return info, path

    def _extract(self, url: str, *, download: bool) -> dict[str, Any]:
        try:
            info = self._client.extract_info(url, download=download)
        except SourcePaused:
            raise
        except Exception as error:  # extractors raise whatever a changed page makes them raise
            raise CallFailed(classify(error, self.call.log_lines, self.call.answers)) from error
        if info is None:
            raise CallFailed(classify(f"yt-dlp gave nothing for {url}", self.call.log_lines, self.call.answers))
        return dict(self._client.sanitize_info(info))

    def _match(self, info: dict[str, Any], *, incomplete: bool | set[str] = False) -> str | None:
        """yt-dlp asks for entries of lists (incomplete) and for whole pages; lists themselves always pass."""
        if incomplete or self.call.wanted is None or not info.get("id"):
            return None
        if info.get("_type", "video") != "video":
            return None
        self.call.refusal = self.call.wanted(info)
        if self.call.refusal is not None:
            self.call.refused = dict(info)
        return self.call.refusal

    def _on_progress(self, progress: dict[str, Any]) -> None:
        if progress["status"] != "downloading":
            return
        now = time.monotonic()
        self.call.download_started = self.call.download_started or now  # a demanded wait before it does not count
        if now - self.call.download_started > self._longest_download_seconds:
            raise Cancelled("deadline", f"Not downloaded in {self._longest_download_seconds:.0f} s")
        if (progress.get("downloaded_bytes") or 0) > LARGEST_BYTES:
            raise Cancelled("too_large", f"Larger than {LARGEST_BYTES >> 20} MB")

    def close(self) -> None:
        """Let connections go."""
        self._client.close()


class _Logger:
    """Hands each line to the call that is being made."""

    def __init__(self, client: YtDlpClient) -> None:
        self._fetcher = client

    def debug(self, message: str) -> None:
        """Not kept."""

    info = debug

    def warning(self, message: str) -> None:
        """Kept: it may carry the status that the exception lost."""
        self._fetcher.call.log_lines.append(message)

    error = warning
