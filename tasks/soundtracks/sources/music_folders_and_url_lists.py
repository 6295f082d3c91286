"""Read the recordings that the user lists: folders of tagged files, CSV lists of files and films, lists of URLs.

All of them are known in advance, so each is assigned to the film that it fits best, by the same rule as other
candidates; the pairs of a CSV list are the user's decision and are not judged. A list of URLs is a text file with one
URL per line, or a CSV with the columns film and url (and title, artist, licence, if known); the URLs are recordings,
pages with a player, or RSS feeds of recordings, which yt-dlp's generic extractor opens.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from yt_dlp.utils import unsmuggle_url

from storage.errors import InputError, ItemError, Retry
from tasks.soundtracks.audio.file_suffixes_ids_and_tags import AUDIO_SUFFIXES, TAG_ERRORS, Tags, content_id, read_tags
from tasks.soundtracks.candidate_recordings import Candidate, Decision, Film, Judged, Recording, with_decision
from tasks.soundtracks.download.downloader_and_staging import Downloader
from tasks.soundtracks.download.ytdlp import FilteredOut
from tasks.soundtracks.matching.track_selection import Matcher, judge_for_all_films, most_promising
from tasks.soundtracks.sources.source_protocol import Fetched
from tasks.soundtracks.sources.ytdlp_metadata import from_info, is_creative_commons

MUSIC_FOLDER = "music_folder"
URL_LIST = "url_list"
REQUIRED_COLUMNS = ("film", "path")
SEPARATORS = ",;\t"
"""Between the cells of a list: spreadsheets write semicolons where a comma is a decimal point."""
MAX_ROWS_IN_MESSAGE = 5
"""Ten thousand missing files have one cause and need one line."""


def read_music(paths: list[str], on_file: Callable[[int], None] = lambda _count: None) -> list[Candidate]:
    """Return every recording of these folders and lists once; lists take precedence over folders.

    `on_file` receives the number of recordings so far. Raises `InputError` for a path that does not exist or a list
    that cannot be read.
    """
    candidates: dict[str, Candidate] = {}
    for path in sorted((Path(p).expanduser() for p in paths), key=lambda p: p.is_dir()):
        for candidate in _read_folder(path) if path.is_dir() else _read_list(path):
            candidates.setdefault(candidate.media_id, candidate)
            on_file(len(candidates))
    return list(candidates.values())


def check_music(paths: list[str]) -> None:
    """Raise `InputError` for paths and lists that `read_music` could not read."""
    for path in (Path(p).expanduser() for p in paths):
        if not path.is_dir():
            _list_rows(path)


def _read_folder(folder: Path) -> Iterator[Candidate]:
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES and p.is_file())
    if not files:
        raise InputError(
            f"There are no audio files in {folder}; mount it if it is a mount point, or give a folder with .opus, "
            ".m4a, .mp3 or .ogg files"
        )
    for position, path in enumerate(files):
        candidate = _read_file(path, str(path.relative_to(folder)))
        yield replace(candidate, position=candidate.position if candidate.position is not None else position)


def _read_list(path: Path) -> Iterator[Candidate]:
    for position, row in enumerate(_list_rows(path)):
        candidate = _read_file(path.parent / row["path"], row["path"])
        yield replace(
            candidate,
            title=row.get("title") or candidate.title,
            artist=row.get("artist") or candidate.artist,
            licence=row.get("licence") or candidate.licence,
            listed_for=row["film"],
            position=position,
        )


def _list_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a list. Raises `InputError` if it cannot be read or one of its files does not exist."""
    rows = read_list(path, REQUIRED_COLUMNS)
    missing = [f"row {n} ({row['path']})" for n, row in enumerate(rows, 2) if not (path.parent / row["path"]).is_file()]
    if missing:
        more = f" and {len(missing) - MAX_ROWS_IN_MESSAGE} more" if len(missing) > MAX_ROWS_IN_MESSAGE else ""
        raise InputError(
            f"{path} names files that do not exist: {', '.join(missing[:MAX_ROWS_IN_MESSAGE])}{more}; "
            "correct the paths, which are relative to the folder of the list"
        )
    return rows


