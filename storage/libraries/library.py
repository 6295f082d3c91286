"""A library: a user's own music that belongs to no film, as rows of files and tracks. The audio stays where it is.

    libraries/NAME/library.json             its folders by id, each a music folder or a CSV list
    libraries/NAME/mounts/MACHINE.json      where one machine sees each folder
    libraries/NAME/files/                   a row per file: its tags, state, and the track that it holds
    libraries/NAME/tracks/                  a row per track: what its audio is like
    libraries/NAME/embeddings/ENGINE/       every segment of every track as a run, or an audio encoder, hears it

A file is known by its folder and its path in it, so that another machine may mount the folder elsewhere. A track is
known by a hash of its decoded audio: two copies are one track, and new tags change nothing about it.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from storage.errors import InputError, LakeError
from storage.lake.lake import Lake
from storage.tables.duckdb_connection import connect, fetch_rows
from storage.tables.schemas import PROVENANCE, Table
from storage.tables.tables import append, empty_part_path, latest_sql

FOLDER = "libraries"
ABOUT = "library.json"
MOUNTS = "mounts"
MACHINE_VARIABLE = "NEEDLEDROP_MACHINE"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

FileState = Literal["present", "vanished", "failed"]
"""`vanished`: it was there at an earlier scan. `failed`: it cannot be decoded, for the reason in its row."""


def files_table(name: str) -> Table:
    """Return the table of a library's files; the newest row of a file counts."""
    columns = [
        ("folder", pa.string()),
        ("path", pa.string()),  # below the folder, with slashes
        ("size_bytes", pa.int64()),
        ("modified_ns", pa.int64()),
        ("content_id", pa.string()),  # of the file's bytes, tags included
        ("track_id", pa.string()),  # null until it was decoded
        ("state", pa.string()),
        ("reason", pa.string()),
        ("message", pa.string()),
        ("retry", pa.string()),  # never or later, of a failure
        ("title", pa.string()),
        ("artist", pa.string()),
        ("album", pa.string()),
        ("album_artist", pa.string()),  # null where the tags name none
        ("composer", pa.string()),
        ("publisher", pa.string()),
        ("year", pa.int32()),
        ("track_number", pa.int32()),
        ("licence", pa.string()),
        ("isrc", pa.string()),
        ("stated_seconds", pa.float64()),  # by the container, before it was decoded
    ]
    return Table(f"{FOLDER}/{name}/files", ("folder", "path"), pa.schema([*columns, *PROVENANCE]))


def tracks_table(name: str) -> Table:
    """Return the table of a library's tracks, which are known by their audio."""
    columns = [
        ("track_id", pa.string()),
        ("duration_seconds", pa.float64()),
        ("segments", pa.int32()),
        ("codec", pa.string()),
        ("sample_rate_hz", pa.int32()),
        ("loudness_lufs", pa.float32()),  # integrated, EBU R 128; null for silence
        ("loudness_range_lu", pa.float32()),
        ("tempo_bpm", pa.float32()),  # null where no pulse was found
        ("brightness_hz", pa.float32()),  # the mean spectral centroid
        ("silent_share", pa.float32()),  # of its segments
        ("energy_db", pa.list_(pa.float32())),  # one value per second, relative to full scale
        ("fingerprint", pa.binary()),
    ]
    return Table(f"{FOLDER}/{name}/tracks", ("track_id",), pa.schema([*columns, *PROVENANCE]))


@dataclass(frozen=True)
class MusicFolder:
    """A folder of a library: its id in the rows of files, its name, and the CSV list that names its files, if one."""

    id: str
    name: str
    list_name: str | None = None


