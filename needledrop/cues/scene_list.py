"""The scenes of a film: read from a CSV list, one row per scene, and placed in the film.

A row is never left out: what of it cannot be read becomes a note of its scene. A scene is as long as its time codes
say, or else as the pages that it takes. What a script does not say of place and length is estimated by the lines that a
scene takes on a page, and said to be.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from needledrop.cues.timecode import DROP_FRAME, DROP_FRAME_RATES, Timebase
from storage.errors import InputError

COLUMNS = {
    "scene": ("scene", "scene number", "scene no", "number", "no", "nr", "cue", "#", "name", "heading"),
    "text": ("description", "text", "synopsis", "plot", "summary", "action", "content"),
    "in": ("in", "start", "begin", "from", "tc in", "time in", "timecode in", "start tc", "record in", "start time"),
    "out": ("out", "end", "to", "tc out", "time out", "timecode out", "end tc", "record out", "end time"),
    "length": ("length", "duration", "dur"),
    "tags": ("tags", "tag", "mood", "moods", "genre", "genres"),
    "usage": ("usage", "use"),
}
"""What is read of a row, and the headings under which it is found."""
SEPARATORS = ",;\t|"
CELL_CHARACTERS = 1_000_000
Cells = Mapping[str, str]
NAME_WORDS = 8
LINES_PER_PAGE = 55
ACTION_WIDTH, DIALOGUE_WIDTH = 60, 35
"""Characters per line on a page of a screenplay in 12-point Courier."""
SECONDS_PER_PAGE = 60
"""The usual estimate: a page of a screenplay is a minute."""
EIGHTHS = 8
"""Lengths of scenes are counted in eighths of a page, and none is shorter than one."""


@dataclass(frozen=True)
class SceneList:
    """The scenes of a list, and what of the list as a whole was not read."""

    scenes: tuple[Scene, ...]
    timebase: Timebase
    notes: tuple[str, ...]


def listed_scenes(text: str, timebase: Timebase) -> SceneList:
    """Return the scenes of a list, whose first row names its columns; commas, semicolons or tabs separate cells.

    Raises `InputError` when no column describes a scene.
    """
    rows = [row for row in _rows(text) if any(cell.strip() for cell in row)]
    if not rows:
        raise InputError("The list is empty; its first row names the columns: scene,description,in,out,tags")
    heads = [_column(cell) for cell in rows[0]]
    if not {"text", "scene", "tags"} & set(heads):
        named = ", ".join(repr(cell.strip()) for cell in rows[0][:8])
        raise InputError(
            f"The first row ({named[:200]}) names no column of a list of scenes; name them in it: "
            "scene,description,in,out,tags"
        )
    unknown = [cell.strip() for cell, head in zip(rows[0], heads, strict=True) if head is None and cell.strip()]
    notes = [f"The columns {', '.join(unknown)} are not read"] if unknown else []
    repeated = sorted({head for head in heads if head and heads.count(head) > 1})
    if repeated:
        notes.append(f"Several columns say {', '.join(repeated)}; the first of them counts")
    if not timebase.drop_frame and timebase.name in DROP_FRAME_RATES and _has_drop_frame(heads, rows[1:]):
        timebase = replace(timebase, drop_frame=True)
        notes.append("A time code has a semicolon, so all are taken for drop-frame")
    return SceneList(tuple(_scene(heads, row, timebase) for row in rows[1:]), timebase, tuple(notes))


def _has_drop_frame(heads: Sequence[str | None], rows: Sequence[Sequence[str]]) -> bool:
    timed = ("in", "out", "length")
    cells = (cell.strip() for row in rows for head, cell in zip(heads, row, strict=False) if head in timed)
    return any(DROP_FRAME.fullmatch(cell) for cell in cells)


def _rows(text: str) -> list[list[str]]:
    head = text.lstrip("\n").split("\n", 1)[0]
    separator = max(SEPARATORS, key=head.count)
    limit = csv.field_size_limit(CELL_CHARACTERS)
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error as error:
        raise InputError(f"The list cannot be read ({error}); check that every quotation mark is closed") from error
    finally:
        csv.field_size_limit(limit)


def _column(cell: str) -> str | None:
    name = " ".join(re.sub(r"[_.-]", " ", cell.casefold()).split())
    return next((column for column, names in COLUMNS.items() if name in names), None)


def _scene(heads: Sequence[str | None], row: Sequence[str], timebase: Timebase) -> Scene:
    cells: dict[str, str] = {}
    for head, cell in zip(heads, row, strict=False):
        if head is not None:
            cells.setdefault(head, cell.strip())
    notes = []
    if any(cell.strip() for cell in row[len(heads) :]):
        notes.append("the row has more cells than there are columns; put texts with commas into quotation marks")
    start, end = (_frame(cells, name, timebase, notes) for name in ("in", "out"))
    length = _frame(cells, "length", timebase, notes)
    if end is None and start is not None and length:
        end = start + length
    text = cells.get("text", "")
    paragraphs = tuple(" ".join(part.split()) for part in re.split(r"\n\s*\n", text) if part.strip())
    name = " ".join(cells.get("scene", "").split())
    if not paragraphs and re.search(r"[^\W\d_]{3}", name):
        paragraphs = (name,)
    tags = tuple(tag.strip() for tag in re.split(r"[;,|]", cells.get("tags", "")) if tag.strip())
    lines = sum(script_lines(part, ACTION_WIDTH) + 1 for part in paragraphs)
    shown = name or (first_words(paragraphs[0]) if paragraphs else "")
    return Scene(shown, paragraphs, lines, start, end, tags, cells.get("usage", ""), tuple(notes))


def _frame(cells: Cells, name: str, timebase: Timebase, notes: list[str]) -> int | None:
    """Return the frame in a cell, or None and a note of why there is none."""
    if not cells.get(name):
        return None
    try:
        return timebase.frames(cells[name])
    except InputError as error:
        notes.append(f"{name}: {error}")
        return None


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
