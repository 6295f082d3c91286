"""Scan the folders of a library: which files are new, changed, moved or gone, and what their tags say.

A file whose size and time are as recorded is not opened. One with the time and bytes of a known file is that file,
moved: its track is known. The time counts, because only a file's first and last bytes are compared, and two exports
of one session begin and end with the same silence. Nothing is decoded here, so that ten thousand files take minutes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from storage.errors import InputError
from storage.libraries.library import Library, MusicFolder
from tasks.soundtracks.audio.file_suffixes_ids_and_tags import AUDIO_SUFFIXES, TAG_ERRORS, Tags, content_id, read_tags
from tasks.soundtracks.sources.music_folders_and_url_lists import read_list

ROWS_PER_PART = 1_000
"""Committed at once: what a kill may lose is the reading of so many tags."""
LISTED = ("title", "artist", "album", "album_artist", "composer", "publisher", "licence", "isrc", "year")
"""Columns that a CSV list may have next to `path`; what is listed replaces a file's own tags."""
FILE_CHANGES = ("size_bytes", "modified_ns")
MISSING = "missing_file"
TAG_CHARACTERS = 1_000
"""A longer text is a picture or a comment in the wrong place, and would be on every page that names the track."""
APPLE_DOUBLE = "._"
"""Next to `song.mp3`, macOS writes `._song.mp3` on disks of other systems: attributes, and no sound."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
"""In a tag they would write to a terminal what they like, or turn the direction of the text after it."""

_WANTED = "give a folder with .flac, .wav, .mp3 or .m4a files, or a list whose column path names some"
OnFile = Callable[[int, int], None]
"""Progress callback (files looked at, files in all)."""


@dataclass
class ScanCounts:
    """How many files a scan found in which state."""

    files: int = 0
    new: int = 0
    changed: int = 0
    moved: int = 0
    vanished: int = 0
    """Gone, and not moved."""
    missing: int = 0
    """Named by a list or a link, and never there."""
    unreadable: int = 0


@dataclass(frozen=True)
class _Problem:
    """Why a file cannot be used, as its row says it."""

    reason: str
    message: str


@dataclass(frozen=True)
class _Found:
    """A file of a folder, what a list says about it, and why it cannot be used, if so."""

    path: str
    listed: Mapping[str, Any] = field(default_factory=dict)
    problem: _Problem | None = None

    @property
    def is_missing(self) -> bool:
        """Return whether a list or a link names it, and it is not there."""
        return self.problem is not None and self.problem.reason == MISSING


def check_source(path: Path) -> None:
    """Raise `InputError` for a folder or list that cannot be scanned, so that it never becomes part of a library."""
    root, list_name = (path, None) if path.is_dir() else (path.parent, path.name)
    if not _is_any_there(list(_found(root, MusicFolder("", root.name, list_name)))):
        named = "are named in" if list_name else "are in"
        raise InputError(f"No audio files {named} {path}; {_WANTED}")


def scan_folder(library: Library, folder: MusicFolder, run_id: str, on_file: OnFile = lambda *_: None) -> ScanCounts:
    """Record what has changed in one folder of a library since it was scanned last.

    Raises `InputError` when this machine does not see the folder, when its list cannot be read, and when it holds no
    audio although it did: that is a disk that is not mounted, not music that vanished.
    """
    root, counts = library.mounted(folder.id), ScanCounts()
    found = list(_found(root, folder))
    known = {row["path"]: row for row in library.file_rows(where=f"folder = '{folder.id}'")}
    present = sum(row["state"] != "vanished" for row in known.values())
    if not _is_any_there(found):
        was = f", although {present:,} files of it are known: is its disk mounted?" if present else ""
        raise InputError(f"There are no audio files in {root}{was}; {_WANTED}")
    track_of = {_identity(row): row["track_id"] for row in library.file_rows() if row["track_id"]}
    rows: list[dict[str, Any]] = []
    read = set[tuple[Any, ...]]()
    for number, file in enumerate(found, 1):
        row = _row_if_changed(root, folder.id, file, known.get(file.path), track_of, counts)
        if row is not None:
            rows.append(row)
            read |= {_identity(row)} if "content_id" in row else set()
        if len(rows) >= ROWS_PER_PART:
            library.record(library.files, rows, run_id)
            rows = []
        on_file(number, len(found))
    here = {file.path for file in found if not file.is_missing}
    never = {file.path for file in found if file.is_missing and known.get(file.path, {}).get("reason") == MISSING}
    gone = [row for path, row in known.items() if path not in here | never and row["state"] != "vanished"]
    counts.vanished, counts.files = sum(_identity(row) not in read for row in gone), len(found)
    library.record(library.files, [*rows, *({**_kept(row), "state": "vanished"} for row in gone)], run_id)
    return counts


def _is_any_there(found: Sequence[_Found]) -> bool:
    return any(not file.is_missing for file in found)


def _found(root: Path, folder: MusicFolder) -> Iterator[_Found]:
    """Yield the audio files of a folder, or those that its list names, once each and by path.

    A list may name files that are not there. Raises `InputError` for a list that cannot be read or leaves its folder.
    """
    if folder.list_name is None:
        for path in sorted(root.rglob("*")):
            named, is_audio = _named(path.relative_to(root).as_posix()), path.suffix.lower() in AUDIO_SUFFIXES
            if path.is_symlink() and (problem := _link_problem(root, path, is_audio=is_audio)):
                yield replace(named, problem=problem)
            elif is_audio and not path.name.startswith(APPLE_DOUBLE) and _is_file(path):
                yield named
        return
    seen = set[str]()
    for row in read_list(root / folder.list_name, ("path",)):
        path = Path(row["path"])
        inside = path.relative_to(root) if path.is_absolute() and path.is_relative_to(root) else path
        if inside.is_absolute() or ".." in inside.parts:
            raise InputError(
                f"{folder.list_name} names {row['path']}, which is outside of its folder {root}; "
                "put the list above the music"
            )
        name = inside.as_posix()
        if not row["path"] or name in seen:
            continue  # the first row of a file counts
        seen.add(name)
        listed = {column: text for column in LISTED if (text := _plain(row.get(column)))}
        message = f"{inside.name} is named by {folder.list_name} and is not there; correct the path in the list"
        yield _Found(name, listed, None if _is_file(root / inside) else _Problem(MISSING, message))


def _link_problem(root: Path, path: Path, *, is_audio: bool) -> _Problem | None:
    """Return why the music to which a link should lead is not read: a folder elsewhere, or a file that is not there."""
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):  # nowhere, or round in a circle
        message = f"{path.name} is a link to a file that is not there; correct the link"
        return _Problem(MISSING, message) if is_audio else None
    if not target.is_dir() or target.is_relative_to(root.resolve()):
        return None
    message = f"{path.name} is a link to a folder outside of the library's, whose music is not read; add that folder"
    return _Problem("outside_folder", message)


def _named(path: str) -> _Found:
    """Return a file by its path. One in another encoding cannot be a text, and is shown with what it has for it."""
    try:
        path.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode("utf-8", "backslashreplace")
        message = f"{Path(shown).name} has a name that is not in UTF-8; rename the file"
        return _Found(shown, problem=_Problem("name_not_utf8", message))
    return _Found(path)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False  # a name that no file can have


def _plain(text: str | None) -> str | None:
    """Return a text on one line, without control characters and not endless; None for an empty one."""
    plain = " ".join(_CONTROL.sub(" ", (text or "")[: 2 * TAG_CHARACTERS]).split())
    return (plain if len(plain) <= TAG_CHARACTERS else f"{plain[: TAG_CHARACTERS - 1]}…") or None


def _row_if_changed(
    root: Path,
    folder_id: str,
    file: _Found,
    before: Mapping[str, Any] | None,
    track_of: Mapping[tuple[Any, ...], str],
    counts: ScanCounts,
) -> dict[str, Any] | None:
    """Return the row of a file that is new or changed; None for one that is as it was."""
    if file.problem is not None:
        counts.missing += file.is_missing and (before is None or before["reason"] == MISSING)
        counts.unreadable += not file.is_missing
        return _row_of(folder_id, file, file.problem, before)
    path = root / file.path
    try:
        stat = path.stat()
        facts: dict[str, Any] = {"size_bytes": stat.st_size, "modified_ns": stat.st_mtime_ns}
        if before is not None and _is_as_before(facts, file, before):
            return None
        facts |= {"content_id": content_id(path)}
    except OSError as error:
        counts.unreadable += 1
        message = f"{path.name} cannot be read ({error.strerror}); give the user that scans the right to read it"
        return _row_of(folder_id, file, _Problem("unreadable_file", message), before)
    track_id = track_of.get(_identity(facts))
    counts.new += before is None and track_id is None
    counts.moved += before is None and track_id is not None
    counts.changed += before is not None
    row = {"folder": folder_id, "path": file.path, **facts, **_described(path, file.listed)}
    if not path.resolve().is_relative_to(root.resolve()):
        message = f"{path.name} is a link that leads out of the library's folder; add the folder that it leads to"
        return {**row, "state": "failed", "reason": "outside_folder", "message": message, "retry": "never"}
    return {**row, "state": "present", "track_id": track_id}


def _row_of(folder_id: str, file: _Found, problem: _Problem, before: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the row of a file that cannot be used; None where it is known, or was there once and has vanished.

    It has no size and no time, so that the file is looked at again as soon as it can be.
    """
    if before is not None and (before["reason"] == problem.reason or file.is_missing):
        return None
    named = {"title": Path(file.path).stem, **_typed(file.listed)}
    why = {"reason": problem.reason, "message": problem.message, "retry": "never"}
    return {"folder": folder_id, "path": file.path, **named, "state": "failed", **why}


