"""Download recordings into staging with retries and verify them. Every call goes through the source's throttle.

A download is verified by decoding it completely: yt-dlp reports success for truncated files, splices of two formats,
web pages saved as audio and empty files; decoding takes a fifth of a second and detects all of them.

Downloads are kept in a local staging folder until what is derived from them is committed.
Every recording has its own folder, so that two files are never confused. A complete and verified file has a note next
to it; a run that finds the note downloads nothing.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import av
from av.error import FFmpegError

from storage.errors import ItemError
from storage.lake.lake import Lake
from tasks.soundtracks.audio.decode import AudioFile, length_tolerance_seconds
from tasks.soundtracks.download.error_classification import Failure
from tasks.soundtracks.download.error_patterns_and_pauses import ABOUT_ONE_RECORDING, RULES, Action, CallKind
from tasks.soundtracks.download.throttle_and_breaker import Pace, SourceThrottle
from tasks.soundtracks.download.ytdlp import CallFailed, FilteredOut, MatchFilter, YtDlpClient, kind_of

ATTEMPTS_PER_RUN = 3
"""Attempts in one run after failures that are retried soon."""
_CHECK_RATE_HZ = 22_050
_T = TypeVar("_T")
NOTE = "finished.json"
METADATA_FIELDS = frozenset(
    {
        "id",
        "title",
        "track",
        "artist",
        "artists",
        "album",
        "release_year",
        "release_date",
        "uploader",
        "uploader_id",
        "channel",
        "channel_id",
        "channel_is_verified",
        "description",
        "duration",
        "decoded_seconds",
        "categories",
        "availability",
        "live_status",
        "media_type",
        "license",
        "webpage_url",
        "original_url",
        "extractor",
        "format_id",
        "acodec",
        "asr",
        "abr",
        "filesize",
        "upload_date",
        "view_count",
    }
)
"""The fields of a recording's metadata that its note keeps."""


@dataclass(frozen=True)
class Downloader:
    """The calls to one networked source: through its throttle, with retries, into staging."""

    throttle: SourceThrottle
    client: YtDlpClient
    failed_lists: list[tuple[str, ItemError]] = field(default_factory=list)
    """The lists that failed since they were last taken out, by their id, with the error of each."""

    def entries(self, url: str) -> dict[str, Any]:
        """Return the entries of a search, a list or a feed. Raises `ItemError` or `SourcePaused`.

        A search that found nothing is counted: a site whose layout changed finds nothing for any film.
        """
        kind = kind_of(url)
        listed = self._attempt(kind, url, lambda: self.client.entries(url))
        if kind in (CallKind.SEARCH, CallKind.LIST_SEARCH):
            self.throttle.found(url, kind, anything=bool(listed["entries"]))
        return listed

    def list_or_nothing(self, list_id: str, url: str) -> dict[str, Any]:
        """Return the entries of a list; none for a list that fails. Raises `SourcePaused`.

        Such a list costs itself, not its film: the error is kept in `failed_lists`, for an outcome of its own.
        """
        try:
            return self.entries(url)
        except ItemError as error:
            self.failed_lists.append((list_id, error))
            return {"entries": []}

    def probe(self, media_id: str, url: str) -> dict[str, Any]:
        """Return the source's metadata of one recording, without its media. Raises `ItemError` or `SourcePaused`.

        Waits as before a download: a series of probes costs the source nearly as much.
        """
        self._wait()
        return self._attempt(CallKind.PLAYER, media_id, lambda: self.client.entries(url))

    def first_bytes(self, media_id: str, info: dict[str, Any], count: int) -> bytes:
        """Return the first bytes of a recording that `probe` found. Raises `ItemError` or `SourcePaused`."""
        return self._attempt(CallKind.MEDIA, media_id, lambda: self.client.first_bytes(info, count))

    def download(self, film_id: str, media_id: str, url: str, match_filter: MatchFilter) -> tuple[dict[str, Any], Path]:
        """Return the metadata and the verified file of one recording, downloaded or from staging.

        Raises `ItemError`, `SourcePaused`, or `FilteredOut` if `match_filter` rejects it. yt-dlp waits between the
        page and the media; after a page that is rejected the same wait follows here.
        """
        folder = staging_folder(self.throttle.lake, film_id) / media_id
        if (staged := read_note(folder)) is not None:
            return staged
        self.throttle.enter()
        self.throttle.budget.reserve(downloads=1)
        try:
            found = self._attempt(CallKind.MEDIA, media_id, lambda: self._download_once(url, folder, match_filter))
        except FilteredOut:
            self.throttle.budget.give_back(downloads=1)
            self.throttle.succeeded(CallKind.PLAYER)
            self._wait()
            raise
        except BaseException:  # also Ctrl-C: what was not downloaded is not spent
            self.throttle.budget.give_back(downloads=1)
            raise
        self.throttle.succeeded(CallKind.PLAYER)  # the player named the media
        return found

    def _wait(self) -> None:
        least, most = self.client.pace.before_download_seconds
        time.sleep(self.client.pace.factor * random.uniform(least, most))  # noqa: S311

    def _download_once(self, url: str, folder: Path, match_filter: MatchFilter) -> tuple[dict[str, Any], Path]:
        info, path = self.client.download(url, folder, match_filter)
        try:
            info["decoded_seconds"] = verify_audio(path, info.get("duration"))
        except CallFailed:
            shutil.rmtree(folder)  # the next attempt must not resume a corrupt file
            raise
        write_note(folder, info, path)
        return info, path

    def _attempt(self, kind: CallKind, item: str, call: Callable[[], _T]) -> _T:
        return attempt(self.throttle, self.client.pace, item, call, kind)


