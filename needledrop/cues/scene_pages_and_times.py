"""Scenes of a film: the pages of a script that each takes, where it is in the film, and how long it is.

What a script does not say of place and length is estimated by the lines that a scene takes on a page, and said to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from needledrop.cues.timecode import Timebase
from storage.errors import InputError

NAME_WORDS = 8
LINES_PER_PAGE = 55
ACTION_WIDTH, DIALOGUE_WIDTH = 60, 35
"""Characters per line on a page of a screenplay in 12-point Courier."""
SECONDS_PER_PAGE = 60
"""The usual estimate: a page of a screenplay is a minute."""
EIGHTHS = 8
"""Lengths of scenes are counted in eighths of a page, and none is shorter than one."""


@dataclass(frozen=True)
class Scene:
    """A scene: what is known of it, and by what music is searched for it."""

    name: str
    paragraphs: tuple[str, ...] = ()
    lines: int = 0
    """Lines that it takes on a page of a script."""
    start: int | None = None
    """The frame of its beginning, where it is given."""
    end: int | None = None
    """The frame after its last one."""
    tags: tuple[str, ...] = ()
    usage: str = ""
    notes: tuple[str, ...] = ()
    """What of it could not be read, and why: sentences for its user."""

    @property
    def is_described(self) -> bool:
        """Return whether there is anything to search by."""
        return bool(self.paragraphs or self.tags)


def first_words(text: str) -> str:
    """Return the beginning of a text as a name."""
    words = text.split()
    shown = " ".join(words[:NAME_WORDS])[:80]
    return shown if shown == text.strip() else f"{shown} …"


def script_lines(text: str, width: int) -> int:
    """Return how many lines of a page a text takes, of so many characters each."""
    return -(-len(text) // width)


def estimated_frames(lines: int, timebase: Timebase) -> int:
    """Return how long a scene of so many lines probably is: a minute per page, in eighths of a page."""
    eighths = max(1, -(-lines * EIGHTHS // LINES_PER_PAGE))
    return timebase.nearest_frame(SECONDS_PER_PAGE * eighths / EIGHTHS)


@dataclass(frozen=True)
class PlacedScene:
    """A scene with its place in the film, in frames."""

    number: int
    """From 1, in the order of the script."""
    scene: Scene
    start: int
    end: int
    estimated: Literal["", "length", "place and length"]
    """What of it is an estimate."""
    notes: tuple[str, ...]

    @property
    def frames(self) -> int:
        """Return its length."""
        return self.end - self.start


def place_scenes(scenes: Sequence[Scene], timebase: Timebase) -> list[PlacedScene]:
    """Return the scenes with their places: as given, else each after the one before it.

    Raises `InputError` when the film lasts 24 hours or more, where time codes begin again.
    """
    placed: list[PlacedScene] = []
    for number, scene in enumerate(scenes, 1):
        before = placed[-1].end if placed else 0
        later = [other.start for other in scenes[number:] if other.start is not None]
        one = _placed(number, scene, before, later[0] if later else None, timebase)
        placed.append(_with_overlap(one, placed, timebase))
    late = next((one for one in placed if one.end >= timebase.day), None)  # an edit list ends at 00:00:00:00 then
    if late is not None:
        raise InputError(
            f"Scene {late.number} ends after 24 hours or more, where time codes begin again; correct its time codes, "
            "or those of the scene that it follows, or split the script"
        )
    return placed


def _placed(number: int, scene: Scene, before: int, following: int | None, timebase: Timebase) -> PlacedScene:
    start, end, notes = scene.start, scene.end, list(scene.notes)
    if end is not None and end <= (start or 0):
        begins = timebase.label(start or 0)
        notes.append(f"its out {timebase.label(end)} is not after its in {begins}, so it is not used")
        end = None
    estimated: Literal["", "length", "place and length"] = "" if end is not None else "length"
    length = estimated_frames(scene.lines, timebase)
    if start is None:
        estimated = "place and length"
        start = before if end is None or before < end else max(0, end - length)
    if end is None:
        reaches_next = following is not None and start < following < start + length
        end = following if following is not None and reaches_next else start + length
    return PlacedScene(number, scene, start, end, estimated, tuple(notes))


def _with_overlap(one: PlacedScene, earlier: Sequence[PlacedScene], timebase: Timebase) -> PlacedScene:
    """Return a scene with a note where it begins before another one has ended."""
    overlapped = [other for other in earlier if other.start < one.end and one.start < other.end]
    if not overlapped:
        return one
    most = max(overlapped, key=lambda other: min(other.end, one.end) - max(other.start, one.start))
    frames = min(most.end, one.end) - max(most.start, one.start)
    note = f"it overlaps with scene {most.number} by {timebase.seconds(frames):.1f} s"
    return replace(one, notes=(*one.notes, note))
