"""The page of a screenplay: how many lines a text takes on it, and how long what is written on it lasts."""

from __future__ import annotations

from needledrop.cues.timecode import Timebase

LINES_PER_PAGE = 55
ACTION_WIDTH, DIALOGUE_WIDTH = 60, 35
"""Characters per line on a page of a screenplay in 12-point Courier."""
SECONDS_PER_PAGE = 60
"""The usual estimate: a page of a screenplay is a minute."""
EIGHTHS = 8
"""Lengths of scenes are counted in eighths of a page, and none is shorter than one."""


def script_lines(text: str, width: int) -> int:
    """Return how many lines of a page a text takes, of so many characters each."""
    return -(-len(text) // width)


def estimated_frames(lines: int, timebase: Timebase) -> int:
    """Return how long a scene of so many lines probably is: a minute per page, in eighths of a page."""
    eighths = max(1, -(-lines * EIGHTHS // LINES_PER_PAGE))
    return timebase.nearest_frame(SECONDS_PER_PAGE * eighths / EIGHTHS)
