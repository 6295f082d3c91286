"""Read lists of URLs: recordings, pages with a player, RSS feeds of recordings.

A list is a text file with one URL per line, or a CSV with the columns film and url (and title, artist, licence, if
known) that pairs each URL with its film. yt-dlp's generic extractor opens the URLs.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from yt_dlp.utils import unsmuggle_url

from storage.errors import InputError, ItemError
from tasks.soundtracks.download.downloader import Downloader
from tasks.soundtracks.download.ytdlp import FilteredOut
from tasks.soundtracks.extraction.jobs import Recording
from tasks.soundtracks.matching.matcher import Matcher, with_decision
from tasks.soundtracks.models import Candidate, Decision, Film, Judged
from tasks.soundtracks.sources.base import Fetched, PreassignedSource
from tasks.soundtracks.sources.metadata import from_info, is_creative_commons

NAME = "url_list"


def read_url_lists(paths: Sequence[str]) -> list[Candidate]:
    """Return the URLs of these lists, each once, as candidates without metadata.

    Raises `InputError` for a list that does not exist or contains something else than http URLs.
    """
    candidates: dict[str, Candidate] = {}
    for path in (Path(p).expanduser() for p in paths):
        if not path.is_file():
            raise InputError(f"There is no list of URLs {path}; correct the path given with --urls")
        for position, row in enumerate(_rows(path)):
            if urlparse(row["url"]).scheme not in ("http", "https"):
                raise InputError(f"{path} names {row['url']!r}, which is no http URL; correct that line")
            candidate = Candidate(
                NAME,
                media_id(row["url"]),
                row["url"],
                row.get("title") or "",
                artist=row.get("artist") or None,
                licence=row.get("licence") or None,
                position=position,
                listed_for=row.get("film") or None,
            )
            candidates.setdefault(candidate.media_id, candidate)
    return list(candidates.values())


def _rows(path: Path) -> Iterator[dict[str, str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text in UTF-8; save it as such") from error
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if lines and "url" in next(csv.reader(lines[:1])):
        for row in csv.DictReader(lines):
            yield {key: (value or "").strip() for key, value in row.items() if isinstance(key, str)}
    else:
        yield from ({"url": line} for line in lines)


def media_id(url: str) -> str:
    """Return the id of the recording at a URL."""
    return hashlib.blake2b(url.encode(), digest_size=12).hexdigest()


def open_listed(
    candidates: Sequence[Candidate], downloader: Downloader
) -> tuple[list[Candidate], list[tuple[str, ItemError]]]:
    """Open the URLs that are not paired with a film, to read their metadata; a feed is replaced by its items.

    Returns the candidates, and the items of stage track that could not be opened with their errors.
    """
    opened: list[Candidate] = []
    failed: list[tuple[str, ItemError]] = []
    for candidate in candidates:
        if candidate.listed_for is not None:
            opened.append(candidate)
            continue
        try:
            info = downloader.entries(candidate.url)
        except ItemError as error:
            failed.append((candidate.track_id, error))
            continue
        opened += _items(candidate, info)
    return opened, failed


def _items(candidate: Candidate, info: dict[str, Any]) -> list[Candidate]:
    if info.get("_type") != "playlist":
        return [from_info(candidate, info)]
    items = []
    for position, entry in enumerate(info["entries"]):
        listed_url = str(entry.get("url") or entry.get("webpage_url") or "")
        url = str(unsmuggle_url(listed_url)[0])  # without the data that yt-dlp appends
        item = replace(candidate, media_id=media_id(url), url=url, album=info.get("title"), position=position)
        items.append(from_info(item, entry))
    return items


class UrlSource(PreassignedSource):
    """Listed recordings, downloaded by yt-dlp's generic extractor."""

    name = NAME
    has_many_hosts = True

    def __init__(
        self,
        candidates: Sequence[Candidate],
        matcher: Matcher,
        downloader: Downloader,
        *,
        creative_commons_only: bool = False,
    ) -> None:
        super().__init__(candidates, matcher)
        self.downloader = downloader
        self._creative_commons_only = creative_commons_only

    def fetch(self, judged: Judged, film: Film) -> Fetched:
        """Download a listed recording, and add its page's metadata to the candidate."""
        candidate = judged.candidate

        def rejection(info: dict[str, Any]) -> str | None:
            licence = candidate.licence or info.get("license")
            return "not_creative_commons" if self._creative_commons_only and not is_creative_commons(licence) else None

        try:
            info, path = self.downloader.download(film.film_id, candidate.media_id, candidate.url, rejection)
        except FilteredOut as filtered:
            return Fetched(None, with_decision(judged, Decision.REJECTED, filtered.reason))
        if reason := rejection(info):  # staged by an earlier run that accepted other licences
            return Fetched(None, with_decision(judged, Decision.REJECTED, reason))
        named = replace(from_info(candidate, info), title=candidate.title or str(info.get("title") or ""))
        recording = Recording(candidate.track_id, str(path), info.get("duration"))
        return Fetched(recording, replace(judged, candidate=named))
