"""The files of a cue list: cue sheets in which no cell is a formula, timelines and edit lists that others read back."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import opentimelineio as otio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from needledrop.cues.cue_files import COLUMNS, cue_rows, edl_texts, layers, otio_text, reel_names, sheet_csv, sheet_html
from needledrop.cues.scene_list import PlacedScene, Scene
from needledrop.cues.suggest_tracks import Cue
from needledrop.cues.timecode import DROP_FRAME_RATES, RATES, Timebase, open_timebase
from storage.output_escaping import FORMULA_STARTS

TRACK = {
    "title": "Night", "artist": "Ann", "composer": "Bo", "publisher": "Cy", "isrc": "QM1", "licence": "CC0",
    "album": "A", "library": "mine", "path": "a/n.flac", "track_id": "t1", "duration_seconds": 60.0, "folder": "f1",
}  # fmt: skip
TIMEBASES = [Timebase(name) for name in RATES] + [Timebase(name, drop_frame=True) for name in DROP_FRAME_RATES]
FPS_24 = Timebase("24")


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_a_cue_is_a_row_with_what_a_cue_sheet_needs() -> None:
    scene = PlacedScene(3, Scene("The chase", usage="main title"), 240, 480, "length", ("in: late",))
    cue = Cue(scene, 1, scene.notes, TRACK, 0.25, 80.0, source_start=48, frames=240)
    [row] = read(sheet_csv(cue_rows([cue], {"t1": "NIGHT001"}, open_timebase("24"))))
    assert row == {
        "scene": "3 The chase", "choice": "1", "in": "00:00:10:00", "out": "00:00:20:00", "length": "10.0",
        "title": "Night", "composer": "Bo", "publisher": "Cy", "isrc": "QM1", "usage": "main title", "licence": "CC0",
        "artist": "Ann", "album": "A", "library": "mine", "path": "a/n.flac", "track_id": "t1", "start_second": "2.0",
        "score": "0.25", "percentile": "80.0", "reel": "NIGHT001",
        "note": "Its length is estimated, at a minute per page of a script; in: late",
    }  # fmt: skip


def test_a_scene_without_music_keeps_its_row_and_its_reason() -> None:
    scene = PlacedScene(1, Scene("one"), 0, 24, "", ())
    [row] = read(sheet_csv(cue_rows([Cue(scene, 1, ("no track is left",))], {}, open_timebase("24"))))
    assert (row["in"], row["out"], row["title"], row["note"]) == ("00:00:00:00", "00:00:01:00", "", "No track is left")


@given(st.dictionaries(st.sampled_from(COLUMNS), st.text()))
def test_no_cell_is_a_formula(row: dict[str, str]) -> None:
    [cells] = read(sheet_csv([row]))
    for column in COLUMNS:
        for part in re.split(r"[;\t\r\n]", cells[column]):
            assert not part.lstrip().startswith(FORMULA_STARTS)
        assert cells[column].replace("'", "") == row.get(column, "").replace("\x00", "").replace("'", "")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", " =", "\u00a0@"])
def test_a_formula_becomes_a_text(start: str) -> None:
    [row] = read(sheet_csv([{"title": f"{start}1+1", "score": -0.5}]))
    assert row["title"] == f"'{start}1+1"
    assert row["score"] == "-0.5"


def test_the_page_escapes_what_comes_from_files_and_loads_nothing() -> None:
    page = sheet_html('<b>"Film"', [{"title": "<script>alert(1)</script>", "note": "a & b"}], notes=["<i>"])
    assert "<script" not in page
    assert "<b>" not in page
    assert "<i>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "default-src 'none'" in page
    assert not any(name in page for name in ("http:", "https:", "src="))


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
