"""Scenes are read from paragraphs, from Fountain, and from a screenplay that was exported as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from needledrop.cues.fountain import fountain_scenes, screenplay_as_fountain
from needledrop.cues.scenes import Scene, plain_scenes

SCRIPT = """\
Title: _**The Quiet Harbour**_
Author: Ann Example
Draft date: 1/2/2026

FADE IN:

EXT. HARBOUR - DAWN #1A#

Fog on the *black* water. A boat [[which one?]] waits.

/* cut:
INT. OFFICE - DAY

Nobody misses this. */
MARA (O.S.)
(whispering)
Is anybody there?

CUT TO:

# Act two

= Mara finds the letter and understands that her father lied.

.THE ATTIC

BRICK ^
You came.

@McGregor
No.

!INT. is how this line begins, but it is action.

> THE END <

I/E CAR - NIGHT

===

~ We drive and drive
"""


def test_a_fountain_script_becomes_its_scenes() -> None:
    scenes = fountain_scenes(SCRIPT)
    assert [scene.name for scene in scenes] == ["1A EXT. HARBOUR - DAWN", "THE ATTIC", "I/E CAR - NIGHT"]
    harbour, attic, car = scenes
    assert harbour.paragraphs == (
        "1A EXT. HARBOUR - DAWN",
        "Fog on the black water. A boat waits.",
        "(whispering) Is anybody there?",
        "Mara finds the letter and understands that her father lied.",
    )
    assert attic.paragraphs[1:] == (
        "You came.", "No.", "INT. is how this line begins, but it is action.", "THE END",
    )  # fmt: skip
    assert car.paragraphs[1:] == ("We drive and drive",)


def test_what_stands_before_the_first_heading_is_a_scene() -> None:
    scenes = fountain_scenes("FADE IN:\n\nA storm.\n\nINT. HUT - NIGHT\n\nCandles.")
    assert [(scene.name, scene.paragraphs) for scene in scenes] == [
        ("", ("A storm.",)),
        ("INT. HUT - NIGHT", ("INT. HUT - NIGHT", "Candles.")),
    ]


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("int. kitchen", "int. kitchen"),
        ("INT./EXT. CAR - DAY", "INT./EXT. CAR - DAY"),
        ("INT/EXT CAR", "INT/EXT CAR"),
        ("EST. LONDON", "EST. LONDON"),
        ("I/E. VAN", "I/E. VAN"),
        (".FLASHBACK #12-B#", "12-B FLASHBACK"),
    ],
)
def test_headings_have_several_forms(line: str, name: str) -> None:
    assert [scene.name for scene in fountain_scenes(f"{line}\n\nRain.")] == [name]


@pytest.mark.parametrize("line", ["INTERIORS are dark.", "...and then", "EXTRA! EXTRA!", "Inter. alia", "ESTHER"])
def test_other_lines_are_no_headings(line: str) -> None:
    assert fountain_scenes(f"{line}\n\nRain.") == []


def test_a_longer_scene_takes_more_lines_and_dialogue_more_than_action() -> None:
    words = "word " * 100
    short, action, dialogue = fountain_scenes(f"INT. A\n\nRain.\n\nINT. B\n\n{words}\n\nINT. C\n\nANN\n{words}")
    assert short.lines < action.lines < dialogue.lines


def test_a_screenplay_exported_as_text_is_read_as_one() -> None:
    text = "12   INT. HOUSE - DAY   12\n\n    Ann waits.\n\n13A  EXT. STREET - NIGHT  13A\n      BOB\n   Run!\n"
    fountain = screenplay_as_fountain(text)
    assert fountain is not None
    assert [(scene.name, scene.paragraphs[1:]) for scene in fountain_scenes(fountain)] == [
        ("12 INT. HOUSE - DAY", ("Ann waits.",)),
        ("13A EXT. STREET - NIGHT", ("Run!",)),
    ]


def test_a_synopsis_is_no_screenplay() -> None:
    assert screenplay_as_fountain("In INT. she works.\n\nEst. 1890, the mill burns.") is None


@pytest.mark.parametrize(
    ("text", "scenes"),
    [
        ("One\nparagraph.\n\nAnother.", ["One paragraph.", "Another."]),
        ("He leaves.\nShe stays.\nIt rains.", ["He leaves.", "She stays.", "It rains."]),
        ("A paragraph that an editor\nwrapped at this width\nand ended.", None),
        ("word", ["word"]),
        ("\n\n \t\n Late. \n\n\n", ["Late."]),
    ],
)
def test_paragraphs_or_lines_are_scenes(text: str, scenes: list[str] | None) -> None:
    found = [" ".join(scene.paragraphs) for scene in plain_scenes(text)]
    assert found == (scenes or [" ".join(text.split())])


@given(st.text())
def test_no_word_of_a_plain_text_is_lost(text: str) -> None:
    text = text.replace("\r", " ")
    assert " ".join(word for scene in plain_scenes(text) for word in scene.paragraphs).split() == text.split()


PIECES = st.sampled_from(
    ["INT. HUT - DAY", "EXT. SEA", ".", "..", ".Forced", "", "  ", "ANN", "@ann", "^", "(softly)", "Rain falls.", "/*",
     "*/", "[[", "]]", "# Act", "= All is lost", "===", "> END <", "> CUT TO:", "CUT TO:", "~la la", "!Boom",
     "Title: X",
     "#1#", "INT. B #2#", "**", "\\*", "a: b", "FADE IN:"]
)  # fmt: skip


@given(st.lists(PIECES | st.text(max_size=30), max_size=30))
def test_any_text_is_read_as_fountain(lines: list[str]) -> None:
    scenes = fountain_scenes("\n".join(lines))
    assert all(isinstance(scene, Scene) and scene.paragraphs and scene.lines > 0 for scene in scenes)


@given(st.lists(st.from_regex(r"[A-Z][a-z]{2,8}( [a-z]{1,8}){1,5}\.", fullmatch=True), min_size=1, max_size=12))
def test_all_action_of_a_script_is_kept(sentences: list[str]) -> None:
    script = "\n\n".join(f"INT. ROOM {number} - DAY\n\n{text}" for number, text in enumerate(sentences))
    assert [scene.paragraphs[1:] for scene in fountain_scenes(script)] == [(text,) for text in sentences]


def test_an_empty_line_within_a_speech_is_no_end_of_it() -> None:
    [scene] = fountain_scenes("INT. HUT - DAY\n\n@Mc\nFirst.\n  \nSecond.\n\n@\nINT. HUT - DAY\n  ")[:1]
    assert "First." in " ".join(scene.paragraphs) and "Second." in " ".join(scene.paragraphs)