def read_list(path: Path, required: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows of a CSV list that has these columns, whose names are in any letters.

    Commas, semicolons or tabs separate cells. Raises `InputError` if it cannot be read.
    """
    if not path.is_file():
        raise InputError(
            f"There is no music folder or list {path}; mount it, or correct the path given with --music (in a "
            "deployment: the parameter music)"
        )
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            head = file.readline()
            file.seek(0)
            reader = csv.DictReader(file, delimiter=max(SEPARATORS, key=head.count))
            names = reader.fieldnames = [name.strip().casefold() for name in reader.fieldnames or []]
            rows = [{k: (v or "").strip() for k, v in row.items() if isinstance(k, str)} for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not a CSV file in UTF-8 ({error}); save it as one") from error
    missing_columns = [name for name in required if name not in names]
    if missing_columns:
        raise InputError(f"{path} has no column {' and no column '.join(missing_columns)}; add a header line")
    return rows


def _read_file(path: Path, shown_path: str) -> Candidate:
    """Return a file as a candidate; if its tags cannot be read, the decoder will report the reason."""
    try:
        tags = read_tags(path)
    except TAG_ERRORS:
        tags = Tags()
    return Candidate(
        source=MUSIC_FOLDER,
        media_id=content_id(path),
        url=shown_path,
        title=tags.title or path.stem,
        artist=tags.artist,
        album=tags.album or path.parent.name,
        release_year=tags.year,
        duration_seconds=tags.duration_seconds,
        licence=tags.licence,
        position=tags.track_number,
        path=str(path.absolute()),
        tool_versions={"av": version("av")},
    )


def read_url_lists(paths: Sequence[str]) -> list[Candidate]:
    """Return the URLs of these lists, each once, as candidates without metadata.

    Raises `InputError` for a list that does not exist or contains something else than http URLs.
    """
    candidates: dict[str, Candidate] = {}
    for path in (Path(p).expanduser() for p in paths):
        if not path.is_file():
            raise InputError(f"There is no list of URLs {path}; correct the path given with --urls")
        for position, row in enumerate(_url_rows(path)):
            if urlparse(row["url"]).scheme not in ("http", "https"):
                raise InputError(f"{path} names {row['url']!r}, which is no http URL; correct that line")
            candidate = Candidate(
                URL_LIST,
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


def _url_rows(path: Path) -> Iterator[dict[str, str]]:
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


class PreassignedSource:
    """Recordings that are all known in advance, each assigned to the film that it fits best.

    The assignment does not depend on the order in which films are processed.
    """

    def __init__(self, candidates: Iterable[Candidate], matcher: Matcher) -> None:
        self.by_film: dict[str, list[Judged]] = {}
        self.unmatched: list[tuple[Candidate, ItemError]] = []
        """Recordings that match no film of the lake, with the reason."""
        for candidate in candidates:
            for judged in self._assign(candidate, matcher):
                self.by_film.setdefault(judged.film_id, []).append(matcher.apply_overrides(judged))

    def find(self, film: Film) -> Sequence[Judged]:
        """Return the recordings that were assigned to this film."""
        return self.by_film.get(film.film_id, ())

    def _assign(self, candidate: Candidate, matcher: Matcher) -> list[Judged]:
        if candidate.listed_for is not None:
            return self._as_listed(candidate, candidate.listed_for, matcher)
        judged = judge_for_all_films(candidate, matcher.film_index)
        if not judged:
            message = f"{candidate.url} names no film in the lake; tag it, or pair it with its film in a CSV list"
            self.unmatched.append((candidate, ItemError("no_film", message, Retry.LATER)))
        return most_promising(judged)

    def _as_listed(self, candidate: Candidate, name: str, matcher: Matcher) -> list[Judged]:
        films = matcher.film_index.find(name)
        if len(films) == 1:
            return [matcher.judge(candidate, films[0])]
        problem = (
            f"{len(films)} films are called {name!r}; give the film id" if films else f"No film is called {name!r}"
        )
        error = ItemError("unknown_film", f"{problem} (the list pairs it with {candidate.url})", Retry.LATER)
        self.unmatched.append((candidate, error))
        return []


class MusicSource(PreassignedSource):
    """The user's own recordings, which are read in place."""

    name = MUSIC_FOLDER

    def fetch(self, judged: Judged, film: Film) -> Fetched:
        """Return the file itself. Its header's length is not trusted: extraction counts the samples."""
        assert judged.candidate.path is not None
        return Fetched(Recording(judged.candidate.track_id, judged.candidate.path), judged)


class UrlSource(PreassignedSource):
    """Listed recordings, downloaded by yt-dlp's generic extractor."""

    name = URL_LIST
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
