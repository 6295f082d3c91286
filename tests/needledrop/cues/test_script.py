"""A script's file is text in any usual encoding; what is none, or too much, is a sentence."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from needledrop.cues.script import MOST_BYTES, MOST_SCENES, read_script
from needledrop.cues.timecode import open_timebase
from storage.errors import InputError

FPS_24 = open_timebase("24")


def write(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "latin-1"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_usual_encodings_and_line_ends_are_read(tmp_path: Path, encoding: str, line_end: str) -> None:
    text = line_end.join(["scene,description", "1,Böses Blut über den Dächern", "2,Café"])
    script = read_script(write(tmp_path, "szenen.csv", text.encode(encoding)), FPS_24)
    assert [scene.paragraphs for scene in script.scenes] == [("Böses Blut über den Dächern",), ("Café",)]


def test_the_form_of_a_text_is_seen_from_its_headings(tmp_path: Path) -> None:
    screenplay = write(tmp_path, "film.txt", b"INT. HUT - DAY\n\nRain.\n\nEXT. SEA - DAY\n\nWaves.")
    synopsis = write(tmp_path, "plot.txt", b"They meet.\n\nThey part.")
    assert [scene.name for scene in read_script(screenplay, FPS_24).scenes] == ["INT. HUT - DAY", "EXT. SEA - DAY"]
    assert [scene.name for scene in read_script(synopsis, FPS_24).scenes] == ["They meet.", "They part."]


def test_a_fountain_file_without_headings_is_read_by_paragraphs(tmp_path: Path) -> None:
    script = read_script(write(tmp_path, "film.fountain", b"They meet.\n\nThey part."), FPS_24)
    assert len(script.scenes) == 2
    assert "no scene headings" in script.notes[0]


def test_one_word_is_a_scene_that_says_that_it_says_little(tmp_path: Path) -> None:
    [scene] = read_script(write(tmp_path, "film.txt", b"Rain"), FPS_24).scenes
    assert scene.paragraphs == ("Rain",)
    assert "1 word, so what is found is hardly better than chance" in scene.notes[0]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.txt", b"", "is empty"),
        ("blank.fountain", b"\xef\xbb\xbf \n\n", "is empty"),
        ("notes.fountain", b"/* all of it */", "has no scene"),
        ("heads.csv", b"scene,description\n", "has no scene"),
        ("other.csv", b"a,b\n1,2\n", "names no column"),
        ("film.pdf", b"%PDF-1.7 ...", "is a PDF"),
        ("film.docx", b"PK\x03\x04 ...", "is a Word"),
        ("film.fdx", b'<?xml version="1.0"?>', "Final Draft"),
        ("film.txt", random.Random(1).randbytes(5000), "is no text"),
        ("long.txt", b"Rain. " * (MOST_BYTES // 6 + 1), "larger than 4 MB"),
        ("many.txt", b"Rain.\n\n" * (MOST_SCENES + 1), "1,000 scenes"),
    ],
)
def test_what_is_no_script_is_a_sentence(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        read_script(write(tmp_path, name, content), FPS_24)


def test_a_script_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_script(tmp_path / "absent.txt", FPS_24)
    with pytest.raises(InputError, match="Is a directory"):
        read_script(tmp_path, FPS_24)
