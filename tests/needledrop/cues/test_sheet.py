"""A cue sheet opens in a spreadsheet without a formula, and in a browser without markup of others."""

from __future__ import annotations

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from needledrop.cues.placement import PlacedScene
from needledrop.cues.scenes import Scene
from needledrop.cues.sheet import COLUMNS, cue_rows, sheet_csv, sheet_html
from needledrop.cues.suggest import Cue
from needledrop.cues.timecode import open_timebase
from storage.spreadsheets import FORMULA_STARTS

TRACK = {
    "title": "Night", "artist": "Ann", "composer": "Bo", "publisher": "Cy", "isrc": "QM1", "licence": "CC0",
    "album": "A", "library": "mine", "path": "a/n.flac", "track_id": "t1", "duration_seconds": 60.0, "folder": "f1",
}  # fmt: skip


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
