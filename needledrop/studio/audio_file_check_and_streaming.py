"""The file of a track: found by id, checked again before it is opened, and sent whole or in ranges.

Only files of an indexed library are sent. Between indexing and now a folder may have been unmounted, a file replaced,
a link turned elsewhere. So the path is resolved and must still be inside of its folder, the opened file is the one that
was resolved, and its size and time are those that were indexed; where they are not, its audio is hashed again.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from needledrop.studio.api_responses import Refusal
from needledrop.studio.transcoding import Wave, as_wave, playable_type
from storage.errors import InputError, ItemError
from storage.libraries.library import Library
from storage.mels.settings_and_shard_format import MelSettings
from tasks.soundtracks.audio.decode import AudioFile
from tasks.soundtracks.audio.descriptors import Listener

CHUNK_BYTES = 1 << 18
HASHES_KEPT = 256
_RANGE = re.compile(r"bytes=\s*(\d*)\s*-\s*(\d*)\s*", re.I)
_verified: dict[tuple[str, int, int, int], str] = {}
"""Device, inode, size and time of files whose audio was hashed again -> their track."""

Read = Callable[[int, int], Iterator[bytes]]
"""Yields the bytes from a first one up to, and without, a last one."""


@dataclass(frozen=True)
class Sound:
    """What is sent of a track: the file as it is, or a WAV that is made of it on the way."""

    size: int
    media_type: str
    tag: str
    """Changes with the file: a browser does not join parts of two files."""
    read: Read
    close: Callable[[], None]


def open_sound(library: Library, files: Sequence[Mapping[str, Any]]) -> Sound:
    """Open the sound of a track, from the first of its files that is as it was indexed.

    Raises `Refusal` with a sentence where there is none: 404 vanished, 503 not mounted, 409 changed, 403 elsewhere.
    """
    refusal = Refusal(404, f"{files[0]['path']} has vanished; `needledrop library index {library.name}` finds it again")
    for file in files:
        if file["state"] != "present":
            continue
        try:
            opened = open_file(library, file)
        except Refusal as error:
            refusal = error
            continue
        return _sound(opened, file)
    raise refusal


def open_file(library: Library, row: Mapping[str, Any]) -> BinaryIO:
    """Open a file of a library, if it is inside of its folder and holds the track that was indexed."""
    folder = next((one.name for one in library.folders if one.id == row["folder"]), "")
    try:
        root = library.mounted(row["folder"])
    except InputError as error:
        raise Refusal(
            503,
            f"The folder {folder} of the library {library.name} is not mounted on this machine; mount it and try again",
        ) from error
    vanished = Refusal(
        404, f"{row['path']} is not in the folder {folder} any more; put it back, or index the library again"
    )
    try:
        path = (root / str(row["path"])).resolve(strict=True)
        if not path.is_relative_to(root.resolve(strict=True)):
            raise Refusal(403, f"{row['path']} leads out of the library's folder, so it is not played")
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    except (OSError, RuntimeError, ValueError) as error:
        raise vanished from error
    try:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or _path_of(file) not in (None, path):
            raise vanished
        if (found.st_size, found.st_mtime_ns) != (row["size_bytes"], row["modified_ns"]):
            _check_audio(file, path, found, row, library.name)
    except BaseException:
        file.close()
        raise
    return file


def _path_of(file: BinaryIO) -> Path | None:
    """Return where an open file really is; None where the system does not say."""
    with suppress(OSError):
        return Path(f"/proc/self/fd/{file.fileno()}").readlink()
    return None


def _check_audio(file: BinaryIO, path: Path, found: os.stat_result, row: Mapping[str, Any], library: str) -> None:
    """Refuse a file whose audio is not the indexed one; new tags alone change nothing about it.

    It is the opened file that is heard, where the system has a name for it: the path may lead elsewhere by now.
    """
    key = (str(found.st_dev), found.st_ino, found.st_size, found.st_mtime_ns)
    if key not in _verified:
        listener, name = Listener(), f"/proc/self/fd/{file.fileno()}" if _path_of(file) else str(path)
        try:
            for _ in listener.through(AudioFile(name, MelSettings().sample_rate_hz).blocks()):
                pass
            heard = str(listener.facts()["audio_id"])
        except ItemError:
            heard = ""
        _verified[key] = heard
        for oldest in list(_verified)[:-HASHES_KEPT]:
            _verified.pop(oldest, None)
    if _verified[key] != row["track_id"]:
        raise Refusal(409, f"{row['path']} has changed since it was indexed; run `needledrop library index {library}`")


def _sound(file: BinaryIO, row: Mapping[str, Any]) -> Sound:
    found = os.fstat(file.fileno())
    tag = hashlib.sha256(f"{row['track_id']} {found.st_size} {found.st_mtime_ns}".encode()).hexdigest()[:24]
    media_type = playable_type(file)
    if media_type is not None:
        return Sound(found.st_size, media_type, f'"{tag}"', partial(_file_bytes, file), file.close)
    try:
        wave: Wave = as_wave(file, row["duration_seconds"])
    except ItemError as error:
        file.close()
        raise Refusal(415, f"{row['path']} cannot be played: {error}") from error
    return Sound(wave.size, "audio/wav", f'"{tag}-wav"', wave.read, file.close)


def _file_bytes(file: BinaryIO, first: int, last: int) -> Iterator[bytes]:
    file.seek(first)
    while first < last:
        piece = file.read(min(CHUNK_BYTES, last - first))
        if not piece:
            return  # cut off meanwhile
        first += len(piece)
        yield piece


def read_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return the first byte and the one after the last that a `Range` header asks for; None for all of them.

    A header that cannot be read, or that asks for several ranges, is ignored, as RFC 9110 (14.2) allows.
    Raises `Refusal` (416) for a range that begins after the end.
    """
    found = _RANGE.fullmatch(header.strip()) if header else None
    if found is None or found.groups() == ("", ""):
        return None
    first, last = (number if len(number) <= 18 else "9" * 18 for number in found.groups())  # more than any file has
    if not first:
        start, stop = size - min(int(last), size), size
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < int(first):
            return None  # not a valid range
    if start >= size:
        raise Refusal(416, "The range begins after the end of the file")
    return start, stop