@dataclass(frozen=True)
class Library:
    """A library of a lake, and its folders."""

    lake: Lake
    name: str
    folders: tuple[MusicFolder, ...]

    @property
    def root(self) -> str:
        """Return the library's folder in the lake."""
        return f"{FOLDER}/{self.name}"

    @property
    def files(self) -> Table:
        """Return the table of files."""
        return files_table(self.name)

    @property
    def tracks(self) -> Table:
        """Return the table of tracks."""
        return tracks_table(self.name)

    def stored_files(self, engine: str) -> list[str]:
        """Return the files of the lake that a search by an engine reads: once they change, it must read them again."""
        return [
            *self.lake.list(self.root, "files"),
            *self.lake.list(self.root, "tracks"),
            *self.lake.list(self.root, "embeddings", engine),
        ]

    def mounts(self) -> dict[str, Path]:
        """Return where this machine sees the library's folders, by their id."""
        path = (self.root, MOUNTS, f"{_machine()}.json")
        return (
            {id: Path(folder) for id, folder in _read_json(self.lake, *path).items()} if self.lake.exists(*path) else {}
        )

    def mounted(self, folder_id: str) -> Path:
        """Return where this machine sees a folder. Raises `InputError` when it is not known or not there."""
        where = self.mounts().get(folder_id)
        name = next((folder.name for folder in self.folders if folder.id == folder_id), folder_id)
        if where is None or not where.is_dir():
            seen = f"is not at {where}" if where else "is not known on this machine"
            raise InputError(
                f"The folder {name!r} of the library {self.name} {seen}; mount it, or say where it is with "
                f"`needledrop library add {self.name} FOLDER`"
            )
        return where

    def file_rows(self, columns: Sequence[str] = ("*",), where: str = "true") -> list[dict[str, Any]]:
        """Return the newest row of every file, in the order of folders and paths."""
        with connect(self.lake) as connection:
            query = f"SELECT {', '.join(columns)} FROM {latest_sql(self.lake, self.files)} WHERE {where}"
            return fetch_rows(connection, f"{query} ORDER BY folder, path")

    def lost_files(self) -> list[dict[str, Any]]:
        """Return the rows of files that have vanished, without those that were moved and whose track another holds."""
        rows = self.file_rows(("path", "state", "track_id", "content_id", "modified_ns"))
        there = [row for row in rows if row["state"] != "vanished"]
        tracks, bytes_there = ({row["track_id"] for row in there}, {_bytes_of(row) for row in there})
        gone = [row for row in rows if row["state"] == "vanished" and _bytes_of(row) not in bytes_there]
        return [row for row in gone if row["track_id"] is None or row["track_id"] not in tracks]

    def track_rows(self, columns: Sequence[str] = ("*",)) -> list[dict[str, Any]]:
        """Return the newest row of every track."""
        with connect(self.lake) as connection:
            query = f"SELECT {', '.join(columns)} FROM {latest_sql(self.lake, self.tracks)} ORDER BY track_id"
            return fetch_rows(connection, query)

    def find_files(self, track_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return the newest rows of the files that hold these tracks, each with the description of its track.

        Of the files of one track, those that are there come first.
        """
        wanted = "list_contains($track_ids, track_id)"
        tracks = latest_sql(self.lake, self.tracks, wanted)
        files = f"(SELECT * FROM {latest_sql(self.lake, self.files)} WHERE {wanted})"
        with connect(self.lake) as connection:
            query = f"SELECT * EXCLUDE (fingerprint) FROM {files} JOIN {tracks} AS described USING (track_id) "
            order = "ORDER BY (state = 'present') DESC, folder, path"
            return fetch_rows(connection, query + order, track_ids=list(track_ids))

    def holds(self, name: str) -> bool:
        """Return whether a name is the id of a track of the library, or the path of a file in one of its folders."""
        with connect(self.lake) as connection:
            query = f"SELECT 1 FROM {latest_sql(self.lake, self.files)} WHERE $name IN (track_id, path) LIMIT 1"
            return bool(fetch_rows(connection, query, name=name))

    def energy_curves(self, track_ids: Sequence[str]) -> dict[str, list[float]]:
        """Return the energy of tracks over time: one value per second, in dB relative to full scale."""
        tracks = latest_sql(self.lake, self.tracks, "list_contains($track_ids, track_id)")
        with connect(self.lake) as connection:
            rows = fetch_rows(connection, f"SELECT track_id, energy_db FROM {tracks}", track_ids=list(track_ids))
        return {row["track_id"]: row["energy_db"] or [] for row in rows}

    def record(self, table: Table, rows: Sequence[Mapping[str, Any]], run_id: str) -> None:
        """Commit rows of files or tracks."""
        append(self.lake, table, rows, run_id)


def lease_of(name: str) -> str:
    """Return the name of the lease under which a library is changed."""
    return f"library-{name}"


def library_names(lake: Lake) -> list[str]:
    """Return the names of the lake's libraries."""
    paths = (path.split("/") for path in lake.list(FOLDER, suffix=ABOUT))
    return sorted(path[1] for path in paths if len(path) == 3)


def open_library(lake: Lake, name: str) -> Library:
    """Return a library. Raises `InputError`, which names those that there are, where there is none of this name."""
    check_name(name)
    if not lake.exists(FOLDER, name, ABOUT):
        known = ", ".join(library_names(lake)) or "none"
        raise InputError(
            f"There is no library {name} in {lake.root} (there are: {known}); "
            f"make it with `needledrop library add {name} FOLDER`"
        )
    about = _read_json(lake, FOLDER, name, ABOUT)
    create_library_tables(lake, name)
    return Library(lake, name, tuple(MusicFolder(**folder) for folder in about["folders"]))


def create_library_tables(lake: Lake, name: str) -> None:
    """Give the tables of a library an empty part of the present schema, so that SQL finds columns added since."""
    for table in (files_table(name), tracks_table(name)):
        if not lake.exists(empty_part_path(table)):
            lake.write_table(table.schema.empty_table(), empty_part_path(table))


def check_name(name: str) -> None:
    """Raise `InputError` for a name that cannot be a folder of the lake."""
    if not _NAME.fullmatch(name):
        raise InputError(f"{name!r} cannot be a library's name; use letters, digits, dots, dashes and underscores")


def add_folder(lake: Lake, name: str, path: Path) -> tuple[Library, MusicFolder]:
    """Add a music folder or a CSV list to a library, which is made if need be, and note where this machine sees it.

    A folder that this machine knows, or one of the same name that it has not mounted yet, is not added again.
    """
    check_name(name)
    list_name = path.name if path.is_file() else None
    where = Path(os.path.abspath(path.parent if list_name else path))  # noqa: PTH100  without "..", links as they are
    _check_utf8(where)
    library = open_library(lake, name) if lake.exists(FOLDER, name, ABOUT) else Library(lake, name, ())
    create_library_tables(lake, name)
    folder = _known(library, where, list_name)
    if folder is None:
        number = 1 + max((int(known.id[1:]) for known in library.folders), default=0)
        folder = MusicFolder(f"f{number}", where.name or "music", list_name)
        library = Library(lake, name, (*library.folders, folder))
        folders = [vars(known) for known in library.folders]
        lake.write_json({"folders": folders, "made": datetime.now(UTC).isoformat()}, library.root, ABOUT)
    mounts = {id: str(at) for id, at in library.mounts().items()} | {folder.id: str(where)}
    lake.write_json(mounts, library.root, MOUNTS, f"{_machine()}.json")
    return library, folder


def _check_utf8(folder: Path) -> None:
    try:
        str(folder).encode()
    except UnicodeEncodeError as error:
        shown = os.fsencode(folder).decode("utf-8", "backslashreplace")
        raise InputError(f"The path {shown} is not in UTF-8, so it cannot be recorded; rename the folder") from error


def _known(library: Library, where: Path, list_name: str | None) -> MusicFolder | None:
    """Return the library's folder that this is: mounted there, or of its name and not mounted on this machine."""
    mounts = library.mounts()
    alike = [folder for folder in library.folders if folder.list_name == list_name]
    for folder in alike:
        if mounts.get(folder.id) == where:
            return folder
    unseen = (one for one in alike if one.id not in mounts or not mounts[one.id].is_dir())
    return next((one for one in unseen if one.name == where.name), None)


def remove_library(library: Library) -> None:
    """Delete everything that is kept of a library; the music itself is not touched."""
    library.lake.remove(library.root, ABOUT)  # first: without it there is no library, whatever is left of it
    library.lake.remove(library.root)


def _read_json(lake: Lake, *parts: str) -> dict[str, Any]:
    try:
        return dict(json.loads(lake.read_bytes(*parts)))
    except (ValueError, TypeError) as error:
        raise LakeError(f"{'/'.join(parts)} is damaged ({error}); restore it, or add the library again") from error


def _machine() -> str:
    """Return this machine's name as part of a file name; containers, whose names change, are given one."""
    name = os.environ.get(MACHINE_VARIABLE) or socket.gethostname()
    return re.sub(r"[^A-Za-z0-9-]+", "-", name).strip("-") or "machine"


def _bytes_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["content_id"], row["modified_ns"]
