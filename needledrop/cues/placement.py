"""Where each scene is in the film, and how long it is. What a script does not say is estimated, and said to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from needledrop.cues.scenes import Scene
from needledrop.cues.script_pages import estimated_frames
from needledrop.cues.timecode import Timebase
from storage.errors import InputError


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
