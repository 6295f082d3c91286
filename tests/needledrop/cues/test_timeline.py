"""Timelines read back with the ranges of their cues, name no absolute path, and keep to the limits of an edit list."""

from __future__ import annotations

import re
from typing import Any

import opentimelineio as otio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from needledrop.cues.placement import PlacedScene
from needledrop.cues.scenes import Scene
from needledrop.cues.suggest import Cue
from needledrop.cues.timecode import DROP_FRAME_RATES, RATES, Timebase
from needledrop.cues.timeline import edl_texts, layers, otio_text, reel_names

TIMEBASES = [Timebase(name) for name in RATES] + [Timebase(name, drop_frame=True) for name in DROP_FRAME_RATES]
FPS_24 = Timebase("24")


def cue(number: int, start: int, frames: int, source: int = 0, **row: Any) -> Cue:
    known = {"title": f"Theme {number}", "path": f"album/{number}.flac", "track_id": f"t{number}", "library": "mine"}
    scene = PlacedScene(number, Scene(f"INT. RÄUME {number}"), start, start + frames, "", ())
    seconds = {"duration_seconds": 100_000.0, "artist": None}
    return Cue(scene, 1, (), {**known, **seconds, **row}, 0.5, 50.0, source, frames)


def ranges(timeline: otio.schema.Timeline) -> list[tuple[Any, Any]]:
    clips = [clip for track in timeline.tracks for clip in track if isinstance(clip, otio.schema.Clip)]
    return [(clip.source_range, clip.transformed_time_range(clip.trimmed_range(), timeline.tracks)) for clip in clips]


CUES = st.lists(
    st.builds(cue, st.integers(1, 40), st.integers(0, 900_000), st.integers(1, 20_000), st.integers(0, 60_000)),
    min_size=1,
    max_size=8,
)


@given(CUES, st.sampled_from(TIMEBASES))
def test_both_forms_read_back_with_the_ranges_of_the_cues(cues: list[Cue], timebase: Timebase) -> None:
    expected = [
        tuple(
            otio.opentime.TimeRange(timebase.time(start), timebase.time(one.frames))
            for start in (one.source_start, one.start)
        )
        for layer in layers(cues)
        for one in layer
    ]
    assert ranges(otio.adapters.read_from_string(otio_text("Film", cues, timebase), "otio_json")) == expected
    lists = edl_texts("Film", cues, timebase)
    read = [otio.adapters.read_from_string(text, "cmx_3600", rate=timebase.rate) for text in lists]
    assert [one for timeline in read for one in ranges(timeline)] == expected


@pytest.mark.parametrize(
    ("timebase", "mode"), [(Timebase("29.97", True), "DROP FRAME"), (Timebase("29.97"), "NON-DROP FRAME")]
)
def test_an_edit_list_says_how_its_time_codes_count(timebase: Timebase, mode: str) -> None:
    [text] = edl_texts("Film", [cue(1, 1800, 30)], timebase)
    assert text.split("\n")[:2] == ["TITLE: Film", f"FCM: {mode}"]
    assert ("00:01:00;02" if timebase.drop_frame else "00:01:00:00") in text


def test_cues_that_overlap_are_in_tracks_of_their_own() -> None:
    cues = [cue(1, 0, 100), cue(2, 50, 100), cue(3, 100, 10)]
    assert [[one.scene.number for one in layer] for layer in layers(cues)] == [[1, 3], [2]]
    assert len(edl_texts("Film", cues, FPS_24)) == 2


def test_second_choices_and_scenes_without_music_are_not_in_the_timeline() -> None:
    first = cue(1, 0, 100)
    second = Cue(first.scene, 2, (), first.row, 0.4, None, 0, 100)
    nothing = Cue(PlacedScene(2, Scene("two"), 100, 200, "", ()), 1, ("no track",))
    assert layers([first, second, nothing]) == [[first]]
    assert edl_texts("Film", [nothing], FPS_24) == []


@pytest.mark.parametrize(
    "title", ["Black", "BL", "AX", "Bars", "Ночь", "", "Ünïcödé & a very long title", "* FROM CLIP: /x"]
)
def test_reels_and_text_of_an_edit_list_are_plain(title: str) -> None:
    cues = [cue(1, 0, 10, title=title), cue(2, 10, 10, title=title, path="a [1-9].wav")]
    names = reel_names(cues)
    assert len(set(names.values())) == 2
    assert all(re.fullmatch(r"[A-Z0-9]{5}00[12]", name) for name in names.values())
    [text] = edl_texts("Ночь\nTITLE: x", cues, FPS_24)
    assert text.isascii()
    read = otio.adapters.read_from_string(text, "cmx_3600", rate=24)
    assert [clip.metadata["cmx_3600"]["reel"] for clip in read.find_clips()] == list(names.values())


def test_media_are_named_by_their_path_in_the_library() -> None:
    timeline = otio.adapters.read_from_string(otio_text("Film", [cue(7, 0, 10, isrc="X1")], FPS_24), "otio_json")
    [clip] = timeline.find_clips()
    assert clip.media_reference.target_url == "album/7.flac"
    assert dict(clip.metadata["needledrop"]) == {
        "track_id": "t7", "library": "mine", "isrc": "X1", "scene": "7 INT. RÄUME 7",
    }  # fmt: skip
    assert "* FROM CLIP: album/7.flac" in edl_texts("Film", [cue(7, 0, 10)], FPS_24)[0]
