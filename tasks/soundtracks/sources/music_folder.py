"""Read the user's own music: folders of tagged files, and CSV lists that pair files with films.

Files of a folder are matched by the same rule as other candidates; the pairs of a list are the user's decision and
are not judged. A file is identified by its content (size, first and last bytes), so moving it changes nothing.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError

from storage.errors import InputError
from tasks.soundtracks.extraction.jobs import Recording
from tasks.soundtracks.models import Candidate, Film, Judged
from tasks.soundtracks.sources.base import Fetched, PreassignedSource

NAME = "music_folder"
# fmt: off
AUDIO_SUFFIXES = frozenset(
    {
        ".aac", ".ac3", ".aif", ".aiff", ".alac", ".ape", ".au", ".caf", ".flac", ".m4a", ".m4b", ".mka", ".mp1",
        ".mp2", ".mp3", ".mp4", ".mpc", ".oga", ".ogg", ".opus", ".ra", ".tta", ".wav", ".weba", ".webm", ".wma",
        ".wv",
    }
)
# fmt: on
"""Files with other suffixes in a folder (booklets, covers, cue sheets) are ignored."""
SAMPLED_BYTES = 1 << 16
REQUIRED_COLUMNS = ("film", "path")
SEPARATORS = ",;\t"
"""Between the cells of a list: spreadsheets write semicolons where a comma is a decimal point."""
MAX_ROWS_IN_MESSAGE = 5
"""Ten thousand missing files have one cause and need one line."""
TAG_ERRORS = (FFmpegError, OSError, ValueError, LookupError, ArithmeticError)


@dataclass(frozen=True)
class Tags:
    """The tags of a file; any may be missing."""

    title: str | None = None
    artist: str | None = None
    album: str | None = None
    album_artist: str | None = None
    year: int | None = None
    licence: str | None = None
    track_number: int | None = None
    duration_seconds: float | None = None
    composer: str | None = None
    publisher: str | None = None
    isrc: str | None = None


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
        source=NAME,
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


def content_id(path: Path) -> str:
    """Return an id of a file's content: a hash of its size and its first and last 64 KiB, read in microseconds."""
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        digest = hashlib.blake2b(f"{size_bytes}:".encode() + file.read(SAMPLED_BYTES), digest_size=12)
        file.seek(max(SAMPLED_BYTES, size_bytes - SAMPLED_BYTES))
        digest.update(file.read(SAMPLED_BYTES))
    return digest.hexdigest()


def read_tags(path: Path) -> Tags:
    """Return title, artist, album, year, licence and length as the container states them (Ogg: as the stream does)."""
    with av.open(str(path.absolute()), metadata_errors="replace", options={"protocol_whitelist": "file"}) as container:
        tags: dict[str, Any] = {}
        for holder in (*container.streams, container):
            tags.update({key.lower(): value.strip() for key, value in holder.metadata.items() if value.strip()})
        seconds = container.duration / av.time_base if container.duration and container.duration > 0 else None
    date = re.search(r"\b(1[89]\d\d|20\d\d)\b", " ".join(tags.get(k, "") for k in ("date", "year", "creation_time")))
    number = re.match(r"\d{1,6}(?!\d)", tags.get("track", ""))  # what is longer numbers no track
    return Tags(
        title=tags.get("title"),
        artist=tags.get("artist") or tags.get("album_artist"),
        album=tags.get("album"),
        album_artist=tags.get("album_artist") or tags.get("albumartist"),
        year=int(date.group()) if date else None,
        licence=tags.get("license") or tags.get("licence") or tags.get("copyright"),
        track_number=int(number.group()) if number else None,
        duration_seconds=seconds,
        composer=tags.get("composer"),
        publisher=tags.get("publisher") or tags.get("label") or tags.get("organization"),
        isrc=tags.get("isrc") or tags.get("tsrc"),
    )


class MusicSource(PreassignedSource):
    """The user's own recordings, which are read in place."""

    name = NAME

    def fetch(self, judged: Judged, film: Film) -> Fetched:
        """Return the file itself. Its header's length is not trusted: extraction counts the samples."""
        assert judged.candidate.path is not None
        return Fetched(Recording(judged.candidate.track_id, judged.candidate.path), judged)