def _identity(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["content_id"], row["modified_ns"]


def _is_as_before(facts: Mapping[str, int], file: _Found, before: Mapping[str, Any]) -> bool:
    is_same_file = before["state"] != "vanished" and all(before[name] == facts[name] for name in FILE_CHANGES)
    return is_same_file and all(str(before[name]) == str(value) for name, value in _typed(file.listed).items())


def _described(path: Path, listed: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is said about a file, by its tags or, first of all, by a list."""
    try:
        tags = read_tags(path)
    except TAG_ERRORS:
        tags = Tags()  # decoding will report the reason
    stated = {
        "title": _plain(tags.title) or _plain(path.stem) or path.stem,
        "artist": _plain(tags.artist),
        "album": _plain(tags.album),
        "album_artist": _plain(tags.album_artist),
        "composer": _plain(tags.composer),
        "publisher": _plain(tags.publisher),
        "year": tags.year,
        "track_number": tags.track_number,
        "licence": _plain(tags.licence),
        "isrc": _plain(tags.isrc),
        "stated_seconds": tags.duration_seconds,
    }
    return stated | _typed(listed)


def _typed(listed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a list's row with their types; a year that is none is left out."""
    year = str(listed.get("year", ""))[:4]
    values = {name: value for name, value in listed.items() if name != "year"}
    return values | ({"year": int(year)} if year.isdecimal() else {})


def _kept(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row without what is filled in when it is recorded."""
    return {name: value for name, value in row.items() if name not in ("run_id", "recorded_at")}