def attempt(throttle: SourceThrottle, pace: Pace, item: str, call: Callable[[], _T], kind: CallKind) -> _T:
    """Call, retry failures that may be temporary, and report the result to the throttle.

    `call` raises `CallFailed`. Raises `ItemError`, or `SourcePaused` if the source is paused or the failure pauses it.
    """
    for number in range(ATTEMPTS_PER_RUN):
        throttle.enter()
        try:
            result = call()
        except CallFailed as error:
            # A download is a call of the player and of the media: its failure says which of them.
            failure = error.failure if kind in ABOUT_ONE_RECORDING else replace(error.failure, kind=kind)
            if failure.action is Action.SOON and number + 1 < ATTEMPTS_PER_RUN:
                time.sleep(pace.retry_wait(number))
                continue
            throttle.failed(item, failure)
            raise ItemError(failure.reason, failure.message, failure.retry) from error
        throttle.succeeded(kind)
        return result
    raise AssertionError("the last attempt returns or raises")


def verify_audio(path: Path, stated_seconds: float | None) -> float:
    """Decode a file completely and return its length in seconds.

    The length is compared with the one that the source states or, without one, with the file's header.
    Raises `CallFailed` with reason `bad_audio`.
    """
    audio = AudioFile(str(path), _CHECK_RATE_HZ)
    try:
        for _block in audio.blocks():
            pass
    except ItemError as error:
        raise _bad_audio(f"The download is no complete recording: {error}") from error
    expected = stated_seconds or _header_seconds(path)
    if expected and abs(audio.decoded_seconds - expected) > length_tolerance_seconds(expected):
        raise _bad_audio(f"The download lasts {audio.decoded_seconds:.1f} s, but its source states {expected:.1f} s")
    if audio.broken_packets:
        raise _bad_audio(f"{audio.broken_packets} of {audio.packets} packets of the download are broken")
    return audio.decoded_seconds


def _header_seconds(path: Path) -> float | None:
    try:
        with av.open(str(path.absolute()), metadata_errors="replace") as container:
            return container.duration / av.time_base if container.duration and container.duration > 0 else None
    except (FFmpegError, ValueError):
        return None


def _bad_audio(message: str) -> CallFailed:
    return CallFailed(Failure("bad_audio", RULES["bad_audio"].action, message, kind=CallKind.MEDIA))


def staging_folder(lake: Lake, film_id: str = "") -> Path:
    """Return the folder of a film's downloads; each lake has its own on this machine."""
    name = hashlib.blake2b(lake.root.encode(), digest_size=6).hexdigest()
    return Path(lake.cache_folder, "staging", name, film_id)


def pending_folder(lake: Lake, film_id: str) -> Path:
    """Return the folder where a film's shard and decoded audio wait until encoders have heard it."""
    return staging_folder(lake, film_id) / "to-embed"


def release_staged(lake: Lake, film_id: str, *, keep_audio: bool) -> None:
    """Delete a film's downloads after its mels are committed, or move them into the lake if `keep_audio`."""
    folder = staging_folder(lake, film_id)
    for note in sorted(folder.glob(f"*/{NOTE}")) if keep_audio else ():
        if (finished := read_note(note.parent)) is not None:
            path = finished[1]
            lake.write_bytes(path.read_bytes(), "audio", film_id, path.name.lstrip("-_"))
    shutil.rmtree(folder, ignore_errors=True)


def kept_audio(lake: Lake, film_id: str, media_id: str) -> list[str]:
    """Return the paths in the lake of a recording's downloads that were kept."""
    names = lake.list("audio", film_id)
    return [name for name in names if name.rsplit("/", 1)[1].startswith(media_id.lstrip("-_"))]


def write_note(folder: Path, info: dict[str, Any], path: Path) -> None:
    """Write the note of a verified file, last and atomically."""
    temporary = folder / f".{NOTE}"
    temporary.write_text(json.dumps({"info": _selected(info), "file": path.name}))
    temporary.replace(folder / NOTE)


def read_note(folder: Path) -> tuple[dict[str, Any], Path] | None:
    """Return the metadata and the path of a folder's verified file, or None."""
    try:
        note = json.loads((folder / NOTE).read_text())
    except (FileNotFoundError, ValueError):
        return None
    path = folder / note["file"]
    return (note["info"], path) if path.is_file() else None


def _selected(info: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that rows are made of; never the signed address of the media."""
    return {key: value for key, value in info.items() if key in METADATA_FIELDS}
