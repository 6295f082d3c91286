"""Scenes from a CSV list: one row per scene, with time codes if there are any.

A row is never left out: what of it cannot be read becomes a note of its scene.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from needledrop.cues.scene_pages_and_times import ACTION_WIDTH, Scene, first_words, script_lines
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
