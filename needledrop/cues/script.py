"""Read the file of a script: its bytes become text, and the text scenes, by the form that it has.

Of plain text each paragraph is a scene.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, replace
from pathlib import Path

from needledrop.cues.fountain import fountain_scenes, screenplay_as_fountain, without_notes
from needledrop.cues.scene_list import ACTION_WIDTH, Scene, first_words, listed_scenes, script_lines
from needledrop.cues.timecode import Timebase
from storage.errors import InputError

MOST_BYTES = 4_000_000
"""More than a thousand pages."""
MOST_SCENES = 999
"""What the event numbers of a CMX3600 edit decision list count."""
FEW_WORDS = 3
LIST_SUFFIXES = (".csv", ".tsv")
FOUNTAIN_SUFFIXES = (".fountain", ".spmd")
OTHER_FORMATS = {
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a Word, Pages or ZIP file",
    b"\xd0\xcf\x11\xe0": "an old Word file",
    b"{\\rtf": "an RTF file",
    b"<?xml": "an XML file, such as those of Final Draft",
}
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\ufffe\uffff]")
_MOST_CONTROL = 0.005


@dataclass(frozen=True)
class Script:
    """The scenes of a script, and what of it as a whole could not be read."""

    scenes: tuple[Scene, ...]
    timebase: Timebase
    """As asked for, or drop-frame where the list has such time codes."""
    notes: tuple[str, ...] = ()


def read_script(path: Path, timebase: Timebase) -> Script:
    """Return the scenes of a file: a CSV list by its suffix, a screenplay by its headings, otherwise paragraphs.

    Raises `InputError` for a file that is missing, too large, not text, or without a scene.
    """
    text = decoded(_bytes(path), path.name)
    if not text.strip():
        raise InputError(f"{path.name} is empty; give scenes as paragraphs, as Fountain, or as rows of a CSV list")
    try:
        script = _read(text, path.suffix.lower(), timebase)
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from error
    if not script.scenes:
        raise InputError(f"{path.name} has no scene; give scenes as paragraphs, as Fountain, or as rows of a CSV list")
    if len(script.scenes) > MOST_SCENES:
        raise InputError(
            f"{path.name} has {len(script.scenes):,} scenes, and an edit decision list holds {MOST_SCENES}; split it"
        )
    return replace(script, scenes=tuple(_noted(scene) for scene in script.scenes))


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"The script {path} cannot be read ({error.strerror}); give a text file") from error
    if len(content) > MOST_BYTES:
        raise InputError(
            f"{path.name} is larger than {MOST_BYTES // 1_000_000} MB, more than a thousand pages of a script; split it"
        )
    return content


def decoded(content: bytes, name: str) -> str:
    r"""Return the text of a file in UTF-8, UTF-16 or the Western code page of Windows, its lines ending in `\n`.

    Raises `InputError` for what is no text.
    """
    for start, format_name in OTHER_FORMATS.items():
        if content.startswith(start):
            raise InputError(f"{name} is {format_name}, and no text; export the script as .fountain, .txt or .csv")
    text = re.sub(r"\r\n?|[\v\f\x85\u2028\u2029]", "\n", _text(content))
    controls = len(_CONTROL.findall(text))
    if controls > _MOST_CONTROL * len(text):
        raise InputError(f"{name} is no text; give a script as .txt, .fountain or .csv")
    return _CONTROL.sub("", text)


def _text(content: bytes) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding, "replace")
    head = content[:4096]
    for encoding, low in (
        ("utf-16-le", 1),
        ("utf-16-be", 0),
    ):  # without a mark: Western letters have every other byte 0
        if len(head) > 1 and head[low::2].count(0) > 0.4 * (len(head) // 2) and not head[1 - low :: 2].count(0):
            return content.decode(encoding, "replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        try:
            return content.decode("cp1252")
        except UnicodeDecodeError:
            return content.decode("latin-1")


def _read(text: str, suffix: str, timebase: Timebase) -> Script:
    if suffix in LIST_SUFFIXES:
        found = listed_scenes(text, timebase)
        return Script(found.scenes, found.timebase, found.notes)
    if suffix in FOUNTAIN_SUFFIXES:
        scenes = fountain_scenes(text)
        if scenes:
            return Script(tuple(scenes), timebase)
        note = "The script has no scene headings, so each paragraph is taken for a scene"
        return Script(tuple(plain_scenes(without_notes(text))), timebase, (note,))
    screenplay = screenplay_as_fountain(text)
    return Script(tuple(fountain_scenes(screenplay) if screenplay else plain_scenes(text)), timebase)


def _noted(scene: Scene) -> Scene:
    """Return a scene with a note where its text says too little."""
    words = sum(len(paragraph.split()) for paragraph in scene.paragraphs)
    if not words and not scene.tags:
        note = "it has no text, so there is nothing to search by"
    elif 0 < words < FEW_WORDS and not scene.tags:
        note = f"its text has {words} word{'s' * (words > 1)}, so what is found is hardly better than chance"
    else:
        return scene
    return replace(scene, notes=(*scene.notes, note))


def plain_scenes(text: str) -> list[Scene]:
    """Return one scene per paragraph. Without an empty line, each line is one, if most of them end a sentence."""
    blocks = [block for block in re.split(r"\n[ \t]*\n", text) if block.strip()]
    lines = [line for line in text.split("\n") if line.strip()]
    if len(blocks) == 1 and sum(line.rstrip()[-1] in '.!?…"”)»' for line in lines) > 0.8 * len(lines):
        blocks = lines
    return [_plain_scene(block) for block in blocks]


def _plain_scene(block: str) -> Scene:
    text = " ".join(block.split())
    return Scene(first_words(text), (text,), script_lines(text, ACTION_WIDTH) + 1)
