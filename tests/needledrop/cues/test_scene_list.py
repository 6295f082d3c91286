"""A CSV list becomes one scene per row, whatever its columns are called and however they are separated."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from needledrop.cues.scene_list import listed_scenes
from needledrop.cues.timecode import Timebase, open_timebase
from storage.errors import InputError

FPS_25 = open_timebase("25")


def test_a_row_is_a_scene_with_its_place() -> None:
    text = "Scene,Description,In,Out,Tags\n7,A chase.,00:00:10:00,00:00:20:12,Thriller films; Horror films\n"
    found = listed_scenes(text, FPS_25)
    [scene] = found.scenes
    assert (scene.name, scene.paragraphs, scene.start, scene.end) == ("7", ("A chase.",), 250, 512)
    assert scene.tags == ("Thriller films", "Horror films")
    assert found.notes == scene.notes == ()


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_cells_are_separated_in_several_ways(separator: str) -> None:
    text = separator.join(["scene", "text", "TC In", "TC_Out"]) + "\n" + separator.join(["1", "Rain", "1", "2"])
    assert [(scene.start, scene.end) for scene in listed_scenes(text, FPS_25).scenes] == [(25, 50)]


def test_a_duration_replaces_an_out() -> None:
    [scene] = listed_scenes("description,start,duration\nRain,00:00:10:00,5\n", FPS_25).scenes
    assert (scene.start, scene.end) == (250, 375)


def test_unknown_columns_are_named_and_the_rest_is_read() -> None:
    found = listed_scenes("Scene,Director,Text,Text\n1,Ann,Rain,Snow\n", FPS_25)
    assert found.scenes[0].paragraphs == ("Rain",)
    assert found.notes == ("The columns Director are not read", "Several columns say text; the first of them counts")


@pytest.mark.parametrize(
    ("cell", "note"),
    [("00:00:10:30", "in: 00:00:10:30 is no time code at 25 fps"), ("later", "in: 'later' is no time code")],
)
def test_a_time_code_that_cannot_be_read_is_noted_and_the_row_is_kept(cell: str, note: str) -> None:
    [scene] = listed_scenes(f"scene,text,in,out\n1,Rain,{cell},00:00:20:00\n", FPS_25).scenes
    assert (scene.start, scene.end) == (None, 500)
    assert note in scene.notes[0]


def test_a_text_with_commas_and_without_quotation_marks_is_noted() -> None:
    [scene] = listed_scenes("scene,text\n1,Rain, wind, and fog\n", FPS_25).scenes
    assert "more cells than there are columns" in scene.notes[0]


def test_one_semicolon_makes_a_list_drop_frame() -> None:
    found = listed_scenes("text,in,out\nRain,00:01:00;02,00:02:00:02\n", open_timebase("29.97"))
    assert found.timebase == Timebase("29.97", drop_frame=True)
    assert [(scene.start, scene.end) for scene in found.scenes] == [(1800, 3598)]
    assert "taken for drop-frame" in found.notes[0]


def test_a_named_scene_without_a_text_is_searched_by_its_name() -> None:
    named, numbered = listed_scenes("scene,description\nThe funeral,\n12,\n", FPS_25).scenes
    assert named.paragraphs == ("The funeral",)
    assert not numbered.is_described


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "in,out\n1,2\n", "Rain falls\non the town"])
def test_a_list_without_a_column_of_scenes_is_an_error_that_names_the_columns(text: str) -> None:
    with pytest.raises(InputError, match="scene,description,in,out,tags"):
        listed_scenes(text, FPS_25)


CELLS = st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n\t"), max_size=40)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=8), st.sampled_from(",;\t"))
def test_no_row_is_lost(rows: list[tuple[str, str, str]], separator: str) -> None:
    text = io.StringIO()
    csv.writer(text, delimiter=separator).writerows([("scene", "description", "in"), *rows])
    filled = [row for row in rows if any(cell.strip() for cell in row)]
    scenes = listed_scenes(text.getvalue(), FPS_25).scenes
    assert len(scenes) == len(filled)
    for (_, description, _), scene in zip(filled, scenes, strict=True):
        if description.strip():
            assert " ".join(scene.paragraphs).split() == description.split()
