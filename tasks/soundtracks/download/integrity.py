"""A downloaded file is believed after it was decoded to its end.

Half files, splices of two renditions, web pages saved as audio and empty files all end as "success" in
the downloader; decoding costs a fifth of a second and catches every one of them.
"""

from __future__ import annotations

from pathlib import Path

import av
from av.error import FFmpegError

from storage.errors import ItemError
from tasks.soundtracks.audio.decode import AudioFile, length_tolerance_seconds
from tasks.soundtracks.download.error_rules import RULES
from tasks.soundtracks.download.errors import Failure
from tasks.soundtracks.download.ytdlp import CallFailed

_CHECK_RATE_HZ = 22_050


def verify_audio(path: Path, stated_seconds: float | None) -> float:
    """Decode a file to its end; returns its seconds.

    Compares with what the source states or, if it states nothing, with the file's own header.
    Raises `CallFailed` with reason `bad_audio`.
    """
    audio = AudioFile(str(path), _CHECK_RATE_HZ)
    try:
        for _block in audio.blocks():
            continue
    except ItemError as error:
        raise _bad(f"The download is no whole recording: {error}") from error
    expected = stated_seconds or _header_seconds(path)
    if expected and abs(audio.decoded_seconds - expected) > length_tolerance_seconds(expected):
        raise _bad(f"The download lasts {audio.decoded_seconds:.1f} s, its source says {expected:.1f} s")
    if audio.broken_packets:
        raise _bad(f"{audio.broken_packets} of {audio.packets} packets of the download are broken")
    return audio.decoded_seconds


def _header_seconds(path: Path) -> float | None:
    try:
        with av.open(str(path.absolute()), metadata_errors="replace") as container:
            return container.duration / av.time_base if container.duration and container.duration > 0 else None
    except (FFmpegError, ValueError):
        return None


def _bad(message: str) -> CallFailed:
    return CallFailed(Failure("bad_audio", RULES["bad_audio"].action, message))
