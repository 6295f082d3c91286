"""Frames and time codes at the rates of film and video. Places and lengths are whole frames, so that nothing drifts.

OpenTimelineIO converts between frames and SMPTE time codes (ST 12-1). Drop-frame leaves out labels, not frames: at
29.97 fps `;00` and `;01` of every minute but each tenth, at 59.94 fps `;00` to `;03`. `29.97` means 30000/1001.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from opentimelineio.opentime import RationalTime

from storage.errors import InputError

RATES = {
    "23.976": Fraction(24000, 1001),
    "24": Fraction(24),
    "25": Fraction(25),
    "29.97": Fraction(30000, 1001),
    "30": Fraction(30),
    "48": Fraction(48),
    "50": Fraction(50),
    "59.94": Fraction(60000, 1001),
    "60": Fraction(60),
}
"""Frames per second, as they are called and as they are."""
DROP_FRAME_RATES = ("29.97", "59.94")
_NEAR = Fraction(1, 200)
"""23.98 is 23.976, and no other rate is so near."""
_LABEL = re.compile(r"([0-9]{1,2})[:;]([0-9]{1,2})[:;]([0-9]{1,2})([:;])([0-9]{1,3})")
_RATE = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6}|/[1-9][0-9]{0,5})?")
DROP_FRAME = re.compile(r"(?:[0-9]{1,2}[:;]){2}[0-9]{1,2};[0-9]{1,3}")
"""A time code whose last mark says that it is drop-frame."""
_CLOCK = re.compile(r"(?:(?:([0-9]{1,2}):)?([0-9]{1,3}):)?([0-9]{1,6}(?:[.,][0-9]+)?)\s*s?")


@dataclass(frozen=True)
class Timebase:
    """A frame rate, and whether its time codes are drop-frame."""

    name: str
    """As in `RATES`."""
    drop_frame: bool = False

    @property
    def rate(self) -> float:
        """Return the frames per second, as OpenTimelineIO states them."""
        return float(RATES[self.name])

    @property
    def day(self) -> int:
        """Return the frames until time codes begin again, after 24 hours of labels."""
        nominal = round(RATES[self.name])
        dropped = (nominal // 30 * 2) * 9 * 6 * 24 if self.drop_frame else 0
        return nominal * 24 * 3600 - dropped

    def time(self, frames: int) -> RationalTime:
        """Return frames as OpenTimelineIO's time."""
        return RationalTime(frames, self.rate)

    def label(self, frames: int) -> str:
        """Return the time code of a frame: 01:00:00:00, or 01:00:00;00 in drop-frame."""
        rate = self._counting_rate(self.drop_frame)
        return str(RationalTime(frames, rate).to_timecode(rate, self.drop_frame))

    def _counting_rate(self, drop_frame: bool) -> float:
        """Return the rate at which labels count: without drop-frame 30 for 29.97.

        OpenTimelineIO begins again after 24 hours of real time, where labels without drop-frame are not there yet.
        """
        return self.rate if drop_frame else float(round(RATES[self.name]))

    def seconds(self, frames: int) -> float:
        """Return frames as seconds of real time."""
        return float(frames / RATES[self.name])

    def nearest_frame(self, seconds: float) -> int:
        """Return the frame nearest to a second."""
        return round(Fraction(seconds) * RATES[self.name])

    def whole_frames(self, seconds: float) -> int:
        """Return how many frames fit into a length."""
        return int(Fraction(seconds) * RATES[self.name])

    def frames(self, text: str) -> int:
        """Return the frame of a time code, or of a time in hours, minutes and seconds or in seconds.

        Time codes have frames (`01:02:03:04`, and `01:02:03;04` for drop-frame); `01:02:03.5`, `2:03` and `123.5` are
        real time. Raises `InputError` for anything else, and for a label that does not exist at this rate.
        """
        text = text.strip()
        label, clock = _LABEL.fullmatch(text), _CLOCK.fullmatch(text)
        if label is not None:
            return self._labelled(text, *label.groups())
        if clock is None:
            raise InputError(f"{text!r} is no time code; write 01:02:03:04, 01:02:03.5 or seconds")
        hours, minutes, seconds = (Fraction((part or "0").replace(",", ".")) for part in clock.groups())
        frame = round((3600 * hours + 60 * minutes + seconds) * RATES[self.name])
        if frame >= self.day:
            raise InputError(f"{text} is after 24 hours, where time codes begin again")
        return frame

    def _labelled(self, text: str, hours: str, minutes: str, seconds: str, mark: str, frames: str) -> int:
        nominal = round(RATES[self.name])
        if int(hours) >= 24 or int(minutes) >= 60 or int(seconds) >= 60:
            raise InputError(f"{text} is no time code: hours end at 23, minutes and seconds at 59")
        if int(frames) >= nominal:
            raise InputError(f"{text} is no time code at {self.name} fps, where frames end at {nominal - 1}")
        if mark == ";" and self.name not in DROP_FRAME_RATES:
            raise InputError(f"{text} is drop-frame, which there is not at {self.name} fps; give --fps 29.97 or 59.94")
        drops = self.drop_frame or mark == ";"
        written = f"{int(hours):02}:{int(minutes):02}:{int(seconds):02}{';' if drops else ':'}{int(frames):02}"
        rate = self._counting_rate(drops)
        time = RationalTime.from_timecode(written, rate)
        if time.to_timecode(rate, drops) != written:
            raise InputError(f"{text} does not exist in drop-frame: the first labels of a minute are left out")
        return int(time.value)


def open_timebase(fps: str, *, drop_frame: bool = False) -> Timebase:
    """Return the timebase of a frame rate as typed: 24, 29.97, 23.98, 30000/1001.

    Raises `InputError` for a rate that film and video do not have, and for drop-frame where there is none.
    """
    known = ", ".join(RATES)
    if _RATE.fullmatch(fps.strip()) is None:
        raise InputError(f"--fps {fps!r} is no frame rate; give one of {known}")
    typed = Fraction(fps.strip())
    name = next((name for name, rate in RATES.items() if abs(rate - typed) < _NEAR), None)
    if name is None:
        raise InputError(f"--fps {fps} is no frame rate of film or video; give one of {known}")
    if drop_frame and name not in DROP_FRAME_RATES:
        raise InputError(
            f"--drop-frame counts at 29.97 and 59.94 fps only, not at {name}; leave it out or change --fps"
        )
    return Timebase(name, drop_frame)
