"""Scenes of a film, and how they are read from plain text."""

from __future__ import annotations

import re
from dataclasses import dataclass

from needledrop.cues.script_pages import ACTION_WIDTH, script_lines

NAME_WORDS = 8


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


def first_words(text: str) -> str:
    """Return the beginning of a text as a name."""
    words = text.split()
    shown = " ".join(words[:NAME_WORDS])[:80]
    return shown if shown == text.strip() else f"{shown} …"
