"""Read scenes from a screenplay in Fountain (https://fountain.io/syntax), or exported as text.

Of a screenplay what is seen and said is searched by: action, dialogue and how it is spoken, synopses. Names of
speakers, transitions, sections, notes and the title page say nothing about music, and are left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from needledrop.cues.scene_list import ACTION_WIDTH, DIALOGUE_WIDTH, Scene, script_lines

TITLE_KEYS = frozenset(
    (
        "title", "credit", "author", "authors", "source", "notes", "draft date", "date", "contact", "contact info",
        "copyright", "revision", "format", "font", "language", "tl", "tc", "tr", "bl", "br", "cc",
    )
)  # fmt: skip
HEADING_CHARACTERS = 200
"""A longer line is no heading."""
_HEADING = re.compile(r"(?:INT\.?/EXT|EXT\.?/INT|INT|EXT|EST|I\.?/E)(?:[.\s].*)", re.I)
_FORCED_HEADING = re.compile(r"\.(?=\w)(.*)")
_SCENE_NUMBER = re.compile(r"\s*#([^#\s][^#]{0,20})#\s*$")
_TRANSITION = re.compile(r"[^a-z]*\bTO:|FADE (?:IN|OUT|TO BLACK)[.:]?")
_EMPHASIS = re.compile(r"(?<!\\)[*_]+")
_SCREENPLAY_HEADING = re.compile(
    r"(?:(?P<number>[0-9]+[A-Z]?)[.)]? )?(?P<heading>(?:INT|EXT|I/E)[./ ].*?)(?: (?P=number))?"
)


def fountain_scenes(text: str) -> list[Scene]:
    """Return the scenes of a Fountain script; what comes before the first heading is one too, if there is any.

    A script without headings has none.
    """
    lines = _without_title_page(without_notes(text).split("\n"))
    draft, scenes = _Draft(""), list[Scene]()
    for number, line in enumerate(lines):
        follows_blank = number == 0 or draft.is_between
        following = lines[number + 1] if number + 1 < len(lines) else ""
        heading = _heading(line.strip()) if follows_blank else None
        if heading is None:
            draft.read(line, follows_blank=follows_blank, is_followed=bool(following.strip()))
            continue
        scenes += draft.scenes()
        draft = _Draft(heading)
    found = [*scenes, *draft.scenes()]
    return found if any(scene.name for scene in found) else []


def screenplay_as_fountain(text: str) -> str | None:
    """Return a screenplay that was exported as text in Fountain's form, or None for a text that is no screenplay.

    Such an export is indented, and its headings are numbered on one side or both.
    """
    lines = [line.strip() for line in text.split("\n")]
    headings = {number: heading for number, line in enumerate(lines) if (heading := _exported_heading(line))}
    if len(headings) < 2:
        return None
    return "\n".join(f"\n{headings[number]}\n" if number in headings else line for number, line in enumerate(lines))


def _exported_heading(line: str) -> str | None:
    match = _SCREENPLAY_HEADING.fullmatch(" ".join(line.split())) if len(line) <= HEADING_CHARACTERS else None
    if match is None:
        return None
    return f"{match['heading']} #{match['number']}#" if match["number"] else match["heading"]


def without_notes(text: str) -> str:
    """Return a Fountain script without what was cut (the boneyard) and without notes."""
    return _without(_without(text, "/*", "*/"), "[[", "]]")


def _without(text: str, opening: str, closing: str) -> str:
    """Return a text without what is between two marks; an opening mark that is never closed is text."""
    kept, start = [], 0
    while (begin := text.find(opening, start)) >= 0 and (end := text.find(closing, begin + len(opening))) >= 0:
        kept.append(text[start:begin])
        start = end + len(closing)
    return "".join([*kept, text[start:]])


def _heading(line: str) -> str | None:
    """Return a scene heading, its number first; None for another line."""
    if len(line) > HEADING_CHARACTERS:
        return None
    forced = _FORCED_HEADING.fullmatch(line)
    if forced is None and _HEADING.fullmatch(line) is None:
        return None
    text = forced[1] if forced else line
    number = _SCENE_NUMBER.search(text)
    name = _plain(_SCENE_NUMBER.sub("", text))
    return f"{number[1]} {name}" if number else name


@dataclass
class _Draft:
    """A scene that is being read."""

    name: str
    paragraphs: list[str] = field(default_factory=list)
    lines: int = 2
    is_between: bool = True
    """The last line was empty, or belongs to no paragraph."""
    _open: list[str] = field(default_factory=list)
    _is_dialogue: bool = False

    def read(self, line: str, *, follows_blank: bool, is_followed: bool) -> None:
        """Take over a line that is no heading."""
        text = line.strip()
        goes_on = self._is_dialogue and line == "  "  # an empty line within a speech
        if (not text and not goes_on) or text.startswith(("===", "#")):
            self._close()
        elif text.startswith("="):
            self._close()
            self.paragraphs.append(_plain(text[1:]))
        elif follows_blank and _is_transition(text):
            self._close()
        elif follows_blank and is_followed and _is_speaker(text):
            self._is_dialogue, self.is_between = True, False
            self.lines += 1
        else:
            self.is_between = False
            self._open.append(_plain(text.strip("><").lstrip("!~") if text.startswith((">", "!", "~")) else text))

    def _close(self) -> None:
        text = " ".join(part for part in self._open if part)
        if text:
            self.paragraphs.append(text)
            self.lines += script_lines(text, DIALOGUE_WIDTH if self._is_dialogue else ACTION_WIDTH) + 1
        self._open, self._is_dialogue, self.is_between = [], False, True

    def scenes(self) -> list[Scene]:
        """Return the scene, or none where nothing was read before the first heading."""
        self._close()
        if not self.name and not self.paragraphs:
            return []
        heading = (self.name,) if self.name else ()
        return [Scene(self.name, (*heading, *(text for text in self.paragraphs if text)), self.lines)]


def _without_title_page(lines: Sequence[str]) -> list[str]:
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    key, colon, _ = lines[first].partition(":") if lines else ("", "", "")
    if not colon or key.strip().lower() not in TITLE_KEYS:
        return list(lines)
    end = next((number for number in range(first, len(lines)) if not lines[number].strip()), len(lines))
    return list(lines[end:])


def _is_transition(text: str) -> bool:
    is_forced = text.startswith(">") and not text.endswith("<")
    return is_forced or _TRANSITION.fullmatch(text) is not None


def _is_speaker(text: str) -> bool:
    """Return whether a line names who speaks: in capitals, forced by @, with extensions, or with ^ for a dual."""
    if text.startswith("@"):
        return True
    name = re.sub(r"\(.*?\)", "", text.rstrip("^ "))
    return name == name.upper() and any(letter.isalpha() for letter in name) and not text.startswith(("!", "~", ">"))


def _plain(text: str) -> str:
    """Return text without the marks of emphasis and escapes."""
    return " ".join(_EMPHASIS.sub("", text).replace("\\", "").split())
