"""Scenes of texts and screenplays, and where each is in the film."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from needledrop.cues.fountain import fountain_scenes, screenplay_as_fountain
from needledrop.cues.scene_list import LINES_PER_PAGE, Scene, estimated_frames, place_scenes
from needledrop.cues.script import plain_scenes
from needledrop.cues.timecode import open_timebase
from storage.errors import InputError

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
FPS_24 = open_timebase("24")
PAGE = Scene("page", ("text",), lines=LINES_PER_PAGE)


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


def timed(start: int | None, end: int | None) -> Scene:
    return Scene("timed", ("text",), lines=LINES_PER_PAGE, start=start, end=end)


def test_scenes_without_times_follow_one_another_at_a_minute_per_page() -> None:
    placed = place_scenes([PAGE, PAGE], FPS_24)
    assert [(scene.start, scene.end) for scene in placed] == [(0, 1440), (1440, 2880)]
    assert [scene.estimated for scene in placed] == ["place and length"] * 2


@pytest.mark.parametrize(("lines", "seconds"), [(0, 7.5), (1, 7.5), (7, 15), (55, 60), (56, 67.5)])
def test_lengths_are_estimated_in_eighths_of_a_page(lines: int, seconds: float) -> None:
    assert FPS_24.seconds(estimated_frames(lines, FPS_24)) == seconds


def test_given_places_are_kept() -> None:
    [placed] = place_scenes([timed(100, 250)], FPS_24)
    assert (placed.start, placed.end, placed.estimated, placed.notes) == (100, 250, "", ())


def test_an_estimate_ends_where_the_next_given_scene_begins() -> None:
    placed = place_scenes([timed(0, 100), PAGE, timed(500, 600)], FPS_24)
    assert (placed[1].start, placed[1].end) == (100, 500)


def test_an_in_without_an_out_lasts_until_the_next_in() -> None:
    placed = place_scenes([timed(0, None), timed(300, None)], FPS_24)
    assert [(scene.start, scene.end) for scene in placed] == [(0, 300), (300, 1740)]
    assert [scene.estimated for scene in placed] == ["length"] * 2


def test_an_out_before_its_in_is_not_used_and_noted() -> None:
    [placed] = place_scenes([timed(500, 400)], FPS_24)
    assert (placed.start, placed.frames) == (500, 1440)
    assert "its out 00:00:16:16 is not after its in 00:00:20:20" in placed.notes[0]


def test_scenes_that_overlap_are_kept_and_noted() -> None:
    placed = place_scenes([timed(0, 240), timed(120, 360)], FPS_24)
    assert [(scene.start, scene.end) for scene in placed] == [(0, 240), (120, 360)]
    assert placed[1].notes == ("it overlaps with scene 1 by 5.0 s",)


def test_a_film_of_a_day_is_an_error() -> None:
    place_scenes([timed(FPS_24.day - 10, FPS_24.day - 1)], FPS_24)
    for end in (None, FPS_24.day):
        with pytest.raises(InputError, match="Scene 2 ends after 24 hours or more"):
            place_scenes([timed(0, 240), timed(FPS_24.day - 10, end)], FPS_24)


FRAMES = st.none() | st.integers(0, 100_000)


@given(st.lists(st.builds(timed, FRAMES, FRAMES), max_size=12))
def test_every_scene_has_a_place_with_a_length(scenes: list[Scene]) -> None:
    placed = place_scenes(scenes, FPS_24)
    assert [scene.number for scene in placed] == list(range(1, len(scenes) + 1))
    for scene, one in zip(scenes, placed, strict=True):
        assert one.frames > 0
        assert scene.start is None or one.start == scene.start
        assert one.estimated or (one.start, one.end) == (scene.start, scene.end)
