"""Verify a download by decoding it completely.

yt-dlp reports success for truncated files, splices of two formats, web pages saved as audio and empty files; decoding
takes a fifth of a second and detects all of them.
"""

from __future__ import annotations

from pathlib import Path

import av
from av.error import FFmpegError

from storage.errors import ItemError
from tasks.soundtracks.audio.decode import AudioFile, length_tolerance_seconds
from tasks.soundtracks.download.error_rules import RULES, CallKind
from tasks.soundtracks.download.errors import Failure
from tasks.soundtracks.download.ytdlp import CallFailed

_CHECK_RATE_HZ = 22_050


def verify_audio(path: Path, stated_seconds: float | None) -> float:
    """Decode a file completely and return its length in seconds.

    The length is compared with the one that the source states or, without one, with the file's header.
    Raises `CallFailed` with reason `bad_audio`.
    """
    audio = AudioFile(str(path), _CHECK_RATE_HZ)
    try:
        for _block in audio.blocks():
            pass
    except ItemError as error:
        raise _bad_audio(f"The download is no complete recording: {error}") from error
    expected = stated_seconds or _header_seconds(path)
    if expected and abs(audio.decoded_seconds - expected) > length_tolerance_seconds(expected):
        raise _bad_audio(f"The download lasts {audio.decoded_seconds:.1f} s, but its source states {expected:.1f} s")
    if audio.broken_packets:
        raise _bad_audio(f"{audio.broken_packets} of {audio.packets} packets of the download are broken")
    return audio.decoded_seconds


def _header_seconds(path: Path) -> float | None:
    try:
        with av.open(str(path.absolute()), metadata_errors="replace") as container:
            return container.duration / av.time_base if container.duration and container.duration > 0 else None
    except (FFmpegError, ValueError):
        return None


def _bad_audio(message: str) -> CallFailed:
    return CallFailed(Failure("bad_audio", RULES["bad_audio"].action, message, kind=CallKind.MEDIA))
