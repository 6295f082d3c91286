"""A person's own music: a folder whose files carry tags, or a CSV list that pairs files with films.

A folder's files are matched by the same rule as everything else; a list is the person's decision and is
taken as it stands. A file is known by its content (size, first and last bytes), so moving it changes nothing.
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
from tasks.soundtracks.extraction.film import Recording
from tasks.soundtracks.models import Candidate, Film, Judged
from tasks.soundtracks.sources.base import Fetched, PreassignedSource

SOURCE = "music_folder"
_SUFFIXES = """
.aac .ac3 .aif .aiff .alac .ape .au .caf .flac .m4a .m4b .mka .mp1 .mp2 .mp3 .mp4 .mpc .oga .ogg .opus .ra .tta .wav
.weba .webm .wma .wv
"""
AUDIO_SUFFIXES = frozenset(_SUFFIXES.split())
"""What counts as a recording in a folder; booklets, covers and cue sheets lie beside the music."""
SAMPLED_BYTES = 1 << 16
REQUIRED_COLUMNS = ("film", "path")
ROWS_NAMED = 5
"""A list with ten thousand missing files is one mistake, not ten thousand lines."""
_TAG_ERRORS = (FFmpegError, OSError, ValueError, LookupError, ArithmeticError)


@dataclass(frozen=True)
class Tags:
    """What a file says of itself; anything may be missing."""

    title: str | None = None
    artist: str | None = None
    album: str | None = None
    year: int | None = None
    licence: str | None = None
    track_number: int | None = None
    duration_seconds: float | None = None


def read_music(places: list[str], on_file: Callable[[int], None] = lambda _count: None) -> list[Candidate]:
    """Every recording of these folders and lists, each once; a list's word goes before a folder's.

    Raises `InputError` for a place that does not exist or a list that cannot be used.
    """
    candidates: dict[str, Candidate] = {}
    for place in sorted((Path(p).expanduser() for p in places), key=lambda p: p.is_dir()):
        found = _read_folder(place) if place.is_dir() else _read_list(place)
        for candidate in found:
            candidates.setdefault(candidate.media_id, candidate)
            on_file(len(candidates))
    return list(candidates.values())


def check_music(places: list[str]) -> None:
    """Raise `InputError` now for what would stop `read_music` later."""
    for place in (Path(p).expanduser() for p in places):
        if not place.is_dir():
            _list_rows(place)


def _read_folder(folder: Path) -> Iterator[Candidate]:
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES and p.is_file())
    if not files:
        raise InputError(f"The music folder {folder} holds no recording; give one with .opus, .m4a, .mp3 or .ogg files")
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
    """The rows of a list, all of whose files exist; raises `InputError` otherwise."""
    if not path.is_file():
        raise InputError(f"There is no music folder or list {path}; correct the path given with --music")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            names = reader.fieldnames or []
            rows = [{k: (v or "").strip() for k, v in row.items() if isinstance(k, str)} for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not a CSV file in UTF-8 ({error}); save it as one") from error
    missing_columns = [name for name in REQUIRED_COLUMNS if name not in names]
    if missing_columns:
        raise InputError(f"{path} has no column {' and no column '.join(missing_columns)}; its first line names them")
    missing = [f"row {n} ({row['path']})" for n, row in enumerate(rows, 2) if not (path.parent / row["path"]).is_file()]
    if missing:
        more = f" and {len(missing) - ROWS_NAMED} more" if len(missing) > ROWS_NAMED else ""
        raise InputError(
            f"{path} names files that do not exist: {', '.join(missing[:ROWS_NAMED])}{more}; "
            "correct the paths, which are relative to the list's own folder"
        )
    return rows


def _read_file(path: Path, shown_path: str) -> Candidate:
    """A file as a candidate; one whose tags cannot be read is left to the decoder to explain."""
    try:
        tags = read_tags(path)
    except _TAG_ERRORS:
        tags = Tags()
    return Candidate(
        source=SOURCE,
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
    """A name for a file's content from its size and its first and last 64 KiB, read in microseconds."""
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        digest = hashlib.blake2b(f"{size_bytes}:".encode() + file.read(SAMPLED_BYTES), digest_size=12)
        file.seek(max(SAMPLED_BYTES, size_bytes - SAMPLED_BYTES))
        digest.update(file.read(SAMPLED_BYTES))
    return digest.hexdigest()


def read_tags(path: Path) -> Tags:
    """Title, artist, album, year, licence and length as the container states them (Ogg keeps tags in its stream)."""
    with av.open(str(path.absolute()), metadata_errors="replace", options={"protocol_whitelist": "file"}) as container:
        tags: dict[str, Any] = {}
        for holder in (*container.streams, container):
            tags.update({key.lower(): value.strip() for key, value in holder.metadata.items() if value.strip()})
        seconds = container.duration / av.time_base if container.duration and container.duration > 0 else None
    date = re.search(r"\b(1[89]\d\d|20\d\d)\b", " ".join(tags.get(k, "") for k in ("date", "year", "creation_time")))
    number = re.match(r"\d+", tags.get("track", ""))
    return Tags(
        title=tags.get("title"),
        artist=tags.get("artist") or tags.get("album_artist"),
        album=tags.get("album"),
        year=int(date.group()) if date else None,
        licence=tags.get("license") or tags.get("licence") or tags.get("copyright"),
        track_number=int(number.group()) if number else None,
        duration_seconds=seconds,
    )


class MusicSource(PreassignedSource):
    """A person's own recordings; they stay where they are."""

    name = "music_folder"

    def find(self, film: Film) -> Sequence[Judged]:
        """The recordings that were judged for this film."""
        return self.by_film.get(film.film_id, ())

    def fetch(self, judged: Judged, film: Film) -> Fetched:
        """The file itself; its length is counted, not believed."""
        assert judged.candidate.path is not None
        return Fetched(Recording(judged.candidate.track_id, judged.candidate.path), judged)
