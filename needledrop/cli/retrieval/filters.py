"""Filters of tracks as typed: ranges of tempo, loudness and years, and lengths."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage.errors import InputError

if TYPE_CHECKING:
    from training.retrieval.library_search import Range, TrackFilter

_NUMBER = r"[-−]?\d+(?:\.\d+)?"
_RANGE = re.compile(rf"\s*(?P<low>{_NUMBER})?\s*(?:\.\.|to|-|–)\s*(?P<high>{_NUMBER})?\s*")
_CLOCK = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class FilterOptions:
    """Which tracks are wanted, as typed."""

    min_duration: str | None = None
    max_duration: str | None = None
    tempo: str | None = None
    loudness: str | None = None
    year: str | None = None
    licence: str | None = None
    artist: str | None = None

    def read(self) -> TrackFilter:
        """Return the filter. Raises `InputError` for a range or a length that cannot be read."""
        from training.retrieval.library_search import TrackFilter

        shortest = read_seconds("--min-duration", self.min_duration)
        longest = read_seconds("--max-duration", self.max_duration)
        if shortest is not None and longest is not None and shortest > longest:
            raise InputError(
                f"--min-duration {self.min_duration} is longer than --max-duration {self.max_duration}; exchange them"
            )
        return TrackFilter(
            seconds=(shortest, longest),
            tempo_bpm=read_range("--tempo", self.tempo, "90-120"),
            loudness_lufs=read_range("--loudness", self.loudness, "-23..-14"),
            year=read_years(self.year),
            licence=self.licence,
            artist=self.artist,
        )


def read_range(flag: str, text: str | None, example: str) -> Range:
    """Return the two ends of a range as typed: 90-120, 90-, ..120, -23..-14, -23 to -14.

    Raises `InputError` for anything else, and for a range whose end is below its beginning.
    """
    if text is None:
        return None, None
    match = _RANGE.fullmatch(text) if not re.fullmatch(_NUMBER, text.strip()) else None
    if match is None or not any(match.groups()):
        raise InputError(f"{flag} {text!r} is no range; write two numbers, as in {example}, or leave one end open")
    low, high = (None if end is None else float(end.replace("−", "-")) for end in (match["low"], match["high"]))
    if low is not None and high is not None and low > high:
        raise InputError(f"{flag} {text!r} ends below its beginning; write the smaller number first, as in {example}")
    return low, high


def read_years(text: str | None) -> Range:
    """Return the two ends of a range of years as typed; one year alone is itself. Raises `InputError`."""
    one = (text or "").strip()
    return read_range("--year", f"{one}-{one}" if re.fullmatch(r"\d{4}", one) else text, "1990-2005")


def read_seconds(flag: str, text: str | None) -> float | None:
    """Return a length typed as seconds, minutes and seconds, or hours: 90, 1:30, 1:02:03. Raises `InputError`."""
    if text is None:
        return None
    match = _CLOCK.fullmatch(text.strip())
    if match is None:
        raise InputError(f"{flag} {text!r} is no length; write seconds or minutes and seconds, as in 90 or 1:30")
    hours, minutes, seconds = match.groups()
    return 3600 * int(hours or 0) + 60 * int(minutes or 0) + float(seconds)
