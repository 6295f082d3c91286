"""Addresses that a person lists: recordings, pages with a player, RSS feeds of recordings.

A list is a text file with one address a line, or a CSV with the columns film and url (and title, artist,
licence, if they are known) that pairs each address with its film. yt-dlp's generic extractor reads what is there.
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
from tasks.soundtracks.extraction.film import Recording
from tasks.soundtracks.matching.matcher import Matcher
from tasks.soundtracks.matching.selection import with_decision
from tasks.soundtracks.models import Candidate, Decision, Film, Judged
from tasks.soundtracks.sources.base import Fetched, PreassignedSource
from tasks.soundtracks.sources.metadata import from_info, is_creative_commons

NAME = "url_list"


def read_url_lists(places: Sequence[str]) -> list[Candidate]:
    """The addresses of these lists, each once, as candidates of which only the address is known.

    Raises `InputError` for a list that is missing or names something that is no address.
    """
    candidates: dict[str, Candidate] = {}
    for place in places:
        path = Path(place).expanduser()
        if not path.is_file():
            raise InputError(f"There is no list of addresses {path}; correct the path given with --urls")
        for position, row in enumerate(_rows(path)):
            if urlparse(row["url"]).scheme not in ("http", "https"):
                raise InputError(f"{path} names {row['url']!r}, which is no http address; correct that line")
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
    """A recording's name from its address."""
    return hashlib.blake2b(url.encode(), digest_size=12).hexdigest()


def open_listed(
    candidates: Sequence[Candidate], downloader: Downloader
) -> tuple[list[Candidate], list[tuple[str, ItemError]]]:
    """Addresses that are not paired with a film are opened once, to learn what they hold: a feed becomes its items.

    Returns candidates, and the track items that could not be opened with their errors.
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
        url = str(unsmuggle_url(str(entry.get("url") or entry.get("webpage_url") or ""))[0])  # yt-dlp adds notes to it
        item = replace(candidate, media_id=media_id(url), url=url, album=info.get("title"), position=position)
        items.append(from_info(item, entry))
    return items


class UrlSource(PreassignedSource):
    """Listed recordings, fetched by yt-dlp's generic extractor."""

    name = NAME

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

    def find(self, film: Film) -> Sequence[Judged]:
        """The recordings that were judged for this film."""
        return self.by_film.get(film.film_id, ())

    def fetch(self, judged: Judged, film: Film) -> Fetched:
        """Download what is listed; what its page says is added to the row."""
        candidate = judged.candidate

        def wanted(info: dict[str, Any]) -> str | None:
            licence = candidate.licence or info.get("license")
            return "not_creative_commons" if self._creative_commons_only and not is_creative_commons(licence) else None

        try:
            info, path = self.downloader.download(film.film_id, candidate.media_id, candidate.url, wanted)
        except FilteredOut as unwanted:
            return Fetched(None, with_decision(judged, Decision.REJECTED, unwanted.reason))
        if refusal := wanted(info):  # it lay finished from a run that was allowed more
            return Fetched(None, with_decision(judged, Decision.REJECTED, refusal))
        named = replace(from_info(candidate, info), title=candidate.title or str(info.get("title") or ""))
        recording = Recording(candidate.track_id, str(path), info.get("duration"))
        return Fetched(recording, replace(judged, candidate=named))
