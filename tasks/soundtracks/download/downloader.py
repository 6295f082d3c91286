"""Recordings from the network into a staging folder, whole or not at all.

Every recording has a folder of its own, so that two files can never be taken for one another. A finished and
verified file leaves a note beside it; a run that finds the note asks the source for nothing.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from storage.coordination.leases import is_leased
from storage.errors import ItemError
from storage.lake.lake import Lake
from tasks.soundtracks.download.error_rules import Action
from tasks.soundtracks.download.integrity import verify_audio
from tasks.soundtracks.download.throttle import Gate
from tasks.soundtracks.download.ytdlp import CallFailed, Fetcher, Wanted

SOON_ATTEMPTS = 3
"""Attempts in one run for a failure that may pass at once."""
NOTE = "finished.json"
_T = TypeVar("_T")


def staging_folder(lake: Lake, film_id: str = "") -> Path:
    """Where a film's downloads lie until its mels are committed; each lake has its own place on this machine."""
    name = hashlib.blake2b(lake.root.encode(), digest_size=6).hexdigest()
    return Path(lake.cache_folder, "staging", name, film_id)


def let_go(lake: Lake, film_id: str, *, keep_audio: bool) -> None:
    """A film's mels are committed: its downloads are deleted, or moved into the lake if a person wants them."""
    folder = staging_folder(lake, film_id)
    for note in sorted(folder.glob(f"*/{NOTE}")) if keep_audio else ():
        if (finished := _read_note(note.parent)) is not None:
            path = finished[1]
            lake.write_bytes(path.read_bytes(), "audio", film_id, path.name.lstrip("-_"))
    shutil.rmtree(folder, ignore_errors=True)


def sweep_staging(lake: Lake, done: Collection[str], *, keep_audio: bool) -> None:
    """Let go of what a crash left lying between a film's commit and the end of its work."""
    staging = staging_folder(lake)
    for folder in staging.iterdir() if staging.is_dir() else ():
        if folder.name in done and not is_leased(lake, folder.name):  # else somebody adds recordings to the film
            let_go(lake, folder.name, keep_audio=keep_audio)


@dataclass(frozen=True)
class Remote:
    """A networked source's calls: through its gate, with retries, into staging."""

    gate: Gate
    fetcher: Fetcher

    def entries(self, url: str) -> dict[str, Any]:
        """A list's entries. Raises `ItemError` or `SourcePaused`."""
        return self._attempt(url, lambda: self.fetcher.entries(url))

    def look(self, media_id: str, url: str) -> dict[str, Any]:
        """What the source says of one recording now, without its media. Raises `ItemError` or `SourcePaused`.

        Waits as before a download: lookups in a row cost the source nearly as much.
        """
        least, most = self.fetcher.pace.before_download_seconds
        time.sleep(self.fetcher.pace.factor * random.uniform(least, most))  # noqa: S311
        return self._attempt(media_id, lambda: self.fetcher.entries(url))

    def download(self, film_id: str, media_id: str, url: str, wanted: Wanted) -> tuple[dict[str, Any], Path]:
        """One recording, verified. Raises `ItemError`, `SourcePaused`, or `NotWanted` when `wanted` refuses it."""
        folder = staging_folder(self.gate.lake, film_id) / media_id
        if (finished := _read_note(folder)) is not None:
            return finished
        self.gate.enter()
        self.gate.budget.reserve(downloads=1)
        is_done = False
        try:
            result = self._attempt(media_id, lambda: self._download_once(url, folder, wanted))
            is_done = True
        finally:
            if not is_done:
                self.gate.budget.give_back(downloads=1)
        return result

    def _download_once(self, url: str, folder: Path, wanted: Wanted) -> tuple[dict[str, Any], Path]:
        info, path = self.fetcher.download(url, folder, wanted)
        try:
            info["decoded_seconds"] = verify_audio(path, info.get("duration"))
        except CallFailed:
            shutil.rmtree(folder)  # the next attempt must not go on with what is wrong
            raise
        _write_note(folder, info, path)
        return info, path

    def _attempt(self, media_id: str, call: Callable[[], _T]) -> _T:
        """Call, and again for what may pass at once; the gate hears how it ended."""
        for attempt in range(SOON_ATTEMPTS):
            self.gate.enter()
            try:
                result = call()
            except CallFailed as error:
                failure = error.failure
                if failure.action is Action.SOON and attempt + 1 < SOON_ATTEMPTS:
                    time.sleep(self.fetcher.pace.retry_wait(attempt))
                    continue
                self.gate.failed(media_id, failure)
                raise ItemError(failure.reason, failure.message, failure.retry) from error
            self.gate.succeeded()
            return result
        raise AssertionError("the last attempt returns or raises")


def _write_note(folder: Path, info: dict[str, Any], path: Path) -> None:
    """The note is written last and whole: it stands only beside a verified file."""
    temporary = folder / f".{NOTE}"
    temporary.write_text(json.dumps({"info": _kept(info), "file": path.name}))
    temporary.replace(folder / NOTE)


def _read_note(folder: Path) -> tuple[dict[str, Any], Path] | None:
    try:
        note = json.loads((folder / NOTE).read_text())
    except (FileNotFoundError, ValueError):
        return None
    path = folder / note["file"]
    return (note["info"], path) if path.is_file() else None


def _kept(info: dict[str, Any]) -> dict[str, Any]:
    """What a row is made of; never the media's signed address."""
    return {key: value for key, value in info.items() if key in INFO_KEYS}


INFO_KEYS = frozenset(
    """id title track artist artists album release_year release_date uploader uploader_id channel channel_id
    channel_is_verified description duration decoded_seconds categories availability live_status media_type license
    webpage_url original_url extractor format_id acodec asr abr filesize upload_date view_count""".split()  # noqa: SIM905
)