def answer(sound: Sound, method: str, headers: Mapping[str, str]) -> Response:
    """Return the response to a request for a sound: whole, a range of it, or its headers alone."""
    shown = {
        "Accept-Ranges": "bytes",
        "ETag": sound.tag,
        "Cache-Control": "private, max-age=3600",
        "Content-Type": sound.media_type,
    }
    condition = headers.get("if-range")
    try:
        wanted = read_range(headers.get("range"), sound.size) if condition in (None, sound.tag) else None
    except Refusal as refusal:
        sound.close()
        body = b"" if method == "HEAD" else str(refusal).encode()
        kept = {"Content-Range": f"bytes */{sound.size}", "Content-Type": "text/plain; charset=utf-8"}
        return Response(body, 416, {**shown, **kept})
    if headers.get("if-none-match") == sound.tag and wanted is None:
        sound.close()
        return Response(status_code=304, headers=shown)
    first, last = wanted or (0, sound.size)
    if wanted:
        shown["Content-Range"] = f"bytes {first}-{last - 1}/{sound.size}"
    shown["Content-Length"] = str(last - first)
    status = 206 if wanted else 200
    if method == "HEAD":
        sound.close()
        return Response(status_code=status, headers=shown)
    return _Streamed(sound, first, last, status, shown)


class _Streamed(StreamingResponse):
    """Bytes of a sound, whose file is closed however the response ends."""

    def __init__(self, sound: Sound, first: int, last: int, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(sound.read(first, last), status, headers)
        self._sound = sound

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send the bytes, then close the file."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await run_in_threadpool(self._sound.close)
