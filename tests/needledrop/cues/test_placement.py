"""Scenes are placed where they are given, else one after the other, and what is estimated says so."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from needledrop.cues.placement import place_scenes
from needledrop.cues.scenes import Scene
from needledrop.cues.script_pages import LINES_PER_PAGE, estimated_frames
from needledrop.cues.timecode import open_timebase
from storage.errors import InputError

FPS_24 = open_timebase("24")
PAGE = Scene("page", ("text",), lines=LINES_PER_PAGE)


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
